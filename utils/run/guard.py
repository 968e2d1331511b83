"""The divergence guard: what counts as diverged, and how rollbacks reduce learning rates."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

LIMITS = {  # metric: the config key of its threshold
    "energy_diff": "max_abs_energy_diff",
    "grad_norm": "max_langevin_grad",
    "saturated": "max_saturated",
}


def divergence(
    metrics: Mapping[str, float],
    config: Mapping[str, Any],
    limits: Mapping[str, str | None] = LIMITS,
) -> str | None:
    """Return why an update counts as diverged, None if it does not.

    `limits` gives, by metric, the config key of its threshold, or None if only NaN and Inf count.
    Metrics that were not measured are ignored.
    """
    for name, key in limits.items():
        if name not in metrics:
            continue
        if not math.isfinite(metrics[name]):
            return f"{name} is {metrics[name]}"
        if key and config[key] is not None and abs(metrics[name]) > config[key]:
            return f"{name} {metrics[name]:.4g} is beyond '{key}' {config[key]:g}"
    return None


def all_finite(states: Iterable[Mapping[str, np.ndarray]]) -> bool:
    """Return whether all numbers of a training state are finite."""
    return all(np.isfinite(array).all() for state in states for array in state.values())


def rate_scale(retry: int, free: int = 1) -> float:
    """Return the factor of the learning rates after `retry` rollbacks.

    Each rollback halves them, except for the first `free` ones, which only renew the noise.
    """
    return 0.5 ** max(0, retry - free)
