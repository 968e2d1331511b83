"""Laws of annealed importance sampling, in densities whose integral is known."""

import numpy as np
import pytest
import tensorflow as tf

from utils.density.annealing import (
    anneal,
    bits_per_dim,
    make_state_of,
    make_uniforms,
    metropolis_step,
    steps_for,
    summarise,
)
from utils.density.gaussian import Spread, fit_gaussian
from utils.mcmc.noise import make_image_noise
from utils.scores.validity import acceptance

WIDTH, CELLS = 4.0, 121  # of the grid for integrals and draws without a formula


def squares(images, centre, scale):
    """Return |x - centre|^2 / (2 scale^2)."""
    return tf.reduce_sum(((images - centre) / scale) ** 2, axis=(1, 2, 3)) / 2


def gaussian(images):
    return squares(images, 0.5, 0.3)


def mixture(images):
    parts = tf.stack([squares(images, -0.6, 0.3), squares(images, 0.6, 0.3)])
    return -tf.reduce_logsumexp(-parts, axis=0)


def experts(images):
    """Student-t experts along some directions, and a weak Gaussian expert (Hinton 2002)."""
    rows = tf.reshape(images, [-1, int(np.prod(images.shape[1:]))])
    directions = np.random.Generator(np.random.Philox(1)).normal(size=(5, rows.shape[1])).T
    return tf.reduce_sum(tf.math.log1p((4 * (rows @ directions) - 1) ** 2), axis=1) + squares(
        images, 0.0, 1.0
    )


def grid(shape) -> tuple[np.ndarray, float]:
    """Return the centres of cells, as images, and the volume of a cell."""
    axis = (np.arange(CELLS) + 0.5) / CELLS * 2 * WIDTH - WIDTH
    cells = np.stack(np.meshgrid(*[axis] * int(np.prod(shape))), axis=-1)
    return cells.reshape(-1, *shape), (2 * WIDTH / CELLS) ** int(np.prod(shape))


def known(potential, shape, count, rng) -> tuple[float, np.ndarray]:
    """Return log Z by quadrature, and draws from exp(-U): a random cell, a uniform point in it."""
    cells, volume = grid(shape)
    weights = np.exp(-np.concatenate([potential(c) for c in np.array_split(cells, 20)]))
    drawn = cells[rng.choice(len(cells), count, p=weights / weights.sum())]
    inside = rng.uniform(-0.5, 0.5, drawn.shape) * 2 * WIDTH / CELLS
    return float(np.log(weights.sum() * volume)), drawn + inside


def base_of(shape):
    size = int(np.prod(shape))
    spread = Spread(np.zeros(size), np.full(size, 0.5))
    return fit_gaussian(spread, shape, noise=0.1, full=False, dtype=tf.float64)


def annealed(potential, images, steps, *, forward, epsilon=0.4):
    """Return the log weights (n,) of chains from images along a path of even steps in b."""
    images = tf.constant(images)
    ends = (0.0, 1.0) if forward else (1.0, 0.0)
    betas = tf.linspace(tf.constant(ends[0], tf.float64), ends[1], steps + 1)

    @tf.function(autograph=False)
    def run():
        def noise(step):
            return tf.random.stateless_normal(images.shape, [step, 1], dtype=tf.float64)

        def uniform(step):
            return tf.random.stateless_uniform(images.shape[:1], [step, 2], dtype=tf.float64)

        state_of = make_state_of(base_of(images.shape[1:]).potential, potential)
        path = betas, tf.fill([steps], tf.constant(epsilon, tf.float64))
        return anneal(images, state_of, path, num_steps=steps, draws=(noise, uniform))

    return run().log_weights.numpy()


def base_draws(shape, count, rng):
    white = tf.constant(rng.standard_normal((count, *shape)))
    return base_of(shape).images(white).numpy()


