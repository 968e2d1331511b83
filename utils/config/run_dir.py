"""`--run-dir`: a run begins in a folder, or goes on if it has begun there."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from utils.errors import UserError
from utils.files.folders import list_folder
from utils.files.whole import join

RESULTS = ("report.json", "data_log/report.json")  # beside weights and states


def is_empty(folder: str) -> bool:
    """Return whether nothing visible is in a folder, or nothing has its name."""
    if not tf.io.gfile.exists(folder):
        return True
    return tf.io.gfile.isdir(folder) and not any(list_folder(folder))


def has_begun(folder: str) -> bool:
    """Return whether a run has left a state in its folder, or what must not be made anew.

    Else it was killed while it started, and begins anew.
    """
    root, weights = join(folder, "state"), join(folder, "checkpoints")
    names = list_folder(root).folders if tf.io.gfile.isdir(root) else []
    made = [*RESULTS, *(f"state/{name}/state.json" for name in names)]
    if any(tf.io.gfile.exists(join(folder, name)) for name in made):
        return True
    return tf.io.gfile.isdir(weights) and bool(list_folder(weights).files)


def require_same_config(folder: str, before: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise UserError, naming the first key, if a run was asked for with another config before."""
    for key, value in asked.items():
        if before.get(key) != value:
            raise UserError(
                f"{folder} is a run of another config: '{key}' is {before.get(key)!r} there, not "
                f"{value!r}: give another --run-dir"
            )
