"""Laws of the pilot and of the path that it determines."""

import numpy as np
import pytest

from utils.density.schedule import ACCEPTANCE, BETAS, FIRST, Pilot, path_of, tuned


def pilot(mean) -> Pilot:
    """Return a pilot with this mean of U - U_0, and the step size 1 / (1 + b), at each b."""
    found = Pilot.empty()
    for beta in BETAS:
        found.add(1 / (1 + beta), mean(beta))
    return found


def test_steps_are_even_in_thermodynamic_length():
    """For a mean that falls as log(b + c), whose slope, the variance, is 1 / (b + c)."""
    betas, _ = path_of(pilot(lambda beta: -np.log(beta + 0.05)), 200, forward=True)
    lengths = np.diff(2 * np.sqrt(betas + 0.05))
    late = betas[1:] > 0.05
    assert lengths[late].std() < 0.1 * lengths[late].mean()


def test_steps_are_of_one_length_where_the_variance_is():
    betas, _ = path_of(pilot(lambda beta: -7 * beta), 50, forward=True)
    assert np.diff(betas)[betas[1:] > 0.2].std() < 0.2 / 50
    assert np.diff(betas)[-1] > 1 / 50, "what small b take, whatever was seen there"


@pytest.mark.parametrize("mean", [lambda beta: 0.0, lambda beta: beta, lambda beta: -1e9 * beta])
@pytest.mark.parametrize("steps", [1, 7, 200])
def test_a_path_goes_from_end_to_end_and_back_each_step_with_its_size(mean, steps):
    found = pilot(mean)
    betas, epsilons = path_of(found, steps, forward=True)
    assert betas[[0, -1]].tolist() == [0, 1]
    assert (np.diff(betas) > 0).all()
    inner = betas[1:] >= FIRST
    np.testing.assert_allclose(epsilons[inner], 1 / (1 + betas[1:][inner]), rtol=0.02)
    back, sizes = path_of(found, steps, forward=False)
    np.testing.assert_array_equal(back, betas[::-1])
    np.testing.assert_array_equal(sizes[:-1], epsilons[:-1][::-1])


def test_step_sizes_grow_where_more_is_accepted_than_wanted():
    assert tuned(0.1, ACCEPTANCE) == pytest.approx(0.1)
    assert tuned(0.1, 1.0) > 0.1 > tuned(0.1, 0.2)


def test_a_restored_pilot_goes_on_where_it_was():
    found, other = pilot(lambda beta: -3.0 * beta), Pilot.empty()
    other.restore(found.state())
    for one, two in zip(*(path_of(p, 9, forward=True) for p in (found, other)), strict=True):
        np.testing.assert_array_equal(one, two)
