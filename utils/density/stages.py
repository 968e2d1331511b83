"""The work of a density run as a plain list of segments: images, chains, pilot, annealing."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from utils.density.schedule import NODES, ROUND, ROUNDS
from utils.scores.segments import LONGEST_SEGMENT, RECORDS, count_batches, even_steps

WALK_RECORDS = 100  # of a chain, if `segment_steps` is not set
IMAGES, WALK, PILOT, FORWARD, REVERSE = "images", "chains from", "pilot", "forward", "reverse"


class DensitySegment(NamedTuple):
    """Steps `first` to `last` of one batch of a stage; 0 to 0 is the start of chains.

    `of` is the name of the images, the start of the chains, or the number of annealing steps.
    """

    stage: str
    of: str | int
    batch: int = 0
    first: int = 0
    last: int = 0

    @property
    def steps(self) -> int:
        """The number of steps that chains take in this segment."""
        node = ROUNDS * ROUND if self.last else 0
        return node if self.stage == PILOT else self.last - self.first


def density_segments(
    config: Mapping[str, Any], images: Sequence[str], starts: Sequence[str]
) -> list[DensitySegment]:
    """Return all segments in order; images come first, because they reveal NaN and Inf at once."""
    work = [DensitySegment(IMAGES, name) for name in images]
    for start in starts:
        work += _chains(config, WALK, start, walk_steps(config))
    work += [DensitySegment(PILOT, "", 0, max(0, node - 1), node) for node in range(NODES + 1)]
    for steps in sorted(set(config["ais_steps"])):
        ends = [*range(0, steps, min(LONGEST_SEGMENT, -(-steps // RECORDS))), steps]
        for direction in (FORWARD, REVERSE):
            work += _chains(config, direction, steps, ends)
    return work


def walk_steps(config: Mapping[str, Any]) -> list[int]:
    """Return the steps at which the config's own chains are recorded, from 0 to their end."""
    return even_steps(config, WALK_RECORDS)


def _chains(
    config: Mapping[str, Any], stage: str, of: str | int, ends: Sequence[int]
) -> list[DensitySegment]:
    pairs = list(itertools.pairwise([0, *ends]))
    batches = range(count_batches(config))
    return [DensitySegment(stage, of, batch, *pair) for batch in batches for pair in pairs]
