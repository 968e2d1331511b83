"""What the tests share: a TensorFlow with four logical CPUs, and a seeded generator."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def pytest_configure():
    """Start TensorFlow as all tests want it, before a test module can start it otherwise."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    tf.config.list_logical_devices()  # starts it: no test's strategy changes threads for the next


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a NumPy generator, the same for every test."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(0)))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> str:
    """Return a folder in which emoji32 is prepared once, by the first test that needs it."""
    return str(tmp_path_factory.mktemp("emoji32"))


@pytest.fixture
def start_run(tmp_path, monkeypatch, data_dir) -> Callable[..., Path]:
    """Return (main, config, changes) -> run folder of a script, in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def start(main: Callable, config: str, *changes: str) -> Path:
        before = set(tmp_path.glob("runs/*/config.json"))
        main([config, "--set", f"data_dir={data_dir}", "exp_dir=runs", *changes])
        (made,) = set(tmp_path.glob("runs/*/config.json")) - before
        return made.parent

    return start
