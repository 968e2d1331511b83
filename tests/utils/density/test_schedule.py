"""Laws of the pilot and of the path that it fixes."""

import numpy as np
import pytest

from utils.density.schedule import ACCEPTANCE, NODES, Pilot, path_of, tuned


def pilot(spread) -> Pilot:
    """Return a pilot that found this spread, and step sizes sqrt(1 / b), at each b."""
    found = Pilot.empty()
    found.begin(1.0, spread(1e-6))
    while len(found.betas) <= NODES:
        found.add(found.next_beta() ** -0.5, spread(found.next_beta()))
    return found


def test_nodes_ascend_to_the_model_and_the_first_moves_weights_by_a_spread_of_one():
    found = pilot(lambda beta: 1 / (beta + 1e-3))
    assert found.betas[0] == 0
    assert found.betas[1] * found.spreads[0] == pytest.approx(1)
    assert found.betas[-1] == 1
    assert (np.diff(found.betas) > 0).all()


def test_equal_steps_take_equal_shares_of_the_spread():
    betas, _ = path_of(pilot(lambda beta: 1 / (beta + 1e-3)), 50, forward=True)
    between = np.log((betas[1:] + 1e-3) / (betas[:-1] + 1e-3))  # the integral of the spread
    # But for the trapezoids, which are of 30 nodes.
    assert between[1:].std() < 0.25 * between.mean()


def test_without_a_spread_steps_are_of_one_length():
    betas, _ = path_of(pilot(lambda beta: 0.0), 10, forward=True)
    np.testing.assert_allclose(betas, np.linspace(0, 1, 11), atol=1e-9)


@pytest.mark.parametrize("steps", [1, 7, 200])
def test_a_path_begins_at_one_end_and_goes_to_the_other_each_step_with_its_size(steps):
    found = pilot(lambda beta: 5.0)
    betas, epsilons = path_of(found, steps, forward=True)
    assert betas[[0, -1]].tolist() == [0, 1]
    assert (np.diff(betas) > 0).all()
    assert len(epsilons) == steps
    inner = betas[1:] >= found.betas[1]
    np.testing.assert_allclose(epsilons[inner], betas[1:][inner] ** -0.5, rtol=1e-9)
    back, sizes = path_of(found, steps, forward=False)
    np.testing.assert_array_equal(back, betas[::-1])
    np.testing.assert_array_equal(sizes[:-1], epsilons[:-1][::-1])


def test_step_sizes_grow_where_more_is_accepted_than_wanted():
    assert tuned(0.1, ACCEPTANCE) == pytest.approx(0.1)
    assert tuned(0.1, 1.0) > 0.1 > tuned(0.1, 0.2)


def test_a_restored_pilot_goes_on_where_it_was():
    found, other = pilot(lambda beta: 3.0), Pilot.empty()
    other.restore(found.state())
    for one, two in zip(
        path_of(other, 9, forward=True), path_of(found, 9, forward=True), strict=True
    ):
        np.testing.assert_array_equal(one, two)
