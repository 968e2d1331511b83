"""How far two sets of images are apart in a feature space: moments, Fréchet distance, KID.

Everything here is NumPy in float64; `utils.scores.extractors` turns images into features. The
memory of the moments and of the Fréchet distance does not grow with the number of images.
"""

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue]  # compiled

from utils.errors import UserError
from utils.files.whole import whole_file

# Rows a rank-k update of the Gram matrix takes at once: near the full rate of the BLAS.
BLOCK = 1024

EPSILON = np.finfo(np.float64).eps
# Of a covariance that another tool summed in float32: rounding that its rank is judged by as well.
FLOAT32_EPSILON = np.finfo(np.float32).eps


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Mean (d,) and covariance (d, d) of the features of `count` images, and what they are of.

    The covariance divides by count - 1. `count` is None where a file does not say it. `metadata`
    names what must agree before two statistics are compared: extractor, size, rounding, data.
    `features` (k, d) float32 are those of the first images, for KID; None where a file has none.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int | None
    metadata: Mapping[str, str | int | bool] = dataclasses.field(default_factory=dict)
    features: np.ndarray | None = None

    @property
    def dim(self) -> int:
        return len(self.mean)

    @property
    def is_rank_deficient(self) -> bool:
        """Whether n images cannot fill the d dimensions, so that the distance is biased upwards."""
        return self.count is not None and self.count <= self.dim


class Moments:
    """Mean and covariance of features that arrive in batches, in one pass.

    Kept is the Gram matrix of the rows [x - shift, 1], whose last column holds their sums and their
    number; the shift, the first row seen, guards against cancellation. Rows are folded in whole
    blocks, so the result depends on the rows and their order but not on the batches they came in.
    """

    def __init__(self, dim: int):
        self._shift = np.zeros(dim)
        self._gram = np.zeros((dim + 1, dim + 1), order="F")  # upper triangle
        self._rows = np.ones((BLOCK, dim + 1))  # the block being filled
        self._held = 0

    @property
    def count(self) -> int:
        return int(self._gram[-1, -1]) + self._held

    def add(self, features: np.ndarray) -> None:
        """Take the (n, d) features of n more images; raises UserError if one is not finite."""
        features = np.asarray(features)
        if not np.isfinite(features.sum()):
            raise UserError("features hold NaN or Inf: their images or weights are damaged")
        if not self.count and len(features):
            self._shift[:] = features[0]
        while len(features):
            taken = features[: BLOCK - self._held]
            block = self._rows[self._held : self._held + len(taken), :-1]
            np.subtract(taken, self._shift, out=block)
            self._held += len(taken)
            features = features[len(taken) :]
            if self._held == BLOCK:
                self._gram = _fold(self._gram, self._rows)
                self._held = 0

    def statistics(self, metadata: Mapping[str, str | int | bool] | None = None) -> Statistics:
        """Return mean and covariance so far; raises UserError for fewer than two images."""
        if self.count < 2:
            raise UserError(f"a covariance needs at least two images, not {self.count}")
        gram = _fold(self._gram.copy(order="F"), self._rows[: self._held])
        mean = gram[:, -1] / self.count  # of [x - shift, 1]
        scatter = _fold(gram, mean[np.newaxis], -self.count)[:-1, :-1]  # upper triangle
        covariance = scatter + scatter.T
        np.fill_diagonal(covariance, scatter.diagonal())
        covariance /= self.count - 1
        return Statistics(self._shift + mean[:-1], covariance, self.count, dict(metadata or {}))


def _fold(gram: np.ndarray, rows: np.ndarray, weight: float = 1.0) -> np.ndarray:
    """Return gram + weight rows' rows in the upper triangle; `gram` is overwritten."""
    return dsyrk(weight, rows.T, beta=1.0, c=gram, overwrite_c=True)


