"""Distances between two sets of images in a feature space: moments, Fréchet distance, KID.

All computations are NumPy in float64; `utils.scores.extractors` maps images to features. Moments
and Fréchet distance need memory that does not grow with the number of images.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue]  # compiled

from utils.errors import UserError
from utils.files.npz import read_arrays, write_npz

# Rows per rank-k update of the Gram matrix: close to the full speed of the BLAS.
BLOCK = 1024

EPSILON = np.finfo(np.float64).eps
# The rounding of covariances that other tools summed in float32.
FLOAT32_EPSILON = np.finfo(np.float32).eps


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Mean (d,) and covariance (d, d) of the features of `count` images, with metadata.

    The covariance divides by count - 1. `count` is None if a file does not give it. `metadata`
    holds what must agree before two statistics are compared: extractor, size, rounding, data.
    `features` (k, d) float32 are those of the first images, for KID; None if a file has none.
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
        """Whether count <= d, so that the covariance is singular and FID biased upwards."""
        return self.count is not None and self.count <= self.dim


class Moments:
    """Mean and covariance of features that arrive in batches, in one pass.

    It keeps the Gram matrix of the rows [x - shift, 1]; the last column holds their sums and their
    number. The shift is the first row, against cancellation. Rows are added in whole blocks, so
    that the result depends on the rows and their order, but not on the batches.
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
        """Add the features (n, d) of n images; raises UserError if any is NaN or Inf."""
        features = np.asarray(features)
        if not np.isfinite(features.sum()):
            raise UserError(
                "features hold NaN or Inf: check the images and the extractor's weights"
            )
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
        """Return the statistics so far; raises UserError for fewer than two images."""
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
    """Return gram + weight * rows' rows in the upper triangle; overwrites `gram`."""
    return dsyrk(weight, rows.T, beta=1.0, c=gram, overwrite_c=True)


def frechet_distance(one: Statistics, other: Statistics) -> float:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), the squared 2-Wasserstein distance.

    With S = A A' from the symmetric eigendecomposition, the trace of (S1 S2)^(1/2) is the sum of
    the singular values of A1' A2 (Dowson & Landau 1982; Heusel et al. 2017). Singular values have
    the full precision of the covariances; eigenvalues of the product would have half of it. So no
    regularisation is needed, and identical statistics have distance 0 at any rank. A distance
    within rounding of 0 is returned as 0. Rounding is that of d singular values, each exact to
    float64's epsilon times the largest, and of the means, exact to epsilon times their size.

    Raises UserError for statistics of different dimension.
    """
    if one.dim != other.dim:
        raise UserError(
            f"statistics of {one.dim} and of {other.dim} features do not compare: use one extractor"
        )
    shift = one.mean - other.mean
    factors = [_factor(one.covariance), _factor(other.covariance)]
    common = np.sum(scipy.linalg.svdvals(factors[0].T @ factors[1]))
    variance = sum(np.square(factor).sum() for factor in factors)
    distance = shift @ shift + variance - 2 * common
    means = np.square(one.mean).sum() + np.square(other.mean).sum()
    rounding = one.dim * EPSILON * (variance + EPSILON * means)
    return 0.0 if distance <= rounding else float(distance)


def _factor(covariance: np.ndarray) -> np.ndarray:
    """Return A (d, d) with A A' = covariance; negative eigenvalues are rounding and count as 0."""
    values, vectors = scipy.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def score_line(
    extractor: str, data: Statistics, samples: Statistics, distance: float | None = None
) -> str:
    """Return the message of a Fréchet distance, with extractor and sizes.

    If the distance is biased, a second line warns of it.
    """
    distance = frechet_distance(data, samples) if distance is None else distance
    counts = " against ".join("?" if s.count is None else str(s.count) for s in (samples, data))
    line = f"FID[{extractor}] {distance:.6g}"
    line += f" ({counts} images, {data.dim} features)"
    if data.is_rank_deficient or samples.is_rank_deficient:
        line += "\nwarning: no more images than features: FID is biased upwards, use more images"
    return line


