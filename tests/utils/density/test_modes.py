"""Laws of the classes that chains visit."""

import numpy as np
import pytest

from utils.density.modes import count_modes, save_modes


def test_classes_and_transitions_are_counted_chain_by_chain(tmp_path):
    visits = np.array([[0, 0, 1, 1], [2, 2, 2, 2]])
    found = count_modes(visits, np.array([0, 0, 1, 2]), ["a", "b", "c"])
    assert found["visited_per_chain"] == 1.5
    assert found["visited"] == 3
    assert found["transitions"] == [[1, 1, 0], [0, 1, 0], [0, 0, 3]]
    assert found["stays"] == pytest.approx(5 / 6)
    assert found["data_shares"] == [0.5, 0.25, 0.25]
    save_modes(found, str(tmp_path / "modes.png"))
    assert (tmp_path / "modes.png").exists()


def test_shares_are_of_settled_chains_alone():
    visits = np.array([[1] * 50 + [0] * 50])
    assert count_modes(visits, np.array([0]), ["a", "b"])["shares"] == [1, 0]
