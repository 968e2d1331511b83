"""Where a run computes: one way to make a strategy, and how host arrays reach its replicas."""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from utils.errors import UserError
from utils.termination import end_at_signals

# Those that this process may use; macOS does not say.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# In a part of a large batch: fewer would only take longer to trace, more leave the caches.
PART_IMAGES = (8, 16)
ON_CPU = "to run on the CPU add --set device_type=cpu"


def make_strategy(device_type: str, num_replicas: int = 1) -> tf.distribute.Strategy:
    """Return the strategy of `device_type`; this must be the first TensorFlow call of a script.

    `num_replicas` (cpu only) makes as many logical devices. With TF_CONFIG in the environment, cpu
    and gpu runs spread over the machines that it names. Raises UserError when a device is missing.
    """
    # TensorFlow's remapper fails on a residual sum that both a relu and a shortcut read (2.21), and
    # says so in an error line; it would change nothing else in our graphs.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    if device_type == "tpu":
        return _tpu_strategy()
    if device_type == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise UserError(f"device_type 'gpu': TensorFlow sees no GPU here; {ON_CPU}")
    if os.environ.get("TF_CONFIG"):
        if num_replicas > 1:
            raise UserError(
                f"num_replicas {num_replicas} is for one machine; TF_CONFIG names several: "
                "add --set num_replicas=1"
            )
        return _multi_worker_strategy()
    if device_type == "gpu":
        return tf.distribute.MirroredStrategy()
    if num_replicas == 1:
        return tf.distribute.OneDeviceStrategy("/cpu:0")
    _split_cpu(num_replicas)
    # On one CPU a plain sum; collective operations of a second strategy in one process would fail.
    return tf.distribute.MirroredStrategy(
        [f"/cpu:{i}" for i in range(num_replicas)], tf.distribute.ReductionToOneDevice()
    )


