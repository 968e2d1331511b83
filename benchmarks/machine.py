"""What a benchmark ran on, and with."""

import platform
from pathlib import Path
from typing import Any

import tensorflow as tf

from utils.devices.strategy import CORES


def machine() -> dict[str, Any]:
    """Return the processor's name, where Linux tells it, its cores, and the versions in use."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        model = next(named, model)
    versions = {"python": platform.python_version(), "tensorflow": tf.__version__}
    return {"processor": model, "cores": CORES, **versions}
