"""Gradients through chains, against TensorFlow's autodiff and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from tests.runs import cpus
from tests.toys import RULES
from utils.attack import gradients
from utils.attack.defense import Defense, Use, make_gradient, make_purify, replayed
from utils.mcmc.potential import make_potential

BASE = {**RULES, "batch_size": 3, "langevin_steps": 4, "epsilon": 0.3}
NAMES = np.tile(np.arange(5, dtype=np.int32)[:, None], (1, 4))


@pytest.fixture
def images(rng) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, (5, 4, 4, 3))


@pytest.fixture
def weights(rng) -> np.ndarray:
    return rng.normal(size=(48, 3))


def smooth(x: tf.Tensor) -> tf.Tensor:
    """A smooth energy that couples pixels: its Hessian is neither 0 nor constant."""
    mixed = tf.sin(2 * x[:, 1:] + x[:, :-1]) + tf.tanh(x[:, :, 1:] * x[:, :, :-1])[:, 1:, :1]
    return tf.reduce_sum(mixed, axis=(1, 2, 3))[:, tf.newaxis]


def linear(weights):
    return lambda x: tf.reshape(x, (tf.shape(x)[0], -1)) @ tf.cast(weights, x.dtype)


def _defense(weights, **changes):
    return Defense({**BASE, **changes}, cpus(), make_potential(smooth, 1.0), linear(weights))


@pytest.mark.parametrize(("kind", "steps"), [("full", 1), ("full", 5), ("surrogate", 5)])
def test_replayed_gradients_equal_differentiation_through_the_chain_and_finite_differences(
    images, weights, kind, steps
):
    """`surrogate`: through the shorter chain."""
    config = {**BASE, "langevin_steps": steps, "surrogate_steps": 2}
    potential, classify, slopes = make_potential(smooth, 1.0), linear(weights), weights[:5]
    gradient = make_gradient(config, kind, potential, classify)
    ours = gradient(tf.constant(images), NAMES, slopes).numpy()
    purify = make_purify(replayed(config, kind), potential)

    def value(x):
        return tf.reduce_sum(classify(purify(x, NAMES).images) * slopes)

    with tf.GradientTape() as tape:
        x = tf.constant(images)
        tape.watch(x)
        total = value(x)
    np.testing.assert_allclose(ours, tape.gradient(total, x), rtol=1e-9, atol=1e-12)
    move = np.zeros_like(images)
    move[2, 1, 2, 0] = 1e-5
    numeric = (value(tf.constant(images + move)) - value(tf.constant(images - move))) / 2e-5
    np.testing.assert_allclose(ours[2, 1, 2, 0], numeric, rtol=1e-6)


def test_a_surrogate_has_the_drift_and_the_noise_of_the_chain_in_all():
    """On a linear potential every pixel value is a chain: mean and variance of the ends."""
    force = 2.0
    potential = make_potential(lambda x: force * tf.reduce_sum(x, axis=(1, 2, 3))[:, None], 1.0)
    config = {**BASE, "langevin_steps": 8, "surrogate_steps": 2}
    for kind in ("full", "surrogate"):
        purify = make_purify(replayed(config, kind), potential)
        change = purify(tf.zeros((1, 128, 128, 3)), NAMES[:1]).images.numpy()
        error = 0.3 * np.sqrt(8 / change.size)
        assert abs(change.mean() + force * 8 * 0.3**2 / 2) < 5 * error  # five standard errors
        assert change.std() == pytest.approx(0.3 * np.sqrt(8), rel=0.02)


def test_full_equals_bpda_on_a_network_of_relu_and_mean_pooling(images, weights, rng):
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 8)))

    def energy(x):
        features = tf.nn.avg_pool2d(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")), 2, 2, "VALID")
        return tf.reduce_sum(features, axis=(1, 2, 3))[:, tf.newaxis]

    potential, names = make_potential(energy, 1.0), np.zeros((5, 4), np.int32)
    images = tf.constant(images)
    purified = make_purify(BASE, potential)(images, names).images
    results = {
        kind: make_gradient(BASE, kind, potential, linear(weights))(x, names, weights[:5]).numpy()
        for kind, x in (("bpda", purified), ("full", images), ("smoothed", images))
    }
    np.testing.assert_array_equal(results["full"], results["bpda"])
    assert np.abs(results["smoothed"] - results["bpda"]).max() > 1e-3, "kinks do count"


def test_smoothed_is_exact_where_the_potential_is_quadratic(images, rng):
    scale = rng.uniform(1, 2, images.shape[1:])

    def quadratic(x):
        return tf.reduce_sum(scale * x**2, axis=(1, 2, 3)) / 2

    v = tf.constant(rng.normal(size=images.shape))
    product = gradients.smoothed_hessian_product(quadratic, 0.1)(tf.constant(images), v)
    np.testing.assert_allclose(product, scale * v, rtol=1e-9)
    assert not np.any(
        gradients.smoothed_hessian_product(quadratic, 0.1)(tf.constant(images), 0 * v)
    )


def test_smoothed_sees_kinks_as_the_chain_does_on_average(rng):
    """Half of the pixels lie in a kink of U = 2 |x|, whose contraction an exact Hessian misses.

    U is separable, so that each pixel value is a chain: the truth is how much their means contract.
    """
    shape = (1, 64, 64, 3)
    in_kink = (np.arange(np.prod(shape)).reshape(shape) % 2).astype(np.float32)
    slopes = rng.normal(size=(1, in_kink.size)).astype(np.float32)
    potential = make_potential(
        lambda x: tf.reduce_sum(2 * in_kink * tf.abs(x), axis=(1, 2, 3))[:, None], 1.0
    )
    config = {**BASE, "langevin_steps": 6}
    purify = make_purify(config, potential)
    ahead, behind = (purify(tf.fill(shape, x), NAMES[:1]).images.numpy() for x in (0.1, -0.1))
    contraction = [(ahead - behind)[in_kink == kink].mean() / 0.2 for kink in (0, 1)]
    assert contraction[0] == pytest.approx(1, abs=1e-4)
    assert contraction[1] < 0.5
    truth = slopes.ravel() * np.array(contraction)[in_kink.ravel().astype(int)]

    def cosine(kind: str) -> float:
        gradient = make_gradient(config, kind, potential, lambda x: tf.reshape(x, (1, -1)))
        found = gradient(tf.zeros(shape), NAMES[:1], slopes).numpy().ravel()
        return found @ truth / np.linalg.norm(found) / np.linalg.norm(truth)

    assert cosine("full") < 0.9
    assert cosine("smoothed") > 0.94


@pytest.mark.parametrize("kind", ["full", "smoothed"])
def test_a_path_kept_from_the_prediction_gives_the_gradient_of_a_replayed_one(
    images, weights, kind
):
    """And needs no replay, unless `attack_memory_gb` is too small to keep it."""
    images, results, steps = images.astype(np.float32), [], []
    for memory in (1.0, 1e-9):
        defense = _defense(weights, attack_memory_gb=memory)
        purified = defense.purify(images, np.arange(5), Use.ATTACK, 0, 2, kept=True)
        assert (purified.paths is None) == (memory < 1)
        few = purified.of(np.arange(5) > 1)
        results.append(defense.gradient(few, weights[:3].astype(np.float32), kind))
        steps.append(defense.image_steps)
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)
    assert steps == [5 * 2 * 4, 5 * 2 * 4 + 3 * 2 * 4]


def test_expectations_are_means_over_the_purifications(images, weights):
    """EOT against NumPy: each chain on its own, then averaged."""
    images, defense = images.astype(np.float32), _defense(weights)
    indices = np.arange(5)
    together = defense.logits(defense.purify(images, indices, Use.ATTACK, 3, 7)).mean(axis=1)
    names = np.array([[i, 1, 3, r] for i in indices for r in range(7)], np.int32)
    purify = make_purify(BASE, make_potential(smooth, 1.0))
    alone = [purify(tf.constant(images[n[:1]]), n[None]).images.numpy().reshape(48) for n in names]
    expected = (np.stack(alone) @ weights.astype(np.float32)).reshape(5, 7, 3).mean(axis=1)
    np.testing.assert_allclose(together, expected, rtol=1e-4, atol=1e-4)  # float32 sums


def test_noise_is_fresh_in_every_use_and_round_or_fixed(images, weights):
    images, indices = images.astype(np.float32), np.arange(5)
    for kind, same in (("fresh", False), ("fixed", True)):
        defense = _defense(weights, attack_noise=kind)
        first = defense.purify(images, indices, Use.ATTACK, 0, 2).rows
        for use, number in ((Use.ATTACK, 1), (Use.VERIFY, 0)):
            again = defense.purify(images, indices, use, number, 2).rows
            assert np.allclose(first, again, atol=1e-5) == same
        same_name = defense.purify(images, indices, Use.ATTACK, 0, 2).rows
        np.testing.assert_array_equal(first, same_name)