def frechet_distance(one: Statistics, other: Statistics) -> float:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), the squared 2-Wasserstein distance.

    With S = A A' from its symmetric eigendecomposition, the trace of (S1 S2)^(1/2) is the sum of
    the singular values of A1' A2 (Dowson & Landau 1982; Heusel et al. 2017). They come to the full
    precision of the covariances, where eigenvalues of the product would come to half of it, so
    nothing is regularised: identical statistics have distance 0 at any rank. What is within
    rounding of 0 is 0: d singular values, each exact to float64's epsilon of the largest, and
    means, exact to as much of their own size.
    """
    if one.dim != other.dim:
        raise UserError(f"statistics of {one.dim} and of {other.dim} features do not compare")
    shift = one.mean - other.mean
    factors = [_factor(one.covariance), _factor(other.covariance)]
    common = np.sum(scipy.linalg.svdvals(factors[0].T @ factors[1]))
    variance = sum(np.square(factor).sum() for factor in factors)
    distance = shift @ shift + variance - 2 * common
    means = np.square(one.mean).sum() + np.square(other.mean).sum()
    rounding = one.dim * EPSILON * (variance + EPSILON * means)
    return 0.0 if distance <= rounding else float(distance)


def _factor(covariance: np.ndarray) -> np.ndarray:
    """Return A (d, d) with A A' = covariance; eigenvalues below 0 are rounding and count as 0."""
    values, vectors = scipy.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def score_line(
    extractor: str, data: Statistics, samples: Statistics, distance: float | None = None
) -> str:
    """Return the Fréchet distance as it is told: with its extractor, the numbers and any doubt."""
    distance = frechet_distance(data, samples) if distance is None else distance
    counts = " against ".join("?" if s.count is None else str(s.count) for s in (samples, data))
    line = f"FID[{extractor}] {distance:.6g}"
    line += f" ({counts} images, {data.dim} features)"
    if data.is_rank_deficient or samples.is_rank_deficient:
        line += "\nwarning: no more images than features: the distance is too high, use more images"
    return line


