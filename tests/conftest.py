"""What the tests share: a TensorFlow with four logical CPUs, and a seeded generator."""

import os
from pathlib import Path

import numpy as np
import pytest


def pytest_configure():
    """Start TensorFlow as all tests want it, before a test module can start it otherwise."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a NumPy generator, the same for every test."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(0)))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).resolve().parent.parent