def replica_batch(batch_size: int, strategy: tf.distribute.Strategy) -> int:
    """Return the batch of one replica; raises UserError when `batch_size` does not divide."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"batch_size {batch_size} does not divide over {replicas} replicas: "
            f"use a multiple of {replicas}, for example --set batch_size="
            f"{max(1, round(batch_size / replicas)) * replicas}"
        )
    return batch_size // replicas


def side_by_side(batch: int | None) -> int:
    """Return into how many equal parts to cut a batch whose images do not depend on each other.

    On a processor with TF_NUM_INTRAOP_THREADS=1, one thread an operation: a multiple of its
    cores, parts so small that its caches hold them. One part elsewhere, and where the batch does
    not divide or is not known.
    """
    alone = os.environ.get("TF_NUM_INTRAOP_THREADS") == "1"
    accelerated = any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU"))
    if batch is None or not alone or accelerated:
        return 1
    fewest, cached = PART_IMAGES
    most = max(CORES, batch // fewest)
    fitting = [n for n in range(CORES, most + 1, CORES) if batch % n == 0]
    return next((n for n in fitting if batch <= n * cached), max(fitting, default=1))


def local_replicas(strategy: tf.distribute.Strategy) -> list[int]:
    """Return the global numbers of the replicas that this process drives."""
    numbers: list[int] = []

    def note(context: tf.distribute.experimental.ValueContext) -> np.ndarray:
        numbers.append(int(context.replica_id_in_sync_group))
        return np.zeros(1, np.float32)

    strategy.experimental_distribute_values_from_function(note)
    return numbers


def to_replicas(strategy: tf.distribute.Strategy, values: Sequence[Any]) -> Any:
    """Return an input of `strategy.run`: one structure of arrays for each local replica."""
    by_number = dict(zip(local_replicas(strategy), values, strict=True))

    def value(context: tf.distribute.experimental.ValueContext) -> Any:
        arrays = by_number[int(context.replica_id_in_sync_group)]
        if isinstance(strategy, tf.distribute.TPUStrategy):  # places NumPy arrays by itself
            return arrays
        return tf.nest.map_structure(tf.convert_to_tensor, arrays)

    return strategy.experimental_distribute_values_from_function(value)


def to_host(strategy: tf.distribute.Strategy, values: Any) -> list[Any]:
    """Return the NumPy arrays that each local replica returned from `strategy.run`."""
    flat = [strategy.experimental_local_results(leaf) for leaf in tf.nest.flatten(values)]
    return [
        tf.nest.pack_sequence_as(values, [np.asarray(leaf) for leaf in replica])
        for replica in zip(*flat, strict=True)
    ]


def over_replicas(
    strategy: tf.distribute.Strategy,
    function: Callable[..., Any],
    batch: int,
    least: int | None = None,
) -> Callable[..., np.ndarray]:
    """Return (n, ...) arrays -> `function` of their rows, (n, ...), up to `batch` rows at a time.

    Rows are spread over all replicas. The last ones are filled up by rows that are then left out,
    to `least` rows (None: `batch`), or to that doubled until they fit: so there are few shapes, and
    one trace each. `function` must treat every row by itself.
    """
    replicas = strategy.num_replicas_in_sync
    workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)

    def on_replica(*rows: tf.Tensor) -> tf.Tensor:
        result = function(*rows)
        # A mirrored strategy's gathers fail at times when they follow each other.
        return tf.distribute.get_replica_context().all_gather(result, axis=0) if workers else result

    # Collectives in here: called eagerly each would build a function anew.
    on_all = tf.function(lambda rows: strategy.run(on_replica, rows))

    def on_rows(*arrays: np.ndarray) -> np.ndarray:
        count, first, results = len(arrays[0]), 0, []
        while first < count:
            share = -(-rows_at_once(count - first, batch, least or batch) // replicas)
            rows = np.minimum(np.arange(first, first + share * replicas), count - 1)
            inputs = [
                tuple(array[rows[number * share : (number + 1) * share]] for array in arrays)
                for number in local_replicas(strategy)
            ]
            values = to_host(strategy, on_all(to_replicas(strategy, inputs)))
            whole = values[0] if workers else np.concatenate(values)
            results.append(whole[: count - first])
            first += share * replicas
        return np.concatenate(results)

    return on_rows


def rows_at_once(count: int, batch: int, least: int) -> int:
    """Return the size of the next batch of `count` rows: `batch`, or less where fewer are left."""
    size = least
    while size < min(count, batch):
        size *= 2
    return min(size, batch)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process writes the run folder: it is alone, or worker 0."""
    resolver = strategy.cluster_resolver
    return (
        resolver is None or resolver.task_type in (None, "chief") or resolver.task_id in (None, 0)
    )


def total(strategy: tf.distribute.Strategy, value: int) -> int:
    """Return the sum of all workers' values, on every worker."""
    if strategy.cluster_resolver is None or not os.environ.get("TF_CONFIG"):
        return value
    own = [np.int64(0 if i else value) for i in range(len(local_replicas(strategy)))]
    return int(strategy.reduce("SUM", to_replicas(strategy, own), axis=None))


def agree(strategy: tf.distribute.Strategy, value: int) -> int:
    """Return the chief's `value` on every worker."""
    return total(strategy, value if is_chief(strategy) else 0)


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Wait until every worker is here."""
    agree(strategy, 0)


def _split_cpu(num_replicas: int) -> None:
    """Make the logical CPUs, unless TensorFlow already started with enough of them."""
    try:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * num_replicas,
        )
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < num_replicas:
            raise UserError(
                f"num_replicas {num_replicas}: TensorFlow already started with fewer logical CPUs"
            ) from error


def _multi_worker_strategy() -> tf.distribute.Strategy:
    try:
        cluster = json.loads(os.environ["TF_CONFIG"])
        (_only_kind,) = cluster["cluster"]  # no chief, no evaluator beside the workers
        cluster["cluster"]["worker"][cluster["task"]["index"]]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise UserError(
            "TF_CONFIG must be JSON like "
            '{"cluster": {"worker": ["host0:port", "host1:port"]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from error
    print("joining the other workers; until all are there only SIGKILL ends this one", flush=True)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    end_at_signals()
    return strategy


def _tpu_strategy() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # without a TPU TensorFlow raises many kinds
        raise UserError(f"device_type 'tpu': no TPU on this machine; {ON_CPU}") from error
    return tf.distribute.TPUStrategy(resolver)
