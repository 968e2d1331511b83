"""The losses that attacks raise, in closed form, with their derivatives.

A loss takes logits (n, classes), labels (n,) and, if it is targeted, target classes (n,). It
returns values (n,), larger where the classifier is closer to an error, and slopes (n, classes), the
derivatives with respect to the logits.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

Loss = Callable[..., tuple[np.ndarray, np.ndarray]]
LEAST_CLASSES = 4  # that difference-of-logits ratios need
TINY = 1e-12  # keeps their denominators above 0


def cross_entropy(logits: np.ndarray, labels: np.ndarray, _=None) -> tuple[np.ndarray, np.ndarray]:
    """Return -log softmax at the label."""
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, np.newaxis]).sum(axis=1))
    values = total - _at(logits, labels)
    return values, tf.nn.softmax(logits).numpy() - _one_hot(logits, labels)


def margin(logits: np.ndarray, labels: np.ndarray, _=None) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest other logit minus the label's: positive where the prediction is wrong."""
    rival = rivals(logits, labels)[:, 0]
    values = _at(logits, rival) - _at(logits, labels)
    return values, _one_hot(logits, rival) - _one_hot(logits, labels)


def dlr(logits: np.ndarray, labels: np.ndarray, _=None) -> tuple[np.ndarray, np.ndarray]:
    """Return the margin divided by largest minus third largest logit (Croce & Hein 2020)."""
    first, _, third = _order(logits)[:, :3].T
    spread = _one_hot(logits, first) - _one_hot(logits, third)
    return _ratio(logits, margin(logits, labels)[1], spread)


def targeted_dlr(
    logits: np.ndarray, labels: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the target's logit minus the label's, divided by a spread (Croce & Hein 2020).

    The spread is the largest logit minus the mean of the third and fourth largest.
    """
    first, _, third, fourth = _order(logits)[:, :4].T
    mean = (_one_hot(logits, third) + _one_hot(logits, fourth)) / 2
    lead = _one_hot(logits, targets) - _one_hot(logits, labels)
    return _ratio(logits, lead, _one_hot(logits, first) - mean)


def rivals(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the classes other than the label, by falling logits: (n, classes - 1)."""
    others = np.where(_one_hot(logits, labels) > 0, -np.inf, logits)
    return _order(others)[:, :-1]


def _ratio(
    logits: np.ndarray, numerator: np.ndarray, denominator: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ratio of two linear functions of the logits and its slopes.

    `numerator` and `denominator` (n, classes) are the slopes of the two.
    """
    above, below = (logits * numerator).sum(axis=1), (logits * denominator).sum(axis=1) + TINY
    values = above / below
    slopes = (numerator - values[:, np.newaxis] * denominator) / below[:, np.newaxis]
    return values, slopes.astype(logits.dtype)


def _order(logits: np.ndarray) -> np.ndarray:
    """Return the classes sorted by falling logits; ties keep the order of the classes."""
    return np.argsort(-logits, axis=1, kind="stable")


def _at(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return logits[np.arange(len(logits)), classes]


def _one_hot(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return np.eye(logits.shape[1], dtype=np.float32)[classes]
