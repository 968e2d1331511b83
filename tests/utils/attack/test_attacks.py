import numpy as np
import pytest
import tensorflow as tf

from tests.runs import cpus
from utils.attack import attacks
from utils.attack.defense import Defense, Use, make_gradient, make_purify
from utils.mcmc.potential import make_potential

BASE = {
    "seed": 0, "image_dims": [4, 4, 3], "batch_size": 3, "chain_batch": None, "langevin_steps": 4,
    "epsilon": 0.3, "attack_gradient": "bpda", "attack_noise": "fresh", "attack_memory_gb": 1.0,
    "mcmc_temp": 1.0, "tau": None, "prior_weights": None,
}  # fmt: skip
NORMS = ("linf", "l2")


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


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("start", ["center", "random"])
def test_ascent_on_a_linear_loss_reaches_the_known_optimum(images, rng, norm, start):
    slope, radius = rng.normal(size=images.shape), 0.1
    current = images
    if start == "random":
        current = attacks.random_in_ball(images, radius, norm, [rng] * len(images))
    for _ in range(400):
        current = attacks.project(attacks.step_up(current, slope, 0.02, norm), images, radius, norm)
    gain = np.sum(slope * (current - images), axis=(1, 2, 3))
    absolute = np.abs(slope).sum(axis=(1, 2, 3))
    known = radius * (absolute if norm == "linf" else np.sqrt((slope**2).sum(axis=(1, 2, 3))))
    np.testing.assert_allclose(gain, known, rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_projection_is_in_the_ball_and_the_pixels_range_and_leaves_inner_points(rng, norm):
    centers = rng.uniform(-1, 1, (6, 4, 4, 3))
    far = attacks.project(centers + rng.normal(size=centers.shape), centers, 0.2, norm)
    change = far - centers
    size = np.abs(change).max() if norm == "linf" else np.sqrt((change**2).sum((1, 2, 3))).max()
    assert size <= 0.2 + 1e-12
    assert np.abs(far).max() <= 1
    near = 0.9 * centers
    near = attacks.project(near, near, 0.0, norm)
    np.testing.assert_allclose(near, 0.9 * centers)


@pytest.mark.parametrize("norm", NORMS)
def test_random_starts_fill_the_ball(rng, norm):
    """Uniform draws in D = 48 dimensions: the mean of (distance / radius)^D is 1/2."""
    centers = np.zeros((2000, 4, 4, 3))
    drawn = attacks.random_in_ball(centers, 0.5, norm, [rng] * 2000).reshape(2000, -1)
    distance = np.abs(drawn).max(axis=1) if norm == "linf" else np.linalg.norm(drawn, axis=1)
    shares = (distance / 0.5) ** 48
    assert shares.max() <= 1 + 1e-9
    assert abs(shares.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 2000)  # five standard errors


@pytest.mark.parametrize("norm", NORMS)
def test_random_perturbations_of_full_size_lie_where_attacks_end(rng, norm):
    """Every pixel at the radius, or every image: in all directions, and clipped as the attack's."""
    centers = np.zeros((2000, 4, 4, 3))
    drawn = attacks.random_at_radius(centers, 0.5, norm, [rng] * 2000).reshape(2000, -1)
    sizes = np.abs(drawn) if norm == "linf" else np.linalg.norm(drawn, axis=1)
    np.testing.assert_allclose(sizes, 0.5, rtol=1e-12)
    spread = 0.5 if norm == "linf" else 0.5 / np.sqrt(48)
    assert np.abs(drawn.mean(axis=0)).max() < 5 * spread / np.sqrt(2000)  # five standard errors
    at_border = attacks.random_at_radius(centers + 1, 0.5, norm, [rng] * 2000)
    assert at_border.max() == 1


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_slopes_are_the_derivatives_of_the_losses(rng, loss):
    logits, labels = tf.constant(rng.normal(size=(6, 4)), tf.float32), np.arange(6) % 4
    with tf.GradientTape() as tape:
        tape.watch(logits)
        if loss == "cross_entropy":
            value = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        else:
            truth = tf.one_hot(labels, 4)
            value = tf.reduce_max(logits - 1e9 * truth, 1) - tf.reduce_sum(logits * truth, 1)
    expected = tape.gradient(value, logits)
    slopes = attacks.loss_slopes(logits.numpy(), labels, loss)
    np.testing.assert_allclose(slopes, expected, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 5])
def test_full_equals_differentiation_through_the_chain_and_finite_differences(
    images, weights, steps
):
    config = {**BASE, "attack_gradient": "full", "langevin_steps": steps}
    potential, classify = make_potential(smooth, 1.0), linear(weights)
    names = np.tile(np.arange(5, dtype=np.int32)[:, None], (1, 4))
    slopes = weights[:5]
    ours = make_gradient(config, potential, classify)(tf.constant(images), names, slopes).numpy()
    purify = make_purify(config, potential)

    def value(x):
        return tf.reduce_sum(classify(purify(x, names).images) * slopes)

    with tf.GradientTape() as tape:
        x = tf.constant(images)
        tape.watch(x)
        total = value(x)
    np.testing.assert_allclose(ours, tape.gradient(total, x), rtol=1e-9, atol=1e-12)
    move = np.zeros_like(images)
    move[2, 1, 2, 0] = 1e-5
    numeric = (value(tf.constant(images + move)) - value(tf.constant(images - move))) / 2e-5
    np.testing.assert_allclose(ours[2, 1, 2, 0], numeric, rtol=1e-6)


def test_full_equals_bpda_on_a_network_of_relu_and_mean_pooling(images, weights, rng):
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 8)))

    def energy(x):
        features = tf.nn.avg_pool2d(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")), 2, 2, "VALID")
        return tf.reduce_sum(features, axis=(1, 2, 3))[:, tf.newaxis]

    potential, names = make_potential(energy, 1.0), np.zeros((5, 4), np.int32)
    images = tf.constant(images)
    purified = make_purify(BASE, potential)(images, names).images
    results = {
        kind: make_gradient({**BASE, "attack_gradient": kind}, potential, linear(weights))(
            x, names, weights[:5]
        ).numpy()
        for kind, x in (("bpda", purified), ("full", images), ("smoothed", images))
    }
    np.testing.assert_array_equal(results["full"], results["bpda"])
    assert np.abs(results["smoothed"] - results["bpda"]).max() > 1e-3, "kinks do count"


def test_smoothed_is_exact_where_the_potential_is_quadratic(images, rng):
    scale = rng.uniform(1, 2, images.shape[1:])

    def quadratic(x):
        return tf.reduce_sum(scale * x**2, axis=(1, 2, 3)) / 2

    v = tf.constant(rng.normal(size=images.shape))
    product = attacks.smoothed_hessian_product(quadratic, 0.1)(tf.constant(images), v)
    np.testing.assert_allclose(product, scale * v, rtol=1e-9)
    assert not np.any(attacks.smoothed_hessian_product(quadratic, 0.1)(tf.constant(images), 0 * v))


def test_expectations_are_means_over_the_purifications(images, weights):
    """EOT against NumPy: each chain on its own, then averaged."""
    images, defense = images.astype(np.float32), _defense(weights)
    indices = np.arange(5)
    together = defense.logits(defense.purify(images, indices, Use.ATTACK, 3, 7))
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