def kernel_distance(
    features: np.ndarray,
    reference: np.ndarray,
    rng: np.random.Generator,
    num_subsets: int | None = None,
) -> tuple[float, float]:
    """Return KID of (n, d) against (m, d) features, and its standard error.

    The mean of `mmd2` over disjoint random subsets, which are independent, so that their spread
    gives an honest error; a single subset has the error NaN. The default is 10 subsets, more where
    they would be larger than 1,000 images, the usual size (Binkowski et al. 2018).
    """
    smaller = min(len(features), len(reference))
    num_subsets = num_subsets or max(10, smaller // 1000)
    size = smaller // num_subsets
    if size < 2:
        raise UserError(f"KID over {num_subsets} subsets needs more than {smaller} images")
    pairs = zip(
        rng.permutation(len(features))[: num_subsets * size].reshape(num_subsets, size),
        rng.permutation(len(reference))[: num_subsets * size].reshape(num_subsets, size),
        strict=True,
    )
    values = np.array([mmd2(features[rows], reference[others]) for rows, others in pairs])
    error = values.std(ddof=1) / np.sqrt(num_subsets) if num_subsets > 1 else np.nan
    return float(values.mean()), float(error)


def mmd2(features: np.ndarray, reference: np.ndarray) -> float:
    """Return the unbiased squared maximum mean discrepancy under the kernel (x'y / d + 1)^3."""
    x, y = np.asarray(features, np.float64), np.asarray(reference, np.float64)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def mean_of_pairs(a: np.ndarray) -> float:
        products = kernel(a, a)
        return (products.sum() - np.trace(products)) / (len(a) * (len(a) - 1))

    return mean_of_pairs(x) + mean_of_pairs(y) - 2 * kernel(x, y).mean()


def save_statistics(path: str, statistics: Statistics) -> None:
    """Write an npz with `mu` and `sigma`, as the field's tools read it, and all else beside."""
    arrays: dict[str, Any] = {"mu": statistics.mean, "sigma": statistics.covariance}
    arrays |= {"n": statistics.count}
    if statistics.features is not None:
        arrays["features"] = statistics.features
    arrays |= statistics.metadata
    with whole_file(path) as temporary:
        np.savez(temporary, **arrays)


def load_statistics(path: str, expected: Mapping[str, str | int | bool], dim: int) -> Statistics:
    """Read statistics of `dim` features and refuse them where they are not as `expected`.

    A file with `mu` and `sigma` alone, as other tools write it, is taken with a warning. Raises
    UserError for a missing or damaged file, for arrays that are no statistics, and for the first
    difference, by name.
    """
    stored = _read_arrays(path)
    mean, covariance = stored.pop("mu"), stored.pop("sigma")
    count, features = stored.pop("n", None), stored.pop("features", None)
    problem = _problem(mean, covariance, count, features, dim)
    if problem is not None:
        raise UserError(f"statistics {path}: {problem}; compute them again")
    metadata = {name: value.item() for name, value in stored.items() if value.ndim == 0}
    if metadata:
        _refuse_difference(path, metadata, expected)
    else:
        print(f"warning: statistics {path} do not say what they are of; used as they are")
    return Statistics(mean, covariance, None if count is None else int(count), metadata, features)


def _problem(
    mean: np.ndarray,
    covariance: np.ndarray,
    count: np.ndarray | None,
    features: np.ndarray | None,
    dim: int,
) -> str | None:
    """Return why arrays are no statistics of `dim` features, None if they are.

    A covariance is symmetric and has no eigenvalue below 0, up to float32 rounding of `dim` values
    of the size of the largest.
    """
    arrays = {"mu": mean, "sigma": covariance, "n": count, "features": features}
    for name, array in arrays.items():
        if array is not None and array.dtype.kind not in "fiu":
            return f"'{name}' holds no real numbers"
        if array is not None and not np.isfinite(array).all():
            return f"'{name}' holds NaN or Inf"
    if mean.shape != (dim,):
        return f"'mu' has the shape {mean.shape}, this run's {dim} features need ({dim},)"
    if covariance.shape != (dim, dim):
        return f"'sigma' has the shape {covariance.shape}, this run's features need ({dim}, {dim})"
    if count is not None and (count.shape != () or count < 2 or count != np.floor(count)):
        return f"'n' must be one whole number of images from 2, not {count.tolist()}"
    if features is not None and (features.shape[1:] != (dim,) or len(features) < 2):
        return f"'features' has the shape {features.shape}, not (images, {dim}) with 2 or more"
    values = scipy.linalg.eigvalsh((covariance + covariance.T) / 2)
    rounding = dim * FLOAT32_EPSILON * np.abs(values).max()
    if np.abs(covariance - covariance.T).max() > rounding:
        return "'sigma' is not symmetric, so no covariance"
    if values[0] < -rounding:
        return f"'sigma' has the eigenvalue {values[0]:.3g} below 0, so it is no covariance"
    return None


def _refuse_difference(path: str, metadata: Mapping, expected: Mapping) -> None:
    for name, value in expected.items():
        if name not in metadata or metadata[name] != value:
            stored = f"are of {name} {metadata[name]}" if name in metadata else f"lack {name}"
            raise UserError(
                f"statistics {path} {stored}, this run has {name} {value}: "
                "use statistics of the same kind, or remove the file to compute them again"
            )


def _read_arrays(path: str) -> dict[str, np.ndarray]:
    try:
        with tf.io.gfile.GFile(path, "rb") as raw:
            content = raw.read()
    except tf.errors.OpError as error:
        raise UserError(f"statistics {path} cannot be read: {error.message}") from error
    try:
        with np.load(io.BytesIO(content)) as arrays:
            stored = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # a damaged or foreign file raises many kinds
        raise UserError(f"statistics {path} are damaged, or no npz file of arrays") from error
    if not {"mu", "sigma"} <= stored.keys():
        raise UserError(f"statistics {path} hold no arrays named mu and sigma")
    return stored