def kernel_distances(
    features: np.ndarray,
    reference: np.ndarray,
    rng: np.random.Generator,
    num_subsets: int | None = None,
) -> np.ndarray:
    """Return `mmd2` of disjoint random subsets of (n, d) and (m, d) features; KID is their mean.

    They are independent, so that their spread gives its error (Binkowski et al. 2018). The default
    is 10 subsets, or more to keep them at the usual size of 1,000 images. The same generator gives
    the same rows to any n features. Raises UserError for subsets of fewer than 2 images.
    """
    smaller = min(len(features), len(reference))
    num_subsets = num_subsets or max(10, smaller // 1000)
    size = smaller // num_subsets
    if size < 2:
        raise UserError(
            f"KID over {num_subsets} subsets needs at least {2 * num_subsets} images, not {smaller}"
        )
    pairs = zip(
        rng.permutation(len(features))[: num_subsets * size].reshape(num_subsets, size),
        rng.permutation(len(reference))[: num_subsets * size].reshape(num_subsets, size),
        strict=True,
    )
    return np.array([mmd2(features[rows], reference[others]) for rows, others in pairs])


def mean_with_error(values: np.ndarray) -> tuple[float, float | None]:
    """Return the mean of independent values (n,) and its standard error, None for one value."""
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(values.mean()), error


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
    """Write an npz with `mu` and `sigma`, as other FID tools read it, and with the metadata."""
    arrays: dict[str, Any] = {"mu": statistics.mean, "sigma": statistics.covariance}
    arrays |= {"n": statistics.count}
    if statistics.features is not None:
        arrays["features"] = statistics.features
    arrays |= statistics.metadata
    write_npz(path, arrays)


def load_statistics(path: str, expected: Mapping[str, str | int | bool], dim: int) -> Statistics:
    """Read statistics of `dim` features, whose metadata must be as `expected`.

    Metadata that a file lacks, as those of other tools do, give a warning. Raises UserError if the
    file is missing or damaged, if its arrays are no statistics, and for the first metadata that
    differ.
    """
    stored = _read_arrays(path)
    mean, covariance = stored.pop("mu"), stored.pop("sigma")
    count, features = stored.pop("n", None), stored.pop("features", None)
    problem = _problem(mean, covariance, count, features, dim)
    if problem is not None:
        raise UserError(f"statistics {path}: {problem}; compute them again")
    metadata = {name: value.item() for name, value in stored.items() if value.ndim == 0}
    _refuse_difference(path, metadata, expected)
    return Statistics(mean, covariance, None if count is None else int(count), metadata, features)


def _problem(
    mean: np.ndarray,
    covariance: np.ndarray,
    count: np.ndarray | None,
    features: np.ndarray | None,
    dim: int,
) -> str | None:
    """Return why arrays are no statistics of `dim` features, None if they are.

    A covariance must be symmetric and positive semi-definite, up to the float32 rounding of `dim`
    values as large as the largest eigenvalue.
    """
    arrays = {"mu": mean, "sigma": covariance, "n": count, "features": features}
    for name, array in arrays.items():
        if array is not None and array.dtype.kind not in "fiu":
            return f"'{name}' holds no real numbers"
        if array is not None and not np.isfinite(array).all():
            return f"'{name}' holds NaN or Inf"
    if mean.shape != (dim,):
        return f"'mu' has the shape {mean.shape}, but the {dim} features of this run need ({dim},)"
    if covariance.shape != (dim, dim):
        return f"'sigma' has the shape {covariance.shape}, this run needs ({dim}, {dim})"
    if count is not None and (count.shape != () or count < 2 or count != np.floor(count)):
        return f"'n' must be one whole number of images, at least 2, not {count.tolist()}"
    if features is not None and (features.shape[1:] != (dim,) or len(features) < 2):
        return f"'features' has the shape {features.shape}, not (images, {dim}) with 2 or more"
    values = scipy.linalg.eigvalsh((covariance + covariance.T) / 2)
    rounding = dim * FLOAT32_EPSILON * np.abs(values).max()
    if np.abs(covariance - covariance.T).max() > rounding:
        return "'sigma' is not symmetric, so it is no covariance"
    if values[0] < -rounding:
        return f"'sigma' has the negative eigenvalue {values[0]:.3g}, so it is no covariance"
    return None


def _refuse_difference(path: str, metadata: Mapping, expected: Mapping) -> None:
    for name, value in expected.items():
        if metadata.get(name, value) != value:
            raise UserError(
                f"statistics {path} are of {name} {metadata[name]}, this run has {name} {value}"
            )
    if lacking := [name for name in expected if name not in metadata]:
        print(f"warning: statistics {path} lack {', '.join(lacking)}; used without a check of that")


def _read_arrays(path: str) -> dict[str, np.ndarray]:
    try:
        stored = read_arrays(path)
    except tf.errors.OpError as error:
        raise UserError(f"statistics {path} cannot be read: {error.message}") from error
    except Exception as error:  # NumPy raises many types of errors for damaged and other files
        raise UserError(
            f"statistics {path} are damaged, or no npz file of arrays: compute them again"
        ) from error
    if not {"mu", "sigma"} <= stored.keys():
        raise UserError(f"statistics {path} hold no arrays named mu and sigma: name another file")
    return stored
