"""Laws of the validity of a potential: detailed balance, drift, energies of data."""

import json

import numpy as np
import pytest
import tensorflow as tf

from utils.data.streams import load_data
from utils.mcmc.langevin import Dynamics, langevin
from utils.scores.validity import Trace, acceptance, data_energies, describe, drift, message

SHAPE = (2, 2, 3)


def quartic(images):
    """A potential whose curvature is not constant."""
    return tf.reduce_sum(0.5 * images**2 + 0.1 * images**4, axis=(1, 2, 3))


def test_acceptance_fulfils_detailed_balance(rng):
    """exp(-U(x)) q(y|x) a(x, y) = exp(-U(y)) q(x|y) a(y, x), for far and near proposals."""
    epsilon = 0.7
    x, y = (tf.constant(rng.standard_normal((40, *SHAPE))) for _ in range(2))

    def mean_step(z):
        return langevin(z, Dynamics(quartic, epsilon), num_steps=1, noise=None).images

    forth, back = (y - mean_step(x)) / epsilon, (x - mean_step(y)) / epsilon

    def log_flow(start, noise):
        log_q = -tf.reduce_sum(noise**2, axis=(1, 2, 3)) / 2
        return -quartic(start) + log_q + tf.math.log(acceptance(start, quartic, epsilon, noise))

    np.testing.assert_allclose(log_flow(x, forth), log_flow(y, back), rtol=1e-9)


def test_steps_toward_zero_are_all_accepted_and_long_ones_hardly_ever(rng):
    x, noise = (tf.constant(rng.standard_normal((100, *SHAPE)), tf.float32) for _ in range(2))
    shares = [
        float(tf.reduce_mean(acceptance(x, quartic, eps, noise))) for eps in (0, 0.01, 0.5, 3)
    ]
    assert shares[0] == 1
    assert shares[1] > 0.999
    assert shares == sorted(shares, reverse=True)
    assert shares[3] < 0.05


def test_drift_is_the_mean_slope_of_the_last_half_with_its_standard_error(rng):
    steps = np.arange(0, 2001, 100)
    slopes = rng.normal(0.003, 0.001, 50)
    energies = slopes[:, None] * steps + rng.normal(size=(50, 1)) * 100
    energies[:, steps < 1000] += 1e6 * rng.normal(size=(50, 10))  # what came before does not count
    found = drift(steps, energies)
    assert found["per_1000_steps"] == pytest.approx(1000 * slopes.mean())
    assert found["standard_error"] == pytest.approx(1000 * slopes.std(ddof=1) / np.sqrt(50))


def test_too_few_looks_or_chains_have_no_drift():
    assert drift([0, 10], np.zeros((5, 2))) is None
    assert drift([0, 10, 20, 30, 40], np.zeros((1, 5))) is None


def test_energies_of_data_carry_noise_of_the_image_whatever_the_batch(data_dir):
    dataset = load_data(
        {"data_type": "emoji32", "data_dir": data_dir, "image_dims": [32, 32, 3]}, "test"
    )

    def square(images):
        return tf.reduce_sum(images**2, axis=(1, 2, 3))

    def energies(noise, batch):
        return data_energies(square, dataset, 50, noise=noise, seed=0, batch=batch)

    np.testing.assert_allclose(energies(0.1, 7), energies(0.1, 50), rtol=1e-5)
    # |x + n|^2 - |x|^2 has mean 3072 noise^2; the cross term's deviation is 2 noise |x| < 11.1.
    added = (energies(0.1, 50) - energies(0.0, 50)).mean()
    assert added == pytest.approx(3072 * 0.01, abs=5 * 11.1 / np.sqrt(50))


def test_the_description_is_json_and_its_message_gives_the_last_scored_step():
    steps = np.array([0, 10, 20, 30])
    columns = [np.full((4, 4), value) for value in (5.0, 1.0, 0.25, 0.5)]
    validity = describe(Trace(steps, *columns), np.array([1.0, 3.0]), [10, 30], 0.02)
    assert json.loads(json.dumps(validity))["at"]["30"]["acceptance"] == 0.5
    assert validity["energy_of_data"] == {
        "mean": 2.0,
        "standard_deviation": pytest.approx(2**0.5),
        "standard_error": 1.0,
    }
    assert message(validity) == "energy 5 (data 2), acceptance 0.500, saturated 0.2500"
