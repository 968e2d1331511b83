"""The replicas of a run, and the bridge between host arrays and device code."""

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from nets.layers import static_shape
from utils.devices.pieces import by_pieces, choose_pieces, why_not_pieces
from utils.devices.strategy import CORES, make_strategy, set_by_user
from utils.errors import UserError
from utils.seeds import Key, Share


class Replicas:
    """The devices of a run: `count` replicas; this process drives those numbered `local`.

    Each replica computes its share of the batch in `pieces`, side by side on its cores. One of the
    processes (workers) is the `chief`, which writes the run folder.
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
            raise UserError(
                f"'jit' works with one replica, and there are {self.count}: add --set jit=False"
            )
        # Loops are TensorFlow's own: AutoGraph would only take time.
        self._graph = functools.partial(
            tf.function, jit_compile=config["jit"] or None, autograph=False
        )
        self.batch_size = config["batch_size"]
        self.local: list[int] = []
        self._on_each(lambda number: self.local.append(number) or np.zeros(1, np.float32))
        resolver = self.strategy.cluster_resolver
        self.chief = resolver is None or not resolver.task_id
        cores = (threads or CORES) if self.device == "cpu" and not config["jit"] else 1
        batch = config.get("chain_batch") or self.batch_size
        self.pieces = config["pieces"] or choose_pieces(
            batch // self.count, max(1, cores // len(self.local))
        )
        self._alone = resolver is None or not os.environ.get("TF_CONFIG")

    @functools.cached_property
    def batch(self) -> int:
        """The share of `batch_size` that one replica computes.

        Raises UserError if it is no whole number, or no multiple of `pieces`.
        """
        if self.batch_size % self.count:
            raise UserError(
                f"'batch_size' {self.batch_size} is no multiple of {self.count} replicas: "
                "for example add --set batch_size="
                f"{max(1, round(self.batch_size / self.count)) * self.count}"
            )
        batch = self.batch_size // self.count
        if batch % self.pieces:
            raise UserError(why_not_pieces(self.pieces, batch))
        return batch

    @property
    def positions(self) -> slice:
        """The positions of the whole batch that the replicas of this process compute."""
        return slice(self.local[0] * self.batch, (self.local[-1] + 1) * self.batch)

    def share(self) -> Share:
        """Return the calling replica's share of the whole batch; call it in replica context."""
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
        """Return an update as one graph over all replicas, with NumPy arrays in and out.

        The update takes ((step, retry), scalars, *inputs), where inputs are nested arrays with the
        rows of this process's `positions`. On each replica it runs `function(key, *scalars, *own)`
        on the replica's own rows, which returns (arrays, metrics), and afterwards `then()` across
        all replicas. It returns the arrays, with the rows of `positions`, and the means of metrics.
        Whole numbers among the scalars become tensors; each bool has a graph of its own.
        """

        @self._graph
        def on_all(step, retry, scalars, items):
            ends, metrics = self.strategy.run(
                lambda own: function(Key(seed, step, retry, self.share()), *scalars, *own),
                (items,),
            )
            then()
            means = {n: self.strategy.reduce("MEAN", x, axis=None) for n, x in metrics.items()}
            return ends, means

        def call(step_and_retry: tuple[int, int], scalars: Sequence[int], *inputs: Any):
            items = self.to_replicas(_split(inputs, len(self.local)))
            step, retry = _tensors(step_and_retry)
            ends, means = on_all(step, retry, _tensors(scalars), items)
            return _joined(self.to_host(ends)), means

        return call

    def each(self, function: Callable[..., Any]) -> Callable[..., list]:
        """Return `function` as one graph over all replicas, with NumPy arrays in and out.

        The graph takes (scalars, *inputs); each of the inputs is a list with one entry per local
        replica. It returns a list with the arrays of each local replica.
        """
        on_all = self._graph(
            lambda scalars, items: self.strategy.run(lambda x: function(*scalars, *x), (items,))
        )

        def call(scalars: Sequence[Any], *inputs: Sequence) -> list:
            items = list(zip(*inputs, strict=True)) or [()] * len(self.local)
            return self.to_host(on_all(_tensors(scalars), self.to_replicas(items)))

        return call

    def spread(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function(*rows, **shared)` with NumPy arrays in and out.

        Rows (n, ...) are split over the local replicas and their pieces, and `function` must treat
        each row by itself. All get the same `shared` values: whole numbers, nested arrays, or bools
        with a graph each.
        """
        on_all = self.each(
            lambda shared, *rows: self.by_pieces(lambda *own: function(*own, **shared), *rows)
        )

        def call(*rows: np.ndarray, **shared: Any) -> Any:
            parts = _split(rows, len(self.local))
            return _joined(on_all((shared,), *zip(*parts, strict=True)))

        return call

    def rows(
        self,
        function: Callable[..., Any],
        batch: int,
        least: int | None = None,
        doing: str | None = None,
    ) -> Callable[..., np.ndarray]:
        """Return arrays (n, ...) -> `function` of their rows, up to `batch` rows at a time.

        Rows are split over all replicas and their pieces. The last rows are padded to `least` rows
        (None: `batch`), or to twice that, and so on until they fit, so that few shapes are traced;
        the padding is dropped from the result. `function` must treat each row by itself. On a
        terminal a bar named `doing` shows the progress of calls that take seconds.
        """
        workers = isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy)

        def on_replica(*rows: tf.Tensor) -> tf.Tensor:
            result = self.by_pieces(function, *rows)
            here = tf.distribute.get_replica_context()
            # Consecutive gathers of a mirrored strategy fail at times: only workers gather.
            return here.all_gather(result, axis=0) if workers else result

        # One graph: collectives that are called eagerly would each build a function anew.
        on_all = self.each(on_replica)

        def on_rows(*arrays: np.ndarray) -> np.ndarray:
            count, first, results = len(arrays[0]), 0, []
            off = None if doing else True  # None: where there is no terminal
            bar = tqdm(desc=doing, total=count, unit="im", delay=3, leave=False, disable=off)
            while first < count:
                share = -(-rows_at_once(count - first, batch, least or batch) // self.count)
                rows = np.minimum(np.arange(first, first + share * self.count), count - 1)
                own = [rows[number * share : (number + 1) * share] for number in self.local]
                values = on_all((), *([array[mine] for mine in own] for array in arrays))
                whole = values[0] if workers else np.concatenate(values)
                results.append(whole[: count - first])
                first += share * self.count
                bar.update(len(results[-1]))
            bar.close()
            return np.concatenate(results)

        return on_rows

    def by_pieces(self, function: Callable[..., Any], *rows: tf.Tensor) -> Any:
        """Return `function(*rows)`, computed in pieces; `function` must treat each row by itself.

        There are `pieces` pieces, or fewer if these do not divide the number of rows.
        """
        pieces = math.gcd(self.pieces, static_shape(rows[0])[0])
        return by_pieces(lambda number, *own: function(*own), pieces, *rows)

    def to_replicas(self, values: Sequence[Any]) -> Any:
        """Return an input of `strategy.run`; `values` has one structure per local replica."""
        by_number = dict(zip(self.local, values, strict=True))

        def value(number: int) -> Any:
            if isinstance(self.strategy, tf.distribute.TPUStrategy):  # takes NumPy arrays
                return by_number[number]
            return tf.nest.map_structure(tf.convert_to_tensor, by_number[number])

        return self._on_each(value)

    def to_host(self, values: Any) -> list[Any]:
        """Return the results of `strategy.run` as NumPy arrays, a list by local replica."""
        flat = [self.strategy.experimental_local_results(x) for x in tf.nest.flatten(values)]
        return [
            tf.nest.pack_sequence_as(values, [np.asarray(leaf) for leaf in replica])
            for replica in zip(*flat, strict=True)
        ]

    def total(self, value: int) -> int:
        """Return the sum of the values of all workers, on every worker."""
        if self._alone:
            return value
        own = [np.int64(0 if i else value) for i in range(len(self.local))]
        return int(self.strategy.reduce("SUM", self.to_replicas(own), axis=None))

    def agree(self, value: int) -> int:
        """Return the chief's `value` on every worker."""
        return self.total(value if self.chief else 0)

    def barrier(self) -> None:
        """Wait until every worker has called this."""
        self.agree(0)

    def _on_each(self, value: Callable[[int], Any]) -> Any:
        """Return `value(number)` for each local replica, as an input of `strategy.run`."""
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: value(int(context.replica_id_in_sync_group))
        )


def rows_at_once(count: int, batch: int, least: int) -> int:
    """Return the padded size of the next batch when `count` rows are left: `batch` or less."""
    size = least
    while size < min(count, batch):
        size *= 2
    return min(size, batch)


def _split(arrays: Any, count: int) -> list[Any]:
    """Return `count` equal parts of nested arrays (n, ...), in order."""
    return [
        tf.nest.map_structure(
            lambda x, i=i: x[i * len(x) // count : (i + 1) * len(x) // count], arrays
        )
        for i in range(count)
    ]


def _joined(parts: Sequence[Any]) -> Any:
    """Return the nested arrays that these parts make up, in order; () without parts."""
    if len(parts) < 2:
        return parts[0] if parts else ()
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def _tensors(values: Sequence[Any]) -> list[Any]:
    """Return nested arrays and whole numbers (int32) as tensors; bools stay what they are."""

    def tensor(x: Any) -> Any:
        dtype = None if isinstance(x, np.ndarray) else tf.int32
        return x if isinstance(x, bool) else tf.convert_to_tensor(x, dtype)

    return tf.nest.map_structure(tensor, list(values))
