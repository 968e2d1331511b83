"""`--run-dir`: a run begins in a folder, or continues if it has begun there."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from utils.errors import UserError
from utils.files.folders import list_folder
from utils.files.whole import join

RESULTS = ("report.json", "data_log/report.json")  # beside weights and states


def is_empty(folder: str) -> bool:
    """Return whether a folder does not exist or holds no visible file or folder."""
    if not tf.io.gfile.exists(folder):
        return True
    return tf.io.gfile.isdir(folder) and not any(list_folder(folder))


def has_begun(folder: str) -> bool:
    """Return whether a folder holds a state, weights, metrics or a report of a run.

    A run that was killed before it wrote any of them begins anew; its metrics have a header only.
    """
    root, weights = join(folder, "state"), join(folder, "checkpoints")
    names = list_folder(root).folders if tf.io.gfile.isdir(root) else []
    made = [*RESULTS, *(f"state/{name}/state.json" for name in names)]
    if any(tf.io.gfile.exists(join(folder, name)) for name in made):
        return True
    if tf.io.gfile.exists(metrics := join(folder, "metrics.csv")):
        with tf.io.gfile.GFile(metrics, "rb") as file:
            if file.readline() and file.readline():
                return True
    return tf.io.gfile.isdir(weights) and bool(list_folder(weights).files)


def require_same_config(folder: str, before: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise UserError that names the first key whose value is not that of the run in the folder."""
    for key, value in asked.items():
        if before.get(key) != value:
            raise UserError(
                f"{folder} holds a run of another config: '{key}' is {before.get(key)!r} there, "
                f"not {value!r}: give another --run-dir"
            )
