import numpy as np
import pytest

from utils.run.guard import all_finite, divergence, rate_scale

CONFIG = {"max_abs_energy_diff": 10.0, "max_langevin_grad": None, "max_saturated": 0.5}
HEALTHY = {"energy_diff": -9.0, "grad_norm": 1e9, "saturated": 0.1}


def test_healthy_updates_pass():
    assert divergence(HEALTHY, CONFIG) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy_diff": -11.0}, "max_abs_energy_diff"),
        ({"energy_diff": float("nan")}, "nan"),
        ({"grad_norm": float("inf")}, "inf"),
        ({"saturated": 0.6}, "max_saturated"),
    ],
)
def test_diverged_updates_are_named(change, words):
    assert words in divergence({**HEALTHY, **change}, CONFIG)


def test_one_bad_number_makes_a_state_bad():
    good = {"a": np.zeros(5), "n": np.arange(3)}
    assert all_finite([good, good])
    assert not all_finite([good, {"a": np.array([0, np.nan])}])


def test_rates_are_halved_from_the_second_rollback_on():
    assert [rate_scale(retry) for retry in range(4)] == [1, 1, 0.5, 0.25]
    assert [rate_scale(retry, free=0) for retry in range(4)] == [1, 0.5, 0.25, 0.125]
