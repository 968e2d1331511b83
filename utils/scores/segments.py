"""The work of a scoring run as a plain list of segments: chains, cut where they are recorded."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

RECORDS, LONGEST_SEGMENT = 20, 1000  # records per chain; steps between two records, at most
FRAMES = 48  # of a film, at most


class Segment(NamedTuple):
    """Steps `first` to `last` of the chains of one batch of a checkpoint; 0 to 0 is their start."""

    checkpoint: int
    batch: int
    first: int
    last: int


def segments(config: Mapping[str, Any], num_checkpoints: int) -> list[Segment]:
    """Return all segments in order, the same number per checkpoint."""
    return [
        Segment(checkpoint, batch, first, last)
        for checkpoint in range(num_checkpoints)
        for batch in range(count_batches(config))
        for first, last in itertools.pairwise([0, *segment_ends(config, batch)])
    ]


def scored_steps(config: Mapping[str, Any]) -> list[int]:
    """Return the steps at which samples are scored: `fid_steps`, and always the last step."""
    return sorted({*(config["fid_steps"] or []), config["mcmc_steps"]})


def recorded_steps(config: Mapping[str, Any]) -> list[int]:
    """Return the steps at which chains are recorded: `even_steps` and scored steps."""
    return sorted({*even_steps(config, RECORDS), *scored_steps(config)})


def even_steps(config: Mapping[str, Any], records: int) -> list[int]:
    """Return 0, every `segment_steps` or about `records` steps evenly spaced, and the last step."""
    steps = config["mcmc_steps"]
    every = config["segment_steps"] or min(LONGEST_SEGMENT, max(1, steps // records))
    return [*range(0, steps, every), steps]


def film_steps(config: Mapping[str, Any]) -> list[int]:
    """Return the steps of a film's frames: 0, then log-spaced up to the last step."""
    if not config["film"]:
        return []
    return sorted({0, *np.geomspace(1, config["mcmc_steps"], FRAMES).round().astype(int).tolist()})


def segment_ends(config: Mapping[str, Any], batch: int) -> list[int]:
    """Return the ends of a batch's segments: recorded steps, and film steps for the first batch."""
    return sorted({*recorded_steps(config), *(film_steps(config) if batch == 0 else ())})


def count_batches(config: Mapping[str, Any]) -> int:
    """Return the number of batches; the last may be partly used."""
    return -(-config["num_samples"] // config["batch_size"])
