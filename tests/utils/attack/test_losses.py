"""Losses against formulas in NumPy, one image at a time, and slopes against finite differences."""

import numpy as np
import pytest

from utils.attack.losses import cross_entropy, dlr, margin, rivals, targeted_dlr


@pytest.fixture
def logits(rng) -> np.ndarray:
    return rng.normal(size=(12, 5))


LABELS = np.arange(12) % 5  # for some images the label has the largest logit, for others not


def by_hand(name: str, z: np.ndarray, y: int, target: int) -> float:
    """Return a loss of one image, as its paper writes it."""
    falling = np.sort(z)[::-1]
    rest = max(z[i] for i in range(len(z)) if i != y)
    return {
        "cross_entropy": -np.log(np.exp(z[y]) / np.exp(z).sum()),
        "margin": rest - z[y],
        "dlr": -(z[y] - rest) / (falling[0] - falling[2]),
        "targeted_dlr": -(z[y] - z[target]) / (falling[0] - (falling[2] + falling[3]) / 2),
    }[name]


@pytest.mark.parametrize("loss", [cross_entropy, margin, dlr, targeted_dlr])
def test_values_are_those_of_the_papers_and_slopes_their_derivatives(logits, loss):
    targets = rivals(logits, LABELS)[:, 1]
    values, slopes = loss(logits, LABELS, targets)
    for row in range(len(logits)):
        own = (LABELS[row], targets[row])
        assert values[row] == pytest.approx(by_hand(loss.__name__, logits[row], *own), abs=1e-9)
        for place in range(logits.shape[1]):
            move = 1e-6 * (np.arange(logits.shape[1]) == place)
            ahead, behind = (
                by_hand(loss.__name__, logits[row] + sign * move, *own) for sign in (1, -1)
            )
            assert slopes[row, place] == pytest.approx((ahead - behind) / 2e-6, abs=1e-5)


def test_the_ratio_does_not_see_the_scale_of_logits_which_hides_gradients(logits):
    """Why attacks use the ratio: in float32 the cross-entropy of large logits has no gradient."""
    large = (1000 * logits).astype(np.float32)
    sure = large.argmax(axis=1)
    assert np.abs(cross_entropy(large, sure)[1]).max() < 1e-6
    np.testing.assert_allclose(dlr(large, sure)[0], dlr(logits, sure)[0], rtol=1e-5)


def test_rivals_are_the_other_classes_the_nearest_first(logits):
    found = rivals(logits, LABELS)
    assert found.shape == (12, 4)
    for row, others in enumerate(found):
        assert LABELS[row] not in others
        assert (np.diff(logits[row, others]) <= 0).all()
