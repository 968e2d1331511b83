"""Detection of outliers, images from other sources, by a density: AUROC, FPR95, intervals."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from utils.config.checks import OWN_FORMATS, data_name
from utils.data.sets import Dataset
from utils.data.sources import data_dirs, exists
from utils.data.streams import first_images, load_evaluation
from utils.errors import UserError
from utils.seeds import Purpose, host_rng

HELD_OUT = "held-out data"
RESAMPLES = 500  # of the bootstrap
INTERVAL = (0.025, 0.975)
PASSED = 0.95  # share of held-out images below the threshold of FPR95


def _uniform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return rng.uniform(-1, 1, image.shape).astype(np.float32)


def _constant(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return np.broadcast_to(rng.uniform(-1, 1, image.shape[2]).astype(np.float32), image.shape)


def _rotated(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    del rng
    return np.rot90(image)


MADE: Mapping[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "uniform": _uniform,
    "constant": _constant,
    "rotated": _rotated,
}


def open_outliers(config: Mapping[str, Any]) -> dict[str, Dataset | None]:
    """Return the data sets that `ood` names; None for those that `MADE` makes.

    They get the size and channels of `image_dims`. The data of the run are left out, which a line
    says. Raises UserError for unknown ones.
    """
    own, names = {data_name(config), f"{config['data_type']}:{config['data_dir']}"}, config["ood"]
    for name in own.intersection(names):
        print(f"'ood' '{name}' is left out: these are the data themselves", flush=True)
    others = [name for name in names if name not in own]
    return {name: None if name in MADE else _open(config, name) for name in others}


def _open(config: Mapping[str, Any], name: str) -> Dataset:
    """Return the split `train` of a data set, `FORMAT:PATH` or `NAME`; UserError without one."""
    kind, _, path = name.partition(":")
    other = {**config, "data_type": name, "data_labels": None, "label_attribute": None}
    if kind in OWN_FORMATS:
        other |= {"data_type": kind, "data_dir": path}
    elif not any(exists(f"{folder}/{kind}") for folder in data_dirs(other)):
        other["data_dir"] = None  # not beside the run's own data: look in the default folder
    other |= {"split": "train", "heldout_split": None}
    try:
        return load_evaluation(other)
    except UserError as error:
        made = " and ".join(f"'{own}'" for own in MADE)
        raise UserError(f"'ood' '{name}': {error} ({made} need no data)") from error


class ComparedImages(NamedTuple):
    """The images whose energies are compared: held-out images and outliers, up to `count` of each.

    Energies are those of images with Gaussian noise of standard deviation `noise`, like the
    training data of the EBM.
    """

    own: Dataset
    others: Mapping[str, Dataset | None]
    count: int
    noise: float
    seed: int

    @property
    def names(self) -> list[str]:
        """The names of the sets, held-out data first."""
        return [HELD_OUT, *self.others]

    def batches(self, name: str, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the first images of a set's shuffled order, clean and noisy.

        Both are (b, h, w, c); the clean ones are in [-1, 1].
        """
        other, made, row = self.others.get(name), MADE.get(name), 0
        dataset, number = other or self.own, self.names.index(name)
        for images in first_images(dataset, size, self.count):
            clean, noise = [], []
            for image in images:
                rng = host_rng(self.seed, Purpose.OUTLIERS, number, row)
                clean.append(image if made is None else made(rng, image))
                noise.append(rng.standard_normal(image.shape, np.float32))
                row += 1
            yield np.stack(clean), np.stack(clean) + np.float32(self.noise) * np.stack(noise)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return the probability that an outlier's score, of (m,), exceeds an image's, of (n,).

    Ties count half.
    """
    ranks, count = rankdata(np.concatenate([inside, outside])), len(outside)
    return float((ranks[len(inside) :].mean() - (count + 1) / 2) / len(inside))


def false_positives(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return FPR95: the share of outliers below the threshold that 95% of images are below."""
    return float(np.mean(outside <= np.quantile(inside, PASSED)))


def separation(inside: np.ndarray, outside: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Return AUROC and FPR95 of scores (n,), (m,), with their 95% bootstrap intervals."""
    drawn = []
    for _ in range(RESAMPLES):
        pair = [scores[rng.integers(0, len(scores), len(scores))] for scores in (inside, outside)]
        drawn.append((auroc(*pair), false_positives(*pair)))
    low, high = np.quantile(drawn, INTERVAL, axis=0).tolist()
    return {
        "auroc": auroc(inside, outside),
        "auroc_interval": [low[0], high[0]],
        "fpr95": false_positives(inside, outside),
        "fpr95_interval": [low[1], high[1]],
    }
