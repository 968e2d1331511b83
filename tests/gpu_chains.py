"""A chain on a GPU against the same on the CPU in float64, with the same noise.

    python3 tests/gpu_chains.py

Prints, by precision, formulation and compiler, how far the drift of 20 steps is from that of the
CPU in float64: the norm of the difference over the norm of the drift.
"""

import itertools

import numpy as np
import tensorflow as tf

from nets import create_ebm
from utils.devices.strategy import make_strategy
from utils.mcmc.langevin import Dynamics, langevin
from utils.mcmc.potential import make_potential

STEPS, EPSILON, TEMPERATURE, WIDTH = 20, 0.01, 1e-2, 32
SHAPE = (8, 32, 32, 3)


def main() -> None:
    """Print one line for each way to compute the chain."""
    make_strategy("gpu")
    reference = drift("cpu", "float64", "fused", jit=False)
    print(f"cpu float32: {distance(drift('cpu', 'float32', 'fused', jit=False), reference):.1e}")
    ways = [("float64", False), ("float32", False), ("float32", True), ("bfloat16", True)]
    for (precision, tf32), conv, jit in itertools.product(ways, ("plain", "fused"), (False, True)):
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
        error = distance(drift("gpu", precision, conv, jit=jit), reference)
        print(f"gpu {precision}, TF32 {tf32}, {conv}, jit {jit}: {error:.1e}", flush=True)


def drift(device: str, precision: str, conv: str, *, jit: bool) -> np.ndarray:
    """Return what 20 steps moved the images by, without the noise: (8, 32, 32, 3) float64."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(0)))
    start, noises = rng.uniform(-1, 1, SHAPE), rng.normal(size=(STEPS, *SHAPE))
    dtype = "float64" if precision == "float64" else "float32"
    config = {"net_type": "ebm_sngan", "image_dims": SHAPE[1:], "ebm_width": WIDTH}
    with tf.device(f"/{device}:0"):
        ebm = create_ebm({**config, "precision": precision, "conv": conv})
        noise = tf.constant(noises, dtype)

        def chain(images: tf.Tensor) -> tf.Tensor:
            dynamics = Dynamics(make_potential(ebm, TEMPERATURE), EPSILON)
            return langevin(images, dynamics, num_steps=STEPS, noise=lambda k: noise[k]).images

        ends = tf.function(chain, jit_compile=jit or None)(tf.constant(start, dtype))
    return ends.numpy() - start - EPSILON * noises.sum(axis=0)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the norm of the difference over that of the other."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


if __name__ == "__main__":
    main()
