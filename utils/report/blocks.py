"""What a page is made of: sections of tables, curves and pictures, which the template lays out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from utils.report.charts import Chart
from utils.report.folder import RunFolder


class Table(NamedTuple):
    """Rows of text under a head; with a `title` they unfold when it is clicked."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""
    kind: str = "table"


class Charts(NamedTuple):
    """Curves beside each other."""

    charts: Sequence[Chart]
    kind: str = "charts"


class Pictures(NamedTuple):
    """Pictures by caption: paths from the run folder; `enlarged`: of images, pixel by pixel."""

    pictures: Mapping[str, str]
    enlarged: bool = False
    kind: str = "pictures"


class Slides(NamedTuple):
    """Pictures by caption and step of a `unit`, moved by a slider: paths from the run folder."""

    unit: str
    series: Mapping[str, Mapping[int, str]]
    kind: str = "slides"

    @property
    def steps(self) -> list[int]:
        """All steps of which there are pictures."""
        return sorted({step for pictures in self.series.values() for step in pictures})


Block = Table | Charts | Pictures | Slides
Sections = dict[str, list[Block]]  # by title


def charts(drawn: Iterable[Chart | None]) -> list[Block]:
    """Return the drawings that there are as a block, [] for none."""
    there = [each for each in drawn if each is not None]
    return [Charts(there)] if there else []


def pictures(run: RunFolder, wanted: Mapping[str, str], *, enlarged: bool = False) -> list[Block]:
    """Return those of pictures by caption that the run has, [] for none."""
    there = {caption: path for caption, path in wanted.items() if run.has(path)}
    return [Pictures(there, enlarged)] if there else []


def slides(unit: str, found: Iterable[tuple[str, int, str]]) -> list[Block]:
    """Return pictures, each with its caption, step and path, [] for none."""
    series: dict[str, dict[int, str]] = {}
    for caption, step, path in found:
        series.setdefault(caption, {})[step] = path
    return [Slides(unit, series)] if series else []
