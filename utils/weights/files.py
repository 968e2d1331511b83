"""Weights files, `.weights.h5`, that describe their own network."""

import glob
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import keras
import tensorflow as tf
from pydantic import ConfigDict, ValidationError, create_model

from utils.config.kinds import TEXT, list_of, whole
from utils.config.load import REPOSITORY
from utils.config.record import Config
from utils.errors import UserError, first_line
from utils.files.whole import join, reserve, whole_file
from utils.weights.foreign import checkpoint_sizes, refuse_foreign

SLACK = 8192  # bytes that HDF5 adds per variable, at most
SHOWN = 10  # updates listed in an error message
COUNT = whole(ge=1)
SHAPE = list_of(COUNT, "[height, width, channels]", min_length=3, max_length=3)


# The description of a network in its weights file; every field is optional.
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
    """Write a `.weights.h5` file; its root attribute `network` holds `info` as JSON."""
    with whole_file(path) as temporary:
        reserve(temporary, 4 * network.count_params() + SLACK * (1 + len(network.variables)))
        network.save_weights(temporary)
        with h5py.File(temporary, "a") as file:
            file.attrs["network"] = json.dumps(dict(info))


def network_info(path: str) -> dict[str, Any] | None:
    """Return the description of the network in a `.weights.h5`, None if the file has none.

    For a published checkpoint, return the sizes that its arrays show. Raises UserError if the file
    is missing, damaged, or no weights.
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
    except tf.errors.PermissionDeniedError as error:
        raise UserError(f"weights {path} cannot be read: permission denied") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        reason = f"their network cannot have {wrong['loc'][0]} {wrong['input']!r}"
        raise UserError(f"weights {path} are damaged: {reason}") from error
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise UserError(f"weights {path} are damaged: {first_line(error)}") from error
    return info


def located(path: str | None) -> str | None:
    """Return a path of weights, looked up in the working directory, then in the repository."""
    if path and "://" not in path and not _is_there(path):
        beside = str(REPOSITORY / path)
        return beside if _is_there(beside) else path
    return path


def locate(config: Config, names: Sequence[str]) -> Config:
    """Return the config with the paths of weights at these keys `located`."""
    return config | {name: located(config[name]) for name in names}


def _is_there(path: str) -> bool:
    """Return whether a file or folder, or a checkpoint with this prefix, exists."""
    return os.path.exists(path) or bool(glob.glob(f"{glob.escape(path)}.*"))


def find_weights(folder: str, name: str, step: int) -> str:
    """Return the path of a network's weights at one update, for `load_weights`.

    It is `NAME_STEP.weights.h5`, or the prefix `NAME_STEP.ckpt` of a published checkpoint. Raises
    UserError if there is neither; the message lists the updates that exist.
    """
    stem = f"{name}_{step}"
    for ending, file in ((".weights.h5", ".weights.h5"), (".ckpt", ".ckpt.index")):
        if tf.io.gfile.exists(join(folder, stem + file)):
            return join(folder, stem + ending)
    there = updates_of(folder, name)
    listed = f"updates {', '.join(map(str, there[:SHOWN]))}" if there else "no updates"
    listed += f", ..., {there[-1]}" if len(there) > SHOWN else ""
    raise UserError(
        f"ckpt_folder {folder} has no {stem}.weights.h5 and no {stem}.ckpt; it has {listed} of "
        f"{name}" + (": set min_step, max_step and step_freq" if there else "")
    )


def updates_of(folder: str, name: str) -> list[int]:
    """Return the updates, ascending, for which a folder has weights of a network."""
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    pattern = re.compile(rf"{name}_(\d+)\.(?:weights\.h5|ckpt\.index)")
    return sorted({int(match[1]) for match in map(pattern.fullmatch, names) if match})
