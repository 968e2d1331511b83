"""What a count of images is worth: intervals, and how often a stochastic defence may be asked."""

import numpy as np
from scipy.stats import binomtest

from utils.seeds import Purpose, host_rng

RESAMPLES = 10_000  # of the bootstrap


def proportion(right: np.ndarray) -> dict[str, float]:
    """Return accuracy and its 95% Wilson interval (Wilson 1927)."""
    interval = binomtest(int(np.sum(right)), len(right)).proportion_ci(method="wilson")
    return {"accuracy": float(np.mean(right)), "low": interval.low, "high": interval.high}


def excess(control: np.ndarray, robust: np.ndarray) -> dict[str, float]:
    """Return the share of images that an attack breaks beyond its control: (n,) who is right.

    With the 95% interval of a paired bootstrap over images (Efron 1979). Images of equal outcomes
    are alike, so that resamples are drawn as counts of the three differences.
    """
    differences = control.astype(int) - robust.astype(int)
    shares = [np.mean(differences == value) for value in (-1, 0, 1)]
    rng = host_rng(0, Purpose.ATTACK_BOOTSTRAP, len(differences))
    counts = rng.multinomial(len(differences), shares, RESAMPLES)
    low, high = np.quantile((counts[:, 2] - counts[:, 0]) / len(differences), [0.025, 0.975])
    return {"share": float(np.mean(differences)), "low": float(low), "high": float(high)}


def resubmission(wrong: np.ndarray, copies: int) -> np.ndarray:
    """Return the share of images that no one of M purifications gets wrong, M = 1 to `copies`.

    Whoever may submit an image M times needs one wrong answer. From (n,) counts of wrong answers
    among `copies`, without bias: drawn M at a time, without putting back.
    """
    asked = np.arange(copies)
    spared = np.clip((copies - wrong[:, np.newaxis] - asked) / (copies - asked), 0, None)
    return spared.cumprod(axis=1).mean(axis=0)
