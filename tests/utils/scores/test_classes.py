"""Laws of the classes of samples: shares are of all images; sure ones are above a confidence."""

import numpy as np
import pytest

from utils.scores.classes import SURE, describe_classes

NAMES = ("boot", "bag", "coat")


def test_shares_and_confidence_are_those_counted_by_hand():
    rows = [[0.95, 0.05, 0], [0.6, 0.3, 0.1], [0.05, 0.92, 0.03], [0.1, 0.9, 0]]
    found = describe_classes(np.array(rows), NAMES)
    assert found["images"] == 4
    assert found["confidence"] == pytest.approx((0.95 + 0.6 + 0.92 + 0.9) / 4)
    assert found["shares"] == {"boot": 0.5, "bag": 0.5, "coat": 0}
    assert found["sure"] == {"boot": 0.25, "bag": 0.25, "coat": 0}, f"above {SURE}, not at it"


def test_no_image_is_counted_twice(rng):
    found = describe_classes(rng.dirichlet(np.full(3, 0.2), size=500), NAMES)
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert all(found["sure"][name] <= found["shares"][name] for name in NAMES)
