import numpy as np
import pytest
from scipy.stats import hypergeom

from utils.attack.statistics import excess, proportion, resubmission


@pytest.mark.parametrize(("hits", "low", "high"), [(8, 0.4902, 0.9433), (0, 0, 0.2775)])
def test_intervals_are_wilsons(hits, low, high):
    """From the formula by hand, for ten images."""
    found = proportion(np.arange(10) < hits)
    assert found["accuracy"] == hits / 10
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-4)


def test_the_excess_is_that_of_resampled_pairs(rng):
    """Against resampling images one by one, each with its pair of outcomes."""
    control = rng.random(60) < 0.9
    robust = control & (rng.random(60) < 0.5)
    found = excess(control.astype(np.uint8), robust.astype(np.uint8))
    assert found["share"] == pytest.approx(control.mean() - robust.mean())
    rows = rng.integers(60, size=(20_000, 60))
    drawn = (control[rows].astype(int) - robust[rows]).mean(axis=1)
    expected = np.quantile(drawn, [0.025, 0.975])
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected), abs=1 / 60)


def test_an_attack_no_better_than_chance_has_no_excess():
    same = np.arange(50) < 30
    assert excess(same, same) == {"share": 0, "low": 0, "high": 0}


def test_resubmission_is_drawing_without_a_wrong_answer():
    wrong, copies = np.array([0, 1, 3, 8]), 8
    found = resubmission(wrong, copies)
    for times in range(1, copies + 1):
        expected = np.mean([hypergeom(copies, w, times).pmf(0) for w in wrong])
        assert found[times - 1] == pytest.approx(expected)
    assert found[0] == pytest.approx(1 - wrong.mean() / copies)
    assert found[-1] == (wrong == 0).mean()
