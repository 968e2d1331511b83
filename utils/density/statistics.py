"""Statistics of images for convergence tests: mean, projections of features, class."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.scores.extractors import make_extractor
from utils.scores.measure import open_extractor, require_colours
from utils.seeds import Purpose, host_rng

PROJECTIONS = 3
NO_CLASS = -1
STATISTICS = ("mean", *(f"projection_{number + 1}" for number in range(PROJECTIONS)), "class")


class ImageStatistics:
    """Maps images to statistics by the features of `feature_net` and the class of `clf_weights`."""

    def __init__(self, config: Mapping[str, Any], pieces: int):
        self.extractor = open_extractor(config, pieces)
        self.classifier, self.classes = None, ()
        if config["clf_weights"]:
            own = make_extractor("classifier", config["clf_weights"], config["quantize"])
            require_colours(own, config)
            self.classifier, self.classes = dataclasses.replace(own, pieces=pieces), own.classes
        shape = (self.extractor.dim, PROJECTIONS)
        directions = host_rng(config["seed"], Purpose.PROJECTIONS).standard_normal(shape)
        self._directions = directions / np.linalg.norm(directions, axis=0)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the `STATISTICS` (b, 5) of images (b, h, w, c), and their features (b, d)."""
        features = self.extractor(images)
        columns = [images.mean(axis=(1, 2, 3)), *(features @ self._directions).T]
        return np.stack([*columns, self.classify(images)[0]], axis=1), features

    def classify(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the class of each image (b,), and 1 minus its probability (b,).

        Without a classifier they are NO_CLASS and 0.
        """
        if self.classifier is None:
            return np.full(len(images), NO_CLASS), np.zeros(len(images))
        assert self.classifier.head is not None  # a classifier has one
        shares = self.classifier.head(self.classifier(images))
        return shares.argmax(axis=1), 1 - shares.max(axis=1)
