"""Numbers and times as text."""

from typing import Any

import numpy as np

NONE = "–"


def number(value: Any, digits: int = 4) -> str:
    """Format a number; whole ones in full, None, NaN and Inf as a dash."""
    if value is None or not np.isfinite(value):
        return NONE
    if abs(value) < 1e12 and (float(value).is_integer() or abs(value) >= 10 ** (digits - 1)):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def with_error(value: Any, error: Any) -> str:
    """Format a number with its standard error, if there is one."""
    told = number(error, 2)
    return number(value) if told == NONE else f"{number(value)} ± {told}"


def interval(found: dict[str, float] | None) -> str:
    """Format an accuracy with its 95% interval; None as a dash."""
    return NONE if found is None else "{accuracy:.3f} [{low:.3f}, {high:.3f}]".format(**found)


def duration(seconds: float) -> str:
    """Format a time in seconds, minutes or hours."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 60 else f"{minutes / 60:.1f} h"
