"""The strategy of a run: devices, threads, and machines."""

import contextlib
import json
import os

from utils.before_tensorflow import LOG_LEVEL, ONEDNN

import tensorflow as tf

from utils.devices.termination import end_at_signals
from utils.errors import UserError, first_line

# Cores that this process may use; macOS reports only all of them.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
INTRA_OP, INTER_OP = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
ON_CPU = "to run on the CPU add --set device_type=cpu"


def make_strategy(
    device_type: str,
    num_replicas: int = 1,
    *,
    threads: int | None = None,
    deterministic: bool | None = None,
) -> tf.distribute.Strategy:
    """Return the strategy of `device_type`; this must be the first TensorFlow call of a script.

    On a CPU there are `num_replicas` logical devices, each operation has one thread, and `threads`
    operations (None: one per allowed core) run side by side. With TF_CONFIG in the environment, cpu
    and gpu runs use all the machines that it names. `deterministic` (None: True on CPUs) refuses
    operations that may sum in another order in each run. Raises UserError for missing devices or
    cores.
    """
    if device_type == "cpu" if deterministic is None else deterministic:
        tf.config.experimental.enable_op_determinism()
    # TensorFlow's remapper (2.21) fails on a residual sum that both a relu and a shortcut read, and
    # prints an error line; it would change nothing else in our graphs.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    if device_type == "tpu":
        return _tpu_strategy()
    gpus = tf.config.list_physical_devices("GPU") if device_type == "gpu" else []
    if device_type == "gpu" and not gpus:
        raise UserError(
            f"device_type 'gpu': TensorFlow sees no GPU here (put {LOG_LEVEL}=0 before the command "
            f"to see why); {ON_CPU}"
        )
    if device_type == "cpu":
        _set_threads(threads)
    if os.environ.get("TF_CONFIG"):
        if num_replicas > 1:
            raise UserError(
                f"num_replicas {num_replicas} is for one machine; TF_CONFIG names several: "
                "add --set num_replicas=1"
            )
        return _multi_worker_strategy()
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    if num_replicas == 1:
        return tf.distribute.OneDeviceStrategy(f"/{device_type}:0")
    _split_cpu(num_replicas)
    # One CPU needs a plain sum only; collectives of a second strategy in one process would fail.
    return tf.distribute.MirroredStrategy(
        [f"/cpu:{i}" for i in range(num_replicas)], tf.distribute.ReductionToOneDevice()
    )


def set_by_user(threads: int | None = None) -> list[str]:
    """Return the environment variables (NAME=VALUE) that replace our own choices."""
    ours = {ONEDNN: "1", INTRA_OP: "1", INTER_OP: str(threads or CORES)}
    return [
        f"{name}={os.environ[name]}"
        for name in ours
        if os.environ.get(name, ours[name]) != ours[name]
    ]


def _set_threads(threads: int | None) -> None:
    """Set the threads of TensorFlow, unless the environment sets them or TensorFlow has started."""
    if threads is not None and threads > CORES:
        raise UserError(
            f"'threads' {threads}: {CORES} cores are allowed here; choose at most {CORES}, or "
            "--set threads=None for all of them"
        )
    for name, set_count, count in (
        (INTRA_OP, tf.config.threading.set_intra_op_parallelism_threads, 1),
        (INTER_OP, tf.config.threading.set_inter_op_parallelism_threads, threads or CORES),
    ):
        if name not in os.environ:
            with contextlib.suppress(RuntimeError):  # TensorFlow has started, for example in tests
                set_count(count)


def _split_cpu(num_replicas: int) -> None:
    """Make the logical CPUs, unless TensorFlow has started with enough of them."""
    try:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * num_replicas,
        )
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < num_replicas:
            raise UserError(
                f"num_replicas {num_replicas}: TensorFlow has started with fewer logical CPUs"
            ) from error


def _multi_worker_strategy() -> tf.distribute.Strategy:
    try:
        cluster = json.loads(os.environ["TF_CONFIG"])
        (_only_kind,) = cluster["cluster"]  # no chief, no evaluator beside the workers
        workers, task = cluster["cluster"]["worker"], cluster["task"]
        is_worker = workers[task["index"]] and task["type"] == "worker"
        have_ports = all(worker.rpartition(":")[2].isdecimal() for worker in workers)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        is_worker = have_ports = False
    if not (is_worker and have_ports):
        raise UserError(
            "TF_CONFIG must be JSON like "
            '{"cluster": {"worker": ["host0:port", "host1:port"]}, '
            '"task": {"type": "worker", "index": 0}}'
        )
    tf.config.list_physical_devices()  # whose log lines belong before a script's own
    print("waiting for the other workers; until all have started, only SIGKILL ends this one",
          flush=True)  # fmt: skip
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:  # the port is in use
        raise UserError(
            f"TF_CONFIG: cannot listen at {workers[task['index']]} ({first_line(error)}): name a "
            "free port of this machine"
        ) from error
    end_at_signals()
    return strategy


def _tpu_strategy() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # without a TPU TensorFlow raises many kinds
        reason = first_line(error)
        raise UserError(
            f"device_type 'tpu': no TPU on this machine ({reason}); {ON_CPU}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)