@pytest.mark.parametrize(
    ("potential", "shape"),
    [
        (gaussian, (1, 1, 3)), (mixture, (1, 2, 1)), (experts, (1, 2, 1)), (experts, (1, 1, 3)),
    ],
)  # fmt: skip
def test_both_directions_bracket_the_known_integral(potential, shape, rng):
    truth, exact = known(potential, shape, 400, rng)
    forth = summarise(annealed(potential, base_draws(shape, 400, rng), 60, forward=True))
    back = summarise(annealed(potential, exact, 60, forward=False))
    # The bounds hold in expectation; three standard errors are for chance.
    assert forth["mean_log_weight"] <= truth + 3 * forth["standard_error"]
    assert -back["mean_log_weight"] >= truth - 3 * back["standard_error"]
    assert -back["mean_log_weight"] > forth["mean_log_weight"]
    for sign, found in ((1, forth), (-1, back)):
        assert sign * found["log_mean_weight"] == pytest.approx(truth, abs=0.15)


def test_quadrature_agrees_with_the_formula_of_a_gaussian(rng):
    truth, drawn = known(gaussian, (1, 1, 3), 4000, rng)
    assert truth == pytest.approx(1.5 * np.log(2 * np.pi * 0.3**2), abs=1e-6)
    assert drawn.std() == pytest.approx(0.3, rel=0.03)


def test_the_gap_falls_as_one_over_the_number_of_steps(rng):
    """For each direction: four times the steps, a quarter of the gap."""
    shape, count = (1, 2, 1), 1000
    truth, exact = known(mixture, shape, count, rng)
    starts = base_draws(shape, count, rng)
    for sign, images in ((1, starts), (-1, exact)):
        gaps = [
            sign * truth - annealed(mixture, images, steps, forward=sign > 0).mean()
            for steps in (20, 80)
        ]
        assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.35)  # of 1,000 chains


def test_a_path_that_stays_leaves_exact_samples_exact_and_weights_alone(rng):
    """A chain keeps the variance of a Gaussian, though half of its steps are rejected."""
    scale, images = 0.3, tf.constant(rng.normal(0.5, 0.3, (3000, 1, 1, 2)))
    steps = 30
    path = tf.ones([steps + 1], tf.float64), tf.fill([steps], tf.constant(0.45, tf.float64))
    state_of = make_state_of(base_of((1, 1, 2)).potential, gaussian)

    @tf.function(autograph=False)
    def run():
        shape = images.shape
        draws = (
            lambda k: tf.random.stateless_normal(shape, [k, 1], dtype=tf.float64),
            lambda k: tf.random.stateless_uniform(shape[:1], [k, 2], dtype=tf.float64),
        )
        return anneal(images, state_of, path, num_steps=steps, draws=draws)

    state, log_weights, accepted = run()
    assert not log_weights.numpy().any()
    assert 0.3 < accepted.numpy().mean() < 0.9
    ends = state.images.numpy()
    assert ends.mean() == pytest.approx(0.5, abs=4 * scale / np.sqrt(6000))
    assert ends.std() == pytest.approx(scale, rel=4 / np.sqrt(2 * 6000))
    assert np.abs(ends - images).min(axis=0).max() > 0, "all have moved"


def test_a_step_is_accepted_as_often_as_the_validity_of_chains_says(rng):
    """A uniform number just below that probability accepts, one just above it rejects."""
    images, noise = (tf.constant(rng.standard_normal((50, 1, 1, 3))) for _ in range(2))
    chance = acceptance(images, experts, 0.3, noise)
    assert 0.05 < np.mean(chance < 1) < 1
    state_of = make_state_of(base_of((1, 1, 3)).potential, experts)
    for factor, expected in ((1 - 1e-9, True), (1 + 1e-9, False)):
        uniform = tf.where(chance < 1, chance * factor, 1 - 1e-9)
        _, moved = metropolis_step(
            state_of(images), state_of, beta=tf.constant(1.0, tf.float64),
            epsilon=tf.constant(0.3, tf.float64), noise=noise, uniform=uniform,
        )  # fmt: skip
        np.testing.assert_array_equal(moved, (chance.numpy() == 1) | expected)


