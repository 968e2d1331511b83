"""Statistics of accuracies: intervals, and repeated submissions to a stochastic defence."""

import numpy as np
from scipy.stats import binomtest

from utils.seeds import Purpose, host_rng

RESAMPLES = 10_000  # of the bootstrap


def proportion(right: np.ndarray) -> dict[str, float]:
    """Return the accuracy of (n,) bool and its 95% Wilson interval (Wilson 1927)."""
    interval = binomtest(int(np.sum(right)), len(right)).proportion_ci(method="wilson")
    return {"accuracy": float(np.mean(right)), "low": interval.low, "high": interval.high}


def excess(control: np.ndarray, robust: np.ndarray) -> dict[str, float]:
    """Return the share of images that an attack breaks beyond its control, and its 95% interval.

    `control` and `robust` (n,) are 1 where an image stays right. The interval is a paired bootstrap
    over images (Efron 1979). Only the difference of an image matters, -1, 0 or 1, so that a
    resample is a multinomial draw of three counts.
    """
    differences = control.astype(int) - robust.astype(int)
    shares = [np.mean(differences == value) for value in (-1, 0, 1)]
    rng = host_rng(0, Purpose.ATTACK_BOOTSTRAP, len(differences))
    counts = rng.multinomial(len(differences), shares, RESAMPLES)
    low, high = np.quantile((counts[:, 2] - counts[:, 0]) / len(differences), [0.025, 0.975])
    return {"share": float(np.mean(differences)), "low": float(low), "high": float(high)}


def resubmission(wrong: np.ndarray, copies: int) -> np.ndarray:
    """Return the share (copies,) of images that M purifications all get right, M = 1 to `copies`.

    An attacker who may submit an image M times needs one wrong answer. `wrong` (n,) counts wrong
    answers among `copies`. The estimate averages over all subsets of M, and is unbiased.
    """
    asked = np.arange(copies)
    spared = np.clip((copies - wrong[:, np.newaxis] - asked) / (copies - asked), 0, None)
    return spared.cumprod(axis=1).mean(axis=0)
