"""Weights files that say what they are."""

import glob
import io
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import h5py
import keras
import tensorflow as tf
from pydantic import ConfigDict, ValidationError, create_model

from utils.config.kinds import TEXT, list_of, whole
from utils.config.load import REPOSITORY
from utils.errors import UserError, first_line
from utils.files.whole import join, reserve, whole_file
from utils.weights.foreign import checkpoint_sizes, refuse_foreign

SLACK = 8192  # bytes that HDF5 needs for a variable beside its numbers, at most
SHOWN = 10  # updates in an error line
COUNT = whole(ge=1)
SHAPE = list_of(COUNT, "[height, width, channels]", min_length=3, max_length=3)


# What a weights file may say of its network.
NetworkInfo = create_model(
    "NetworkInfo",
    __config__=ConfigDict(strict=True),
    type=(TEXT, None),
    image_dims=(SHAPE, None),
    width=(COUNT, None),
    depth=(COUNT, None),
    z_sz=(COUNT, None),
    classes=(int | list, None),
    chain=(dict, None),
)


def save_weights(network: keras.Model, path: str, info: Mapping[str, Any]) -> None:
    """Write a `.weights.h5` whose root attribute `network` holds `info` as JSON."""
    with whole_file(path) as temporary:
        reserve(temporary, 4 * network.count_params() + SLACK * (1 + len(network.variables)))
        network.save_weights(temporary)
        with h5py.File(temporary, "a") as file:
            file.attrs["network"] = json.dumps(dict(info))


def network_info(path: str) -> dict[str, Any] | None:
    """Return what a `.weights.h5` says of its network, None if the file says nothing.

    Of a published checkpoint: the sizes that it shows. Raises UserError for what is no weights.
    """
    refuse_foreign(path)
    if not path.endswith(".h5"):
        return checkpoint_sizes(path)
    try:
        with tf.io.gfile.GFile(path, "rb") as raw, h5py.File(io.BytesIO(raw.read()), "r") as file:
            stored = file.attrs.get("network")
            info = None if stored is None else dict(json.loads(stored))
        NetworkInfo.model_validate(info or {})
    except tf.errors.NotFoundError as error:
        raise UserError(f"weights {path} not found") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        said = f"it says {wrong['loc'][0]} {wrong['input']!r} of its network"
        raise UserError(f"weights {path} are damaged: {said}") from error
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise UserError(f"weights {path} are damaged: {first_line(error)}") from error
    return info


def located(path: str | None) -> str | None:
    """Return a path of weights, looked up from here, then from the repository's root."""
    if path and "://" not in path and not _is_there(path):
        beside = str(REPOSITORY / path)
        return beside if _is_there(beside) else path
    return path


def _is_there(path: str) -> bool:
    """Return whether there is such a file or folder, or a checkpoint with this prefix."""
    return os.path.exists(path) or bool(glob.glob(f"{glob.escape(path)}.*"))


def find_weights(folder: str, name: str, step: int) -> str:
    """Return the path of a network's weights of an update in a folder, as `load_weights` takes it.

    `NAME_STEP.weights.h5`, or the prefix `NAME_STEP.ckpt` of a published checkpoint. Raises
    UserError, with the updates that are there.
    """
    stem = f"{name}_{step}"
    for ending, file in ((".weights.h5", ".weights.h5"), (".ckpt", ".ckpt.index")):
        if tf.io.gfile.exists(join(folder, stem + file)):
            return join(folder, stem + ending)
    there = _updates_of(folder, name)
    told = f"updates {', '.join(map(str, there[:SHOWN]))}" if there else "no update"
    told += f", ..., {there[-1]}" if len(there) > SHOWN else ""
    raise UserError(
        f"ckpt_folder {folder} has no {stem}.weights.h5 and no {stem}.ckpt, there are those of "
        f"{told}" + (": set min_step, max_step and step_freq" if there else "")
    )


def _updates_of(folder: str, name: str) -> list[int]:
    """Return the updates, ascending, of which a folder has weights of a network."""
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    pattern = re.compile(rf"{name}_(\d+)\.(?:weights\.h5|ckpt\.index)")
    return sorted({int(match[1]) for match in map(pattern.fullmatch, names) if match})
