"""Where a run computes: its replicas, and the bridge between host arrays and device code."""

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nets.layers import static_shape
from utils.devices.pieces import by_pieces, choose_pieces, why_not_pieces
from utils.devices.strategy import CORES, make_strategy, set_by_user
from utils.errors import UserError
from utils.seeds import Key, Share


class Replicas:
    """The devices of a run: `count` replicas, of which this process drives those numbered `local`.

    Each works on its share of the batch by `pieces`, side by side on the cores that it has.
    Of many processes (workers) one is the `chief`: it writes the run folder.
    """

    def __init__(self, config: Mapping[str, Any]):
        """Make the strategy, TensorFlow's first call; raises UserError for a missing device."""
        threads = config.get("threads")
        self.strategy = make_strategy(
            config["device_type"], config["num_replicas"],
            threads=threads, deterministic=config.get("deterministic"),
        )  # fmt: skip
        if own := set_by_user(threads):
            print(f"set in the environment, and used: {', '.join(own)}", flush=True)
        self.count = self.strategy.num_replicas_in_sync
        if config["jit"] and self.count > 1:
            raise UserError(f"jit is for one replica, here are {self.count}: add --set jit=False")
        # AutoGraph would only take time: loops are TensorFlow's own.
        self._graph = functools.partial(
            tf.function, jit_compile=config["jit"] or None, autograph=False
        )
        self.batch_size = config["batch_size"]
        self.local: list[int] = []
        self._on_each(lambda number: self.local.append(number) or np.zeros(1, np.float32))
        resolver = self.strategy.cluster_resolver
        self.chief = (
            resolver is None
            or resolver.task_type in (None, "chief")
            or resolver.task_id in (None, 0)
        )
        cores = (threads or CORES) if self.device == "cpu" and not config["jit"] else 1
        batch = config.get("chain_batch") or self.batch_size
        self.pieces = config["pieces"] or choose_pieces(
            batch // self.count, max(1, cores // len(self.local))
        )
        self._alone = resolver is None or not os.environ.get("TF_CONFIG")

    @functools.cached_property
    def batch(self) -> int:
        """The share of `batch_size` that one replica takes, in whole pieces.

        Raises UserError where it is no whole number, or does not divide into `pieces`.
        """
        if self.batch_size % self.count:
            raise UserError(
                f"batch_size {self.batch_size} does not divide over {self.count} replicas: "
                f"use a multiple of {self.count}, for example --set batch_size="
                f"{max(1, round(self.batch_size / self.count)) * self.count}"
            )
        batch = self.batch_size // self.count
        if batch % self.pieces:
            raise UserError(why_not_pieces(self.pieces, batch))
        return batch

    @property
    def positions(self) -> slice:
        """The positions of the whole batch that this process's replicas take."""
        return slice(self.local[0] * self.batch, (self.local[-1] + 1) * self.batch)

    def share(self) -> Share:
        """Return the share of the whole batch of the replica that calls."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return Share(replica, self.count)

    @property
    def device(self) -> str:
        """`cpu`, `gpu` or `tpu`."""
        name = self.strategy.extended.worker_devices[0]
        return tf.DeviceSpec.from_string(name).device_type.lower()

    def compile(
        self, function: Callable[..., tuple], seed: int, then: Callable[[], None] = lambda: None
    ) -> Callable[..., tuple[Any, dict[str, tf.Tensor]]]:
        """Return an update as one graph over all replicas, between arrays of the host.

        Called as (step, scalars, *inputs), inputs nested arrays whose rows are this process's
        `positions`, it runs `function(key, *scalars, *own)` on every replica with its own rows,
        which returns (arrays, metrics); then `then` over all of them. It returns the arrays, with
        the rows of `positions`, and the metrics' means. Whole numbers enter as tensors; truth
        values choose the graph.
        """

        @self._graph
        def on_all(number, retry, scalars, items):
            ends, metrics = self.strategy.run(
                lambda own: function(Key(seed, number, retry, self.share()), *scalars, *own),
                (items,),
            )
            then()
            means = {n: self.strategy.reduce("MEAN", x, axis=None) for n, x in metrics.items()}
            return ends, means

        def call(step: tuple[int, int], scalars: Sequence[int], *inputs: Any):
            items = self.to_replicas(_split(inputs, len(self.local)))
            number, retry = _tensors(step)
            ends, means = on_all(number, retry, _tensors(scalars), items)
            return _joined(self.to_host(ends)), means

        return call

    def each(self, function: Callable[..., Any]) -> Callable[..., list]:
        """Return `function` as one graph over all replicas, between arrays of the host.

        Called as (scalars, *inputs) like an update; it returns each local replica's arrays.
        """
        on_all = self._graph(
            lambda scalars, items: self.strategy.run(lambda x: function(*scalars, *x), (items,))
        )

        def call(scalars: Sequence[int], *inputs: Sequence) -> list:
            items = list(zip(*inputs, strict=True)) or [()] * len(self.local)
            return self.to_host(on_all(_tensors(scalars), self.to_replicas(items)))

        return call

    def rows(
        self, function: Callable[..., Any], batch: int, least: int | None = None
    ) -> Callable[..., np.ndarray]:
        """Return (n, ...) arrays -> `function` of their rows, up to `batch` rows at a time.

        Rows are spread over all replicas and there over pieces. The last ones are filled up by rows
        that are then left out, to `least` rows (None: `batch`), or to that doubled until they fit:
        so there are few shapes, and one trace each. `function` must treat every row by itself.
        """
        workers = isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy)

        def on_replica(*rows: tf.Tensor) -> tf.Tensor:
            result = self.by_pieces(function, *rows)
            here = tf.distribute.get_replica_context()
            # A mirrored strategy's gathers fail at times when they follow each other.
            return here.all_gather(result, axis=0) if workers else result

        # Collectives in here: called eagerly each would build a function anew.
        on_all = self.each(on_replica)

        def on_rows(*arrays: np.ndarray) -> np.ndarray:
            count, first, results = len(arrays[0]), 0, []
            while first < count:
                share = -(-rows_at_once(count - first, batch, least or batch) // self.count)
                rows = np.minimum(np.arange(first, first + share * self.count), count - 1)
                own = [rows[number * share : (number + 1) * share] for number in self.local]
                values = on_all((), *([array[mine] for mine in own] for array in arrays))
                whole = values[0] if workers else np.concatenate(values)
                results.append(whole[: count - first])
                first += share * self.count
            return np.concatenate(results)

        return on_rows

    def by_pieces(self, function: Callable[..., Any], *rows: tf.Tensor) -> Any:
        """Return `function(*rows)`, which treats every row by itself, by as many pieces as divide.

        Those are `pieces`, or fewer for a batch that they do not divide.
        """
        pieces = math.gcd(self.pieces, static_shape(rows[0])[0])
        return by_pieces(lambda number, *own: function(*own), pieces, *rows)

    def to_replicas(self, values: Sequence[Any]) -> Any:
        """Return an input of `strategy.run`: one structure of arrays for each local replica."""
        by_number = dict(zip(self.local, values, strict=True))

        def value(number: int) -> Any:
            if isinstance(self.strategy, tf.distribute.TPUStrategy):  # places NumPy arrays itself
                return by_number[number]
            return tf.nest.map_structure(tf.convert_to_tensor, by_number[number])

        return self._on_each(value)

    def to_host(self, values: Any) -> list[Any]:
        """Return the NumPy arrays that each local replica returned from `strategy.run`."""
        flat = [self.strategy.experimental_local_results(x) for x in tf.nest.flatten(values)]
        return [
            tf.nest.pack_sequence_as(values, [np.asarray(leaf) for leaf in replica])
            for replica in zip(*flat, strict=True)
        ]

    def total(self, value: int) -> int:
        """Return the sum of all workers' values, on every worker."""
        if self._alone:
            return value
        own = [np.int64(0 if i else value) for i in range(len(self.local))]
        return int(self.strategy.reduce("SUM", self.to_replicas(own), axis=None))

    def agree(self, value: int) -> int:
        """Return the chief's `value` on every worker."""
        return self.total(value if self.chief else 0)

    def barrier(self) -> None:
        """Wait until every worker is here."""
        self.agree(0)

    def _on_each(self, value: Callable[[int], Any]) -> Any:
        """Return `value(number)` of each local replica as an input of `strategy.run`."""
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: value(int(context.replica_id_in_sync_group))
        )


def rows_at_once(count: int, batch: int, least: int) -> int:
    """Return the size of the next batch of `count` rows: `batch`, or less where fewer are left."""
    size = least
    while size < min(count, batch):
        size *= 2
    return min(size, batch)


def _split(arrays: Any, count: int) -> list[Any]:
    """Return the equal parts of nested arrays (n, ...), in order."""
    return [
        tf.nest.map_structure(
            lambda x, i=i: x[i * len(x) // count : (i + 1) * len(x) // count], arrays
        )
        for i in range(count)
    ]


def _joined(parts: Sequence[Any]) -> Any:
    """Return the nested arrays of which these are the parts, in order; () where there are none."""
    if len(parts) < 2:
        return parts[0] if parts else ()
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def _tensors(scalars: Sequence[int]) -> list[Any]:
    return [x if isinstance(x, bool) else tf.constant(x, tf.int32) for x in scalars]
