"""Laws of R-hat, effective sizes, autocorrelation times and distances between starts."""

import numpy as np
import pytest
import scipy.signal

from utils.density.convergence import (
    autocorrelation_time,
    compare_starts,
    diagnose,
    permutation_test,
    settled,
)


def chains(rng, correlation, count=20, looks=2000) -> np.ndarray:
    """Return stationary AR(1) chains of unit variance."""
    shocks = rng.standard_normal((count, looks)) * np.sqrt(1 - correlation**2)
    shocks[:, 0] = rng.standard_normal(count)
    return scipy.signal.lfilter([1], [1, -correlation], shocks, axis=1)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_autocorrelation_time_is_that_of_the_chain(rng, correlation):
    expected = (1 + correlation) / (1 - correlation)
    assert autocorrelation_time(chains(rng, correlation)) == pytest.approx(expected, rel=0.1)


def test_chains_that_stay_apart_are_correlated_as_long_as_they_are(rng):
    apart = chains(rng, 0.0, looks=100) + 10 * np.arange(20)[:, None]
    assert autocorrelation_time(apart) > 50


def test_independent_draws_converge_and_separate_chains_do_not(rng):
    one = chains(rng, 0.0, count=8, looks=100)
    found = diagnose({"one": one, "apart": one + np.repeat([0, 3], 4)[:, None]}, 25)
    assert found["r_hat"]["one"] == pytest.approx(1, abs=0.02)
    assert found["r_hat"]["apart"] > 1.5
    assert found["ess"]["one"]["bulk"] == pytest.approx(800, rel=0.25)
    assert found["ess"]["one"]["tail"] == pytest.approx(800, rel=0.25)
    assert found["ess"]["apart"]["bulk"] < 20
    assert found["autocorrelation_steps"]["one"] == pytest.approx(25, rel=0.1)


def test_r_hat_sees_chains_of_another_spread(rng):
    """Their means are equal: the ranks of folded values show it."""
    rows = chains(rng, 0.0, count=8, looks=100) * np.repeat([1, 10], 4)[:, None]
    assert diagnose({"wide": rows}, 1)["r_hat"]["wide"] > 1.1


def test_what_does_not_vary_has_no_diagnosis():
    found = diagnose({"still": np.ones((4, 10))}, 1)
    assert found["r_hat"]["still"] is None
    assert found["ess"]["still"] == {"bulk": None, "tail": None}


def test_the_energy_distance_is_its_formula_and_zero_for_equal_samples(rng):
    x, y = rng.standard_normal((7, 3)), rng.standard_normal((5, 3)) + 0.5

    def mean_distance(a, b):
        return np.mean([np.linalg.norm(p - q) for p in a for q in b])

    expected = 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)
    assert permutation_test(x, y, rng)[0] == pytest.approx(expected)
    distance, p_value = permutation_test(x, x, rng)
    assert distance == pytest.approx(0, abs=1e-12)
    assert p_value == pytest.approx(1)


def test_p_values_of_one_density_are_even_and_of_two_are_small(rng):
    drawn = [permutation_test(*rng.standard_normal((2, 10, 4)), rng)[1] for _ in range(40)]
    assert 0.35 < np.mean(drawn) < 0.65
    x, y = rng.standard_normal((2, 30, 4))
    assert permutation_test(x, y + 2, rng)[1] == 0.001


def test_all_pairs_of_starts_are_compared(rng):
    features = dict(
        zip(("data", "generator", "noise"), rng.standard_normal((3, 6, 2)), strict=True)
    )
    pairs = ["data and generator", "data and noise", "generator and noise"]
    assert list(compare_starts(features, 0)) == pairs


def test_the_last_half_counts_as_settled_and_at_least_four_looks():
    assert np.arange(101)[settled(101)].tolist() == [*range(51, 101)]
    assert np.arange(5)[settled(5)].tolist() == [1, 2, 3, 4]
