"""The machine and the software of a benchmark."""

import platform
from pathlib import Path
from typing import Any

import tensorflow as tf

from utils.devices.strategy import CORES


def machine(device: str = "cpu") -> dict[str, Any]:
    """Return processor, cores and versions, and the GPU if it is the device."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        model = next(named, model)
    versions = {"python": platform.python_version(), "tensorflow": tf.__version__}
    if device == "gpu":
        (gpu, *_), details = tf.config.list_physical_devices("GPU"), tf.config.experimental
        versions["gpu"] = details.get_device_details(gpu)["device_name"]
        versions["tf32"] = details.tensor_float_32_execution_enabled()
    return {"processor": model, "cores": CORES, **versions}
