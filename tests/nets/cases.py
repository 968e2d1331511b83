"""Small members of every network family, with weights as if trained, and their plain formulas."""

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from nets import EBMS, GENERATORS, create_clf, create_ebm, create_gen
from tests.nets import plain

# Names, shapes and order of the variables of every published checkpoint.
PUBLISHED = json.loads((Path(__file__).parent / "checkpoint_variables.json").read_text())
SMALL_WIDTHS = {
    "ebm_sngan": 64,
    "ebm_biggan": 8,
    "gen_sngan": 16,
    "gen_biggan": 4,
    "gen_biggan_cond": 4,
}
NETWORKS = [
    (kind, size) for kind, (_, sizes) in {**EBMS, **GENERATORS}.items() for size in sizes
] + [("clf_wrn", 32)]
# Sizes whose network another size has as well; the slow tests take them too.
SHARED = [("ebm_biggan", 256), ("gen_biggan_cond", 128), ("gen_biggan_cond", 256)]
ALL_NETWORKS = [
    pytest.param(
        *network, marks=[pytest.mark.slow] * (network in SHARED), id="{}_{}".format(*network)
    )
    for network in NETWORKS
]
CLF_DEPTH, NUM_CLASSES, TRUNCATION = 16, 5, 0.37


def create(kind: str, size: int, **config) -> keras.Model:
    """Return a network; without more in `config`, the published width."""
    config = {"image_dims": [size, size, 3], "net_type": kind, "gen_type": kind, **config}
    if kind == "clf_wrn":
        return create_clf({"num_classes": 10, **config})
    return create_ebm(config) if kind in EBMS else create_gen(config)


def create_small(kind: str, size: int, **config) -> keras.Model:
    """Return a narrow network."""
    if kind == "clf_wrn":
        small = {"clf_depth": CLF_DEPTH, "clf_width": 1, "num_classes": NUM_CLASSES}
    else:
        small = {"ebm_width": SMALL_WIDTHS[kind], "gen_width": SMALL_WIDTHS[kind]}
    return create(kind, size, **{**small, **config})


def train_like(model: keras.Model, rng: np.random.Generator) -> None:
    """Move every variable off its start: biases, norms and statistics as training leaves them."""
    for variable in model.variables:
        shape, leaf = tuple(variable.shape), variable.path.rsplit("/", 1)[1]
        if leaf == "kernel":
            is_conditional = "/scale/" in variable.path or "/offset/" in variable.path
            variable.assign(tf.convert_to_tensor(variable) * (0.1 if is_conditional else 1))
        elif leaf in ("moving_variance", "var"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif leaf in ("gamma", "w"):
            variable.assign(1 + 0.2 * rng.standard_normal(shape))
        else:
            variable.assign(0.1 * rng.standard_normal(shape))


def weights_of(model: keras.Model, dtype: type = np.float64) -> dict[str, np.ndarray]:
    """Return the variables of a model by published name."""
    return {
        v.path.split("/", 1)[1].replace(".", "/"): tf.convert_to_tensor(v).numpy().astype(dtype)
        for v in model.variables
    }


def draw_input(
    model: keras.Model, size: int, count: int, rng: np.random.Generator, channels: int = 3
) -> np.ndarray:
    """Return images, or latents for a generator, in float64."""
    if hasattr(model, "z_sz"):
        return rng.standard_normal((count, model.z_sz))
    return rng.uniform(-1, 1, (count, size, size, channels))


def apply(model: keras.Model, kind: str, x: tf.Tensor) -> tf.Tensor:
    """Return the network's output; the conditional generator's at fixed labels and truncation."""
    if kind == "gen_biggan_cond":
        return model(x, labels=tf.range(tf.shape(x)[0]) * 7, truncation=TRUNCATION)
    return model(x)


def apply_plain(weights: plain.Weights, kind: str, size: int, x: tf.Tensor) -> tf.Tensor:
    """Return the output of the plain formula of the same network."""
    if kind == "gen_biggan_cond":
        return plain.gen_biggan_cond(weights, x, size, np.arange(len(x)) * 7, TRUNCATION)
    if kind == "clf_wrn":
        return plain.wide_resnet(weights, x, CLF_DEPTH)
    return getattr(plain, kind)(weights, x, size)


def values_and_gradients(function: Callable, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return f(x), and for each input the gradient of a fixed weighted sum of its output."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
        weights = np.cos(np.arange(np.prod(y.shape[1:]))).reshape(y.shape[1:])
        total = tf.reduce_sum(y * tf.cast(weights, y.dtype))
    return y.numpy(), tape.gradient(total, x).numpy()


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference, relative to the largest value."""
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
