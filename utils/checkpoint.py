"""What is kept of a run: weights files that say what they are, and whole training states."""

import dataclasses
import glob
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import h5py
import keras
import numpy as np
import tensorflow as tf

from utils.config import REPOSITORY
from utils.errors import UserError, first_line
from utils.files import join, make_room, reserve, whole_file
from utils.optim import MovingAverage

STATE_FILE = "state.json"
SLACK = 8192  # bytes that HDF5 needs for a variable beside its numbers, at most
SHOWN = 10  # updates in an error line
SHARE = re.compile(r"(.*)_(\d+)$")  # a part that each replica has its own of: bank_0, bank_1, ...


@dataclasses.dataclass(frozen=True)
class SavedNetwork:
    """A network whose weights a run saves, with its moving average.

    `info(update)` is what a file of it says that is written after that many updates.
    """

    network: keras.Model
    average: MovingAverage | None
    info: Callable[[int], Mapping[str, Any]]


class Part(Protocol):
    """Something that must survive a resume."""

    def state(self) -> dict[str, np.ndarray]:
        """Return its arrays."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take arrays as `state` gave them."""


def save_weights(network: keras.Model, path: str, info: Mapping[str, Any]) -> None:
    """Write a `.weights.h5` whose root attribute `network` holds `info` as JSON."""
    with whole_file(path) as temporary:
        reserve(temporary, 4 * network.count_params() + SLACK * (1 + len(network.variables)))
        network.save_weights(temporary)
        with h5py.File(temporary, "a") as file:
            file.attrs["network"] = json.dumps(dict(info))


def network_info(path: str) -> dict[str, Any] | None:
    """Return what a `.weights.h5` says of its network, None if the file says nothing."""
    if not path.endswith(".h5"):
        return None
    try:
        with tf.io.gfile.GFile(path, "rb") as raw, h5py.File(io.BytesIO(raw.read()), "r") as file:
            stored = file.attrs.get("network")
            return None if stored is None else dict(json.loads(stored))
    except tf.errors.NotFoundError as error:
        raise UserError(f"weights {path} not found") from error
    except (OSError, ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(f"weights {path} are damaged: {first_line(error)}") from error


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


def with_stored_sizes(
    config: Mapping[str, Any], path_key: str, type_key: str, sizes: Mapping[str, str]
) -> dict[str, Any]:
    """Return the config with a network's sizes taken from the weights at `config[path_key]`.

    `sizes` maps names in the file's info to config keys, for example {"width": "ebm_width"}. Raises
    UserError when the config says another size, or the file holds another kind of network.
    """
    path = config[path_key]
    info = (network_info(path) if path else None) or {}
    if info.get("type", config[type_key]) != config[type_key]:
        raise UserError(
            f"'{path_key}' {path} holds a network of type '{info['type']}', but '{type_key}' is "
            f"'{config[type_key]}'"
        )
    stored = {key: info[name] for name, key in sizes.items() if info.get(name) is not None}
    for key, size in stored.items():
        if config[key] is not None and config[key] != size:
            raise UserError(
                f"'{path_key}' {path} holds a network with {key} {size}, but '{key}' is "
                f"{config[key]}: set '{key}' to {size}"
            )
    return {**config, **stored}


def write_parts(folder: str, parts: Mapping[str, Part]) -> None:
    """Write one npz a part into the folder of a state that is not declared complete yet.

    The run folder must still be there: made anew it would lack all that a resume needs.
    """
    make_room(folder)
    for name, part in parts.items():
        with whole_file(join(folder, f"{name}.npz")) as temporary:
            np.savez(temporary, **part.state())


def declare_state(folder: str, header: Mapping[str, Any]) -> None:
    """Complete a state: write `state.json` with the size and SHA-256 of every file in `folder`."""
    names = sorted(n for n in tf.io.gfile.listdir(folder) if n.endswith(".npz") and n[0] != ".")
    files = {name: fingerprint(join(folder, name)) for name in names}
    with whole_file(join(folder, STATE_FILE)) as temporary, open(temporary, "w") as file:
        json.dump({**header, "files": files}, file, indent=1)


def list_states(root: str) -> list[int]:
    """Return the updates of the declared states under `root`, oldest first."""
    if not tf.io.gfile.isdir(root):
        return []
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(root)]
    return sorted(
        int(n) for n in names if n.isdigit() and tf.io.gfile.exists(join(root, n, STATE_FILE))
    )


