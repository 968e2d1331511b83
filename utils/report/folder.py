"""Reading a run folder for its page; a missing file counts as empty."""

import contextlib
import csv
import functools
import json
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from utils.config.load import read_any_run
from utils.files.folders import list_folder
from utils.files.npz import UNREADABLE, read_arrays
from utils.files.whole import join
from utils.run.states import STATE_FILE, list_states


class StepsDone(NamedTuple):
    """Steps done, their total, and their `unit`; the total is None in states of older versions."""

    done: int
    total: int | None
    unit: str


class RunFolder:
    """The files of a run, by their paths from its folder.

    Raises UserError if `path` is no run folder. The run may still be going on: a file that is
    missing or damaged is left out.
    """

    def __init__(self, path: str):
        stored = read_any_run(path)
        self.path = path.rstrip("/") if "://" in path else os.path.abspath(path)
        self.name = self.path.rpartition("/")[2]
        self.script, self.config = str(stored["script"]), stored["config"]
        self.config_path = "/".join(stored["config_path"].split("/")[-2:])

    def names(self, folder: str) -> list[str]:
        """Return the sorted names of the files in a subfolder, [] if there is none."""
        path = join(self.path, folder)
        return list_folder(path).files if tf.io.gfile.isdir(path) else []

    def has(self, name: str) -> bool:
        """Return whether a file exists."""
        return tf.io.gfile.exists(join(self.path, name))

    def content(self, name: str) -> bytes:
        """Return the content of a file, b"" if it is missing or cannot be read."""
        try:
            with tf.io.gfile.GFile(join(self.path, name), "rb") as file:
                return file.read()
        except (tf.errors.NotFoundError, tf.errors.PermissionDeniedError):
            return b""

    def record(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file, {} if it is missing or damaged."""
        try:
            return dict(json.loads(self.content(name)))
        except (ValueError, TypeError):
            return {}

    def records(self, name: str) -> list[dict[str, Any]]:
        """Return the complete records of a file of JSON lines."""
        lines = self.content(name).decode(errors="replace").split("\n")
        found = []
        for line in lines[:-1]:
            with contextlib.suppress(ValueError):  # a kill may cut a line in two
                found.append(json.loads(line))
        return [each for each in found if isinstance(each, dict)]

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of an npz file, {} if it is missing or damaged."""
        try:
            return read_arrays(join(self.path, name))
        except UNREADABLE:
            return {}

    @functools.cached_property
    def metrics(self) -> dict[str, np.ndarray]:
        """The columns (n,) float64 of `metrics.csv` that hold any number."""
        content = self.content("metrics.csv").decode(errors="replace")
        lines = content.split("\n")[:-1]  # a kill may cut the last
        head, *rows = [*csv.reader(lines)] or [[]]
        columns = zip(*(row for row in rows if len(row) == len(head)), strict=True)
        try:
            named = {n: np.array(column, float) for n, column in zip(head, columns, strict=False)}
        except ValueError:  # another program has rewritten it
            return {}
        return {name: column for name, column in named.items() if np.isfinite(column).any()}

    @functools.cached_property
    def progress(self) -> StepsDone:
        """The progress of the run, from its newest state."""
        done = max(list_states(join(self.path, "state")), default=0)
        header = self.record(f"state/{done}/{STATE_FILE}")
        return StepsDone(done, header.get("total"), header.get("unit", "step"))
