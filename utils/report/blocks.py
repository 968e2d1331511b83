"""The blocks of a page: tables, curves and pictures, which the template lays out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from utils.report.charts import Chart
from utils.report.folder import RunFolder


class Table(NamedTuple):
    """Rows of text under a head; a table with a `title` is folded until a click on it."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""
    kind: str = "table"


class Charts(NamedTuple):
    """Curves side by side."""

    charts: Sequence[Chart]
    kind: str = "charts"


class Pictures(NamedTuple):
    """Pictures by caption, as paths from the run folder; `enlarged` shows pixels as squares."""

    pictures: Mapping[str, str]
    enlarged: bool = False
    kind: str = "pictures"


class Slides(NamedTuple):
    """Pictures by caption and step, as paths from the run folder; a slider moves over the steps."""

    unit: str
    series: Mapping[str, Mapping[int, str]]
    kind: str = "slides"

    @property
    def steps(self) -> list[int]:
        """All steps that have pictures."""
        return sorted({step for pictures in self.series.values() for step in pictures})


Block = Table | Charts | Pictures | Slides
Sections = dict[str, list[Block]]  # by title


def charts(plotted: Iterable[Chart | None]) -> list[Block]:
    """Return the charts that are not None as a block; [] if there are none."""
    there = [each for each in plotted if each is not None]
    return [Charts(there)] if there else []


def pictures(run: RunFolder, wanted: Mapping[str, str], *, enlarged: bool = False) -> list[Block]:
    """Return the pictures that the run has as a block; [] if it has none."""
    there = {caption: path for caption, path in wanted.items() if run.has(path)}
    return [Pictures(there, enlarged)] if there else []


def slides(unit: str, found: Iterable[tuple[str, int, str]]) -> list[Block]:
    """Return pictures (caption, step, path) as a block with a slider; [] if there are none."""
    series: dict[str, dict[int, str]] = {}
    for caption, step, path in found:
        series.setdefault(caption, {})[step] = path
    return [Slides(unit, series)] if series else []