def drop_states(root: str, keep: int) -> None:
    """Delete all but the newest `keep` declared states, and what half-written ones left behind."""
    declared = list_states(root)
    keep_names = {str(update) for update in declared[-keep:]}
    newest = declared[-1] if declared else -1
    for name in (name.rstrip("/") for name in tf.io.gfile.listdir(root)):
        if name.isdigit() and name not in keep_names and int(name) <= newest:
            _delete_state(join(root, name))


def drop_states_after(root: str, update: int) -> None:
    """Delete the states after `update`, which a run that goes on from there will write anew."""
    for name in (name.rstrip("/") for name in tf.io.gfile.listdir(root)):
        if name.isdigit() and int(name) > update:
            _delete_state(join(root, name))


def read_header(folder: str) -> dict[str, Any]:
    """Return `state.json` of a state after checking every file against it; raises UserError."""
    try:
        with tf.io.gfile.GFile(join(folder, STATE_FILE)) as file:
            header = json.load(file)
        wrong = [n for n, f in header["files"].items() if fingerprint(join(folder, n)) != f]
    except (ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise UserError(f"state {folder} is damaged: {first_line(error)}") from error
    if wrong:
        raise UserError(f"state {folder} is damaged: {', '.join(wrong)} is not what was written")
    return header


def newest_state(root: str, say: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
    """Return folder and header of the newest whole state; `say` which ones are not whole."""
    for update in reversed(list_states(root)):
        folder = join(root, str(update))
        try:
            return folder, read_header(folder)
        except UserError as error:
            say(f"warning: {error}; using the state before")
    raise UserError(f"{root} has no whole state to resume from")


def restore_parts(
    folder: str, header: Mapping[str, Any], parts: Mapping[str, Part], replicas: int
) -> None:
    """Give every part its arrays back.

    Shares (`bank_0`, `bank_1`, ...) of another number of replicas are joined in order and cut into
    as many equal pieces as there are `replicas` now.
    """
    stored = {name.removesuffix(".npz") for name in header["files"]}
    for name, part in parts.items():
        share = SHARE.match(name)
        if share is None or header["replicas"] == replicas:
            _restore(part, _read(folder, name, stored), name)
            continue
        pieces = [_read(folder, f"{share[1]}_{i}", stored) for i in range(header["replicas"])]
        _restore(part, _share_of(pieces, int(share[2]), replicas), name)


def _share_of(
    pieces: list[dict[str, np.ndarray]], number: int, replicas: int
) -> dict[str, np.ndarray]:
    joined = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    size = len(next(iter(joined.values()))) // replicas
    return {key: array[number * size : (number + 1) * size] for key, array in joined.items()}


def _restore(part: Part, state: dict[str, np.ndarray], name: str) -> None:
    try:
        part.restore(state)
    except (ValueError, KeyError) as error:
        reason = first_line(error)
        raise UserError(
            f"the state's part '{name}' is of another network or config: {reason}"
        ) from error


def _read(folder: str, name: str, stored: set[str]) -> dict[str, np.ndarray]:
    if name not in stored:
        raise UserError(f"state {folder} has no part '{name}': it is of another config")
    path = join(folder, f"{name}.npz")
    with tf.io.gfile.GFile(path, "rb") as raw:
        try:
            with np.load(io.BytesIO(raw.read())) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is damaged: {first_line(error)}") from error


def fingerprint(path: str) -> dict[str, Any]:
    """Return the size and the SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _delete_state(folder: str) -> None:
    """Delete a state, its declaration first: a half-deleted state must not look whole."""
    if tf.io.gfile.exists(join(folder, STATE_FILE)):
        tf.io.gfile.remove(join(folder, STATE_FILE))
    tf.io.gfile.rmtree(folder)
