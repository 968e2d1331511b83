import numpy as np
import pytest

from utils.attack.record import proportion


@pytest.mark.parametrize(("hits", "low", "high"), [(8, 0.4902, 0.9433), (0, 0, 0.2775)])
def test_intervals_are_wilsons(hits, low, high):
    """From the formula by hand, for ten images."""
    found = proportion(np.arange(10) < hits)
    assert found["accuracy"] == hits / 10
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-4)
