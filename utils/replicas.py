"""Where a run computes: its replicas, and the one bridge between the host and their device code."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from utils.devices import local_replicas, make_strategy, replica_batch, to_host, to_replicas
from utils.seeds import Key


class Replicas:
    """The devices of a run: `count` replicas, of which this process drives those numbered `local`.

    `batch` is the share of `batch_size` that one replica takes.
    """

    def __init__(self, config: Mapping[str, Any]):
        """Raise UserError for a device that is not there, or a batch that does not divide."""
        self.strategy = make_strategy(config["device_type"], config["num_replicas"])
        self.count = self.strategy.num_replicas_in_sync
        self.local = local_replicas(self.strategy)
        self.batch = replica_batch(config["batch_size"], self.strategy)

    def compile(
        self, function: Callable[..., tuple], seed: int, then: Callable[[], None] = lambda: None
    ) -> Callable[..., tuple[list, dict[str, tf.Tensor]]]:
        """Return `function` as one graph over all replicas, between arrays of the host.

        Called as (step, scalars, *inputs), each input a list of one item per local replica, it runs
        `function(key, *scalars, *items)` on every replica, which returns (arrays, metrics); then
        `then` over all of them. It returns each local replica's arrays, and the metrics' means.
        Whole numbers enter as tensors; truth values choose the graph.
        """

        @tf.function
        def on_all(number, retry, scalars, items):
            def on_replica(items):
                replica = tf.distribute.get_replica_context().replica_id_in_sync_group
                return function(Key(seed, number, replica, retry), *scalars, *items)

            ends, metrics = self.strategy.run(on_replica, (items,))
            then()
            means = {n: self.strategy.reduce("MEAN", x, axis=None) for n, x in metrics.items()}
            return ends, means

        def call(step: tuple[int, int], scalars: Sequence[int], *inputs: Sequence):
            number, retry, *scalars = (
                x if isinstance(x, bool) else tf.constant(x, tf.int32) for x in (*step, *scalars)
            )
            items = to_replicas(self.strategy, list(zip(*inputs, strict=True)))
            ends, means = on_all(number, retry, scalars, items)
            return to_host(self.strategy, ends), means

        return call
