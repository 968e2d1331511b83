"""Convergence of chains: R-hat, effective sample sizes, autocorrelation, distance of starts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from utils.seeds import Purpose, host_rng

FEWEST = 4  # records of a chain that R-hat needs
TAIL = 0.05  # the tail's effective size is that of this quantile, and of 1 minus it
PERMUTATIONS = 999


def settled(records: int) -> slice:
    """Return the records in which chains count as settled: the last half, at least `FEWEST`."""
    return slice(-max(FEWEST, records // 2), None)


def diagnose(
    statistics: Mapping[str, np.ndarray], steps_per_record: float
) -> dict[str, dict[str, Any]]:
    """Return the diagnostics of each statistic (chains, records) of settled chains of all starts.

    `r_hat` is the rank-normalised split R-hat, `ess` the effective sample sizes of bulk and tail
    (Vehtari et al. 2021); the autocorrelation time is in Langevin steps. A constant statistic has
    None. There must be at least 2 chains and `FEWEST` records.
    """
    # Imported here, because it takes a second and no other run needs it.
    from arviz_stats.base.array import array_stats

    arviz: Any = array_stats  # its types cover all its methods at once

    found: dict[str, dict[str, Any]] = {"r_hat": {}, "ess": {}, "autocorrelation_steps": {}}
    for name, values in statistics.items():
        varies = np.ptp(values) > 0
        rows = np.asarray(values, np.float64)
        ess = {
            "bulk": arviz.ess(rows, method="bulk"),
            "tail": arviz.ess(rows, method="tail", prob=TAIL),
        }
        found["r_hat"][name] = float(arviz.rhat(rows, method="rank")) if varies else None
        found["ess"][name] = {n: float(e) if varies else None for n, e in ess.items()}
        time = steps_per_record * autocorrelation_time(rows) if varies else None
        found["autocorrelation_steps"][name] = time
    return found


def autocorrelation_time(values: np.ndarray) -> float:
    """Return the integrated autocorrelation time of (chains, records), in records; at least 1.

    Independent records have 1. Deviations are from the mean over all chains, so that chains that
    stay apart count as correlated. The sum ends where a pair of neighbouring correlations falls
    below 0 (Geyer 1992). Times longer than the chains cannot be measured.
    """
    centred = values - values.mean()
    records = centred.shape[1]
    products = [np.mean(centred[:, : records - lag] * centred[:, lag:]) for lag in range(records)]
    correlations = np.array(products) / products[0]
    pairs = correlations[: records // 2 * 2].reshape(-1, 2).sum(axis=1)
    kept = np.logical_and.accumulate(pairs > 0)
    return float(max(1.0, 2 * pairs[kept].sum() - 1))


def compare_starts(features: Mapping[str, np.ndarray], seed: int) -> dict[str, dict[str, float]]:
    """Return the energy distance between the chains' last features (n, d), for each pair of starts.

    `p_value` is that of a permutation test of no difference; it is exact, because chains are
    independent.
    """
    names, found = list(features), {}
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            rng = host_rng(seed, Purpose.PERMUTATIONS, len(found))
            distance, p_value = permutation_test(features[first], features[second], rng)
            found[f"{first} and {second}"] = {"energy_distance": distance, "p_value": p_value}
    return found


def permutation_test(
    first: np.ndarray, second: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the energy distance of two samples (n, d), (m, d) and its permutation p-value.

    2 E|X - Y| - E|X - X'| - E|Y - Y'|, 0 for equal samples (Székely and Rizzo 2013).
    """
    rows = np.concatenate([first, second]).astype(np.float64)
    distances, is_first = cdist(rows, rows), np.arange(len(rows)) < len(first)
    observed = _energy_distance(distances, is_first)
    drawn = [
        _energy_distance(distances, rng.permutation(is_first)) for _ in range(PERMUTATIONS)
    ]  # fmt: skip
    rounding = 1e-12 * distances.mean()  # equal splits may differ by this much
    above = np.sum(np.array(drawn) >= observed - rounding)
    return observed, float((1 + above) / (1 + PERMUTATIONS))


def _energy_distance(distances: np.ndarray, is_first: np.ndarray) -> float:
    """Return the energy distance of two groups of n rows from all their `distances` (n, n)."""
    weights = np.where(is_first, 1 / is_first.sum(), -1 / (~is_first).sum())
    return float(-weights @ distances @ weights)
