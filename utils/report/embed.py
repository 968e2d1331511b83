"""Embedding pictures in a page, up to a limit."""

import base64
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.report.blocks import Block, Pictures, Sections, Slides
from utils.report.folder import RunFolder

MOST_PICTURES, MOST_BYTES = 50, 20_000_000

UrlOf = Callable[[str], str | None]  # path from a run folder -> URL in the page, None: left out


def embedded(runs: Sequence[RunFolder], shown: Sequence[Sections]) -> tuple[list[UrlOf], str]:
    """Return, for each run, path -> picture as a data URL, None if left out; and a note."""
    series = [
        [(run, path) for path in paths]
        for run, own in zip(runs, shown, strict=True)
        for paths in _series(itertools.chain(*own.values()))
    ]
    sizes = {picture: len(_inside(*picture)) for own in series for picture in own}
    chosen = choose(series, sizes)

    def url_of(run: RunFolder) -> UrlOf:
        return lambda path: _inside(run, path) if (run, path) in chosen else None

    note = f"{len(chosen)} of {len(sizes)} pictures are in this file"
    return [url_of(run) for run in runs], note


def choose(series: Sequence[Sequence[Any]], sizes: Mapping[Any, int]) -> set:
    """Return the pictures that fit into a page: equally many of each series, including its last.

    If not even all last ones fit, those of the first series are taken.
    """
    for count in range(max(map(len, series), default=0), 0, -1):
        thinned = [picture for own in series for picture in _thinned(own, count)]
        if _fit([sizes[picture] for picture in thinned]):
            return set(thinned)
    last = [own[-1] for own in series]
    return {p for n, p in enumerate(last) if _fit([sizes[each] for each in last[: n + 1]])}


def _series(blocks: Iterable[Block]) -> list[list[str]]:
    """Return the paths of pictures by series: a series of steps, or a single picture."""
    found = []
    for block in blocks:
        if isinstance(block, Pictures):
            found += [[path] for path in block.pictures.values()]
        elif isinstance(block, Slides):
            found += [[own[step] for step in sorted(own)] for own in block.series.values()]
    return found


def _inside(run: RunFolder, path: str) -> str:
    return "data:image/png;base64," + base64.b64encode(run.content(path)).decode()


def _fit(sizes: Sequence[int]) -> bool:
    return len(sizes) <= MOST_PICTURES and sum(sizes) <= MOST_BYTES


def _thinned(own: Sequence, count: int) -> list:
    """Return up to `count` items of a series, evenly spaced, including the last."""
    numbers = np.linspace(len(own) - 1, 0, min(count, len(own))).round().astype(int)
    return [own[number] for number in numbers]
