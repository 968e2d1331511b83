"""The classes of images, as the classifier whose features are compared sees them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

SURE = 0.9  # an image above this confidence counts as a sure one of its class


def describe_classes(probabilities: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return n, the mean confidence of (n, classes), and by class the shares of images.

    Confidence is the largest probability of an image. `shares` are those of all n images, `sure`
    those of images with a confidence above `SURE`, among all n.
    """
    confidence, classes = probabilities.max(axis=1), probabilities.argmax(axis=1)

    def shares(chosen: np.ndarray) -> dict[str, float]:
        counts = np.bincount(chosen, minlength=len(names)) / len(classes)
        return dict(zip(names, counts.tolist(), strict=True))

    return {
        "images": len(classes),
        "confidence": float(confidence.mean()),
        "shares": shares(classes),
        "sure": shares(classes[confidence > SURE]),
    }
