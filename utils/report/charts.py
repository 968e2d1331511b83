"""Curves as SVG inside a page: sharp at every size, and in the page's light or dark colours."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from utils.report.text import number

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 40  # margins
COLUMNS = 400  # longer curves are averaged into so many columns, with a band from min to max
DOTS = 40  # curves of at most so many points show them, with their values as tooltips
COLORS = 4  # curves take them in turn
CUT, USUAL = 8, (0.01, 0.99)  # an axis is cut at these quantiles if it is 8 times longer


class Line(NamedTuple):
    """A curve y (n,) over x (n,), with an optional band from `low` to `high` (n,)."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def gathered(self) -> "Line":
        """Return the curve's finite points; a long curve without a band is averaged in columns."""
        finite = np.isfinite(self.y)
        x, y = (np.asarray(part, float)[finite] for part in self[:2])
        if self.low is not None and self.high is not None:
            return Line(x, y, self.low[finite], self.high[finite])
        if len(x) <= COLUMNS:
            return Line(x, y)
        starts = np.linspace(0, len(x), COLUMNS, endpoint=False).astype(int)
        counts = np.diff([*starts, len(x)])
        x, mean = (np.add.reduceat(part, starts) / counts for part in (x, y))
        return Line(x, mean, np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts))


class Axes(NamedTuple):
    """The ranges of a chart; with `log`, x is drawn at log(1 + x)."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool

    def across(self, x: np.ndarray) -> np.ndarray:
        """Return the horizontal positions of x."""
        x, (low, high) = (np.log1p(v) if self.log else v for v in (x, np.array(self.x)))
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def down(self, y: np.ndarray) -> np.ndarray:
        """Return the vertical positions of y, clipped to the edges."""
        low, high = self.y
        return (
            HEIGHT - BOTTOM - (np.clip(y, low, high) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        )

    def path(self, x: np.ndarray, y: np.ndarray) -> str:
        """Return the SVG path along points."""
        points = zip(self.across(x), self.down(y), strict=True)
        return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)


class Chart(NamedTuple):
    """A chart: its title, SVG, note, and the names of its curves in order."""

    title: str
    svg: Markup
    note: str
    names: list[str]


def chart(
    title: str,
    lines: Mapping[str, Line],
    *,
    x: str,
    levels: Mapping[str, float] | None = None,
    log: bool = False,
    bounds: tuple[float, float] | None = None,
) -> Chart:
    """Plot curves by name; `levels` are dashed horizontal lines, `bounds` limit the y axis."""
    curves = {name: line.gathered() for name, line in lines.items()}
    levels = {name: y for name, y in (levels or {}).items() if np.isfinite(y)}
    axes, note = _axes(curves, levels, log, bounds)
    parts = [
        *_grid(axes, x),
        *(
            part
            for i, (name, line) in enumerate(curves.items())
            for part in _curve(axes, name, line, i % COLORS)
        ),
        *(part for name, y in levels.items() for part in _level(axes, name, y)),
    ]
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return Chart(title, Markup("\n".join([head, *parts, "</svg>"])), note, [*curves])


def _axes(
    curves: Mapping[str, Line],
    levels: Mapping[str, float],
    log: bool,
    bounds: tuple[float, float] | None,
) -> tuple[Axes, str]:
    """Return the ranges of the axes, and a note if the y axis is cut."""
    x = np.concatenate([line.x for line in curves.values()])
    shown = [part for line in curves.values() for part in line[1:] if part is not None]
    y = np.concatenate([*shown, [*levels.values()]])
    x, y = (part if len(part) else np.zeros(1) for part in (x, y))
    (low, high), note = bounds or (y.min(), y.max()), ""
    usual = np.quantile(y, USUAL)
    if bounds is None and high - low > CUT * (usual[1] - usual[0]) > 0:
        note = f"cut: values reach from {number(low)} to {number(high)}"
        low, high = usual
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    right = x.max() if x.max() > x.min() else x.min() + 1
    return Axes((x.min(), right), (low - margin, high + margin), log), note


def _grid(axes: Axes, label: str) -> Iterator[str]:
    """Yield the ticks of both axes, their numbers, and the label of x."""
    foot = HEIGHT - BOTTOM
    for tick, y in _positions(MaxNLocator(4).tick_values(*axes.y), axes.y, axes.down):
        yield f'<path class="rule" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>'
    ticks = MaxNLocator(4, integer=True).tick_values(*axes.x)
    if axes.log:
        ticks = np.array([0.0, *10.0 ** np.arange(0, np.log10(axes.x[1] + 1) + 1)])
    for tick, x in _positions(ticks, axes.x, axes.across):
        yield f'<path class="rule" d="M{x:.1f} {foot}v4"/>'
        yield f'<text x="{x:.1f}" y="{foot + 15}" text-anchor="middle">{number(tick)}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(label)}</text>'


def _positions(ticks, bounds: tuple[float, float], scale) -> list[tuple[float, float]]:
    """Return the ticks between bounds, with their positions."""
    inside = [tick for tick in ticks if bounds[0] <= tick <= bounds[1]]
    return list(zip(inside, scale(np.array(inside)), strict=True))


def _curve(axes: Axes, name: str, line: Line, color: int) -> Iterator[str]:
    """Yield a curve with its band, and its points if they are few."""
    if not len(line.x):
        return
    if line.low is not None and line.high is not None:
        there, back = axes.path(line.x, line.high), axes.path(line.x[::-1], line.low[::-1])
        yield f'<path class="band c{color}" d="{there}L{back[1:]}Z"/>'
    yield f'<path class="line c{color}" d="{axes.path(line.x, line.y)}"/>'
    if len(line.x) > DOTS:
        return
    for x, y, a, b in zip(line.x, line.y, axes.across(line.x), axes.down(line.y), strict=True):
        told = f"{escape(name)} at {number(x)}: {number(y)}"
        yield f'<circle class="c{color}" cx="{a:.1f}" cy="{b:.1f}" r="3"><title>{told}</title>'
        yield "</circle>"


def _level(axes: Axes, name: str, y: float) -> Iterator[str]:
    down = axes.down(np.array(y))
    yield f'<path class="level" d="M{LEFT} {down:.1f}H{WIDTH - RIGHT}"/>'
    yield f'<text x="{WIDTH - RIGHT}" y="{down - 4:.1f}" text-anchor="end">{escape(name)}</text>'
