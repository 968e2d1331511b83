import numpy as np
import pytest
import tensorflow as tf

from utils.mcmc.langevin import Dynamics, image_norms, langevin, share_saturated
from utils.mcmc.noise import make_noise
from utils.mcmc.potential import make_potential
from utils.seeds import Purpose, fold

SHAPE = (6, 4, 4, 3)


def _images(seed: int, shape=SHAPE, dtype=np.float64) -> tf.Tensor:
    return tf.constant(np.random.Generator(np.random.Philox(seed)).normal(size=shape), dtype)


def _quadratic(scale: float):
    return lambda x: tf.reduce_sum(tf.square(x), axis=(1, 2, 3)) / (2 * scale**2)


def _quartic(x):
    return tf.reduce_sum(x**4 / 4 + x**2 / 2, axis=(1, 2, 3))


def test_chain_of_a_quadratic_potential_has_the_known_variance():
    """x' = a x + eps z with a = 1 - eps^2 / 2 s^2 has the variance eps^2 / (1 - a^2)."""
    epsilon, scale = 0.8, 1.3
    start = tf.zeros((50, 20, 20, 3), tf.float64)
    noise = make_noise(fold(1, Purpose.CHAIN), start)
    chain = tf.function(langevin)(
        start, Dynamics(_quadratic(scale), epsilon), num_steps=60, noise=noise
    )
    decay = 1 - epsilon**2 / (2 * scale**2)
    expected = epsilon**2 / (1 - decay**2)
    # A variance from n draws has the relative standard error sqrt(2/n); five of them.
    assert np.var(chain.images) == pytest.approx(expected, rel=5 * np.sqrt(2 / 60_000))
    assert abs(np.mean(chain.images)) < 5 * np.sqrt(expected / 60_000)


def test_chain_equals_numpy_with_the_same_noise():
    start, epsilon, steps = _images(1), 0.3, 5
    noise = make_noise(fold(7, Purpose.CHAIN), start)
    chain = langevin(
        start, Dynamics(_quartic, epsilon), num_steps=steps, noise=noise, keep_path=True
    )
    x, path = start.numpy(), [start.numpy()]
    for k in range(steps):
        drift = epsilon**2 / 2 * (x**3 + x)
        x = x - drift + epsilon * noise(k).numpy()
        path.append(x)
    np.testing.assert_allclose(chain.images, x, rtol=1e-12)
    np.testing.assert_allclose(chain.path, np.stack(path), rtol=1e-12)
    expected = np.sqrt(np.sum(drift**2, axis=(1, 2, 3)))
    np.testing.assert_allclose(chain.grad_norms, expected, rtol=1e-12)


def test_a_chain_that_keeps_no_path_has_no_array_of_a_size_known_late():
    """For which XLA would compile anew for every number of steps."""

    @tf.function
    def run(images, num_steps):
        return langevin(images, Dynamics(_quartic, 0.3), num_steps=num_steps, noise=None).images

    graph = run.get_concrete_function(_images(1), tf.constant(2)).graph
    arrays = [op for op in graph.get_operations() if op.type.startswith("TensorList")]
    assert arrays
    assert all(tf.get_static_value(op.inputs[1]) is not None for op in arrays)


def test_clipping_bounds_each_images_drift_and_leaves_small_ones():
    start = _images(2) * tf.reshape(
        tf.constant([0.01, 0.1, 1, 5, 10, 50], tf.float64), (6, 1, 1, 1)
    )
    epsilon, max_norm = 0.5, 0.4
    free = langevin(start, Dynamics(_quadratic(1), epsilon), num_steps=1, noise=None)
    clipped = langevin(start, Dynamics(_quadratic(1), epsilon, max_norm), num_steps=1, noise=None)
    np.testing.assert_allclose(
        clipped.grad_norms, np.minimum(free.grad_norms, max_norm), rtol=1e-12
    )
    direction = (start - clipped.images) / tf.reshape(clipped.grad_norms, (6, 1, 1, 1))
    expected = start / tf.reshape(image_norms(start), (6, 1, 1, 1))
    np.testing.assert_allclose(direction, expected, rtol=1e-9)


def test_segments_are_one_chain():
    start = _images(3)
    noise = make_noise(fold(3, Purpose.CHAIN), start)
    dynamics = Dynamics(_quartic, 0.2)
    whole = langevin(start, dynamics, num_steps=9, noise=noise)
    part = langevin(start, dynamics, num_steps=4, noise=noise)
    rest = langevin(part.images, dynamics, num_steps=5, noise=noise, first_step=tf.constant(4))
    np.testing.assert_array_equal(whole.images, rest.images)


def test_no_steps_change_nothing_and_have_no_gradient():
    start = _images(4)
    chain = langevin(start, Dynamics(_quartic, 0.2), num_steps=0, noise=None)
    np.testing.assert_array_equal(chain.images, start)
    np.testing.assert_array_equal(chain.grad_norms, np.zeros(6))


def test_step_size_zero_moves_nothing():
    start = _images(4)
    noise = make_noise(fold(3, Purpose.CHAIN), start)
    chain = langevin(start, Dynamics(_quartic, 0.0), num_steps=3, noise=noise)
    np.testing.assert_array_equal(chain.images, start)


def test_potential_is_the_sum_of_the_design():
    """U = (f/T + f_prior/T_prior)/T_joint + |x|^2/(2 tau^2), the Gaussian undivided."""
    x = _images(6)

    def energy(x):
        return tf.reduce_sum(x, axis=(1, 2, 3))[:, None]

    def prior(x):
        return tf.reduce_sum(x**2, axis=(1, 2, 3))[:, None]

    f, g, square = (np.sum(a, axis=(1, 2, 3)) for a in (x, x**2, x**2))
    cases = [
        (make_potential(energy, 0.5), f / 0.5),
        (make_potential(energy, 0.5, joint_temperature=7.0), f / 0.5),
        (make_potential(energy, 0.5, tau=0.15), f / 0.5 + square / (2 * 0.15**2)),
        (
            make_potential(
                energy, 0.5, prior=prior, prior_temperature=0.2, tau=0.15, joint_temperature=1.01
            ),
            (f / 0.5 + g / 0.2) / 1.01 + square / (2 * 0.15**2),
        ),
    ]
    for potential, expected in cases:
        np.testing.assert_allclose(potential(x), expected, rtol=1e-12)


def test_saturated_values_are_those_far_outside_the_range():
    images = tf.constant([[[[0.0, 1.0, -1.2], [1.3, -9.0, 1.24]]]], tf.float32)
    assert share_saturated(images).numpy() == pytest.approx(2 / 6)