def test_where_the_energy_is_not_finite_no_chain_goes(rng):
    """In a box log Z is the log of its volume, 2^2."""

    def box(images):
        inside = tf.reduce_all(tf.abs(images) < 1, axis=(1, 2, 3))
        return tf.where(inside, squares(images, 0.0, 1e9), np.inf)

    found = summarise(annealed(box, base_draws((1, 1, 2), 400, rng), 100, forward=True))
    assert found["effective_size"] > 200, "chains that begin outside weigh nothing"
    assert found["log_mean_weight"] == pytest.approx(np.log(4), abs=0.15)


def test_a_path_cut_into_segments_is_the_same_path(rng):
    images = tf.constant(rng.standard_normal((4, 1, 2, 1)), tf.float32)
    keys = tf.constant(rng.integers(0, 1000, (4, 2)))
    draws = make_image_noise(keys, images), make_uniforms(keys)
    base = fit_gaussian(Spread(np.zeros(2), np.ones(2)), (1, 2, 1), noise=0.1, full=False)
    state_of = make_state_of(base.potential, gaussian)
    betas = tf.linspace(tf.constant(0, tf.float64), 1, 11)
    sizes = tf.fill([10], tf.constant(0.3, tf.float64))
    whole = anneal(images, state_of, (betas, sizes), num_steps=10, draws=draws)
    begun = anneal(images, state_of, (betas, sizes), num_steps=4, draws=draws)
    ended = anneal(
        begun.state.images, state_of, (betas[4:], sizes[4:]), num_steps=6, draws=draws, first_step=4
    )
    np.testing.assert_array_equal(ended.state.images, whole.state.images)
    np.testing.assert_allclose(begun.log_weights + ended.log_weights, whole.log_weights, rtol=1e-12)


def test_a_chain_does_not_depend_on_those_beside_it(rng):
    images = tf.constant(rng.standard_normal((4, 1, 2, 1)), tf.float32)
    keys = tf.constant(rng.integers(0, 1000, (4, 2)))
    state_of = make_state_of(lambda x: squares(x, 0.0, 1.0), gaussian)
    path = tf.linspace(tf.constant(0, tf.float64), 1, 6), tf.ones([5], tf.float64) / 3

    def ends(rows):
        draws = make_image_noise(keys[rows], images[rows]), make_uniforms(keys[rows])
        return anneal(images[rows], state_of, path, num_steps=5, draws=draws).state.images

    np.testing.assert_allclose(ends(slice(1, 3)), ends(slice(0, 4))[1:3], rtol=1e-6)


def test_the_effective_size_counts_equal_weights_and_no_small_ones():
    equal = summarise(np.full(7, -1000.0))
    assert equal["effective_size"] == pytest.approx(7)
    assert equal["log_mean_weight"] == pytest.approx(-1000)
    one = summarise(np.array([0.0, -1e4, -1e4]))
    assert one["effective_size"] == pytest.approx(1)
    assert one["log_mean_weight"] == pytest.approx(-np.log(3))


def test_an_even_density_on_all_pixel_values_costs_their_number_in_bits():
    assert bits_per_dim(12 * np.log(2), dims=12) == pytest.approx(np.log2(255))


def test_the_steps_for_a_gap_follow_the_measured_slope():
    steps = np.array([500, 2000])
    assert steps_for(0.1, steps, np.array([4.0, 1.0])) == pytest.approx(20_000)
    assert steps_for(0.1, steps, np.array([1.0, 4.0])) is None
    assert steps_for(0.1, steps, np.array([0.2, 0.1])) is None, "these steps are enough"
    assert steps_for(0.1, steps[:1], np.array([1.0])) is None
