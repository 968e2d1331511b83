"""Whole training states of a run: a folder each, declared complete by its `state.json`."""

import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from utils.data.npz import UNREADABLE
from utils.errors import UserError, first_line
from utils.files.fingerprints import fingerprint
from utils.files.folders import list_folder
from utils.files.whole import join, make_room, whole_file
from utils.learning.learners import Part

STATE_FILE = "state.json"
SHARE = re.compile(r"(.*)_(\d+)$")  # a part that each replica has its own of: bank_0, bank_1, ...


def write_parts(folder: str, parts: Mapping[str, Part]) -> None:
    """Write one npz a part into the folder of a state that is not declared complete yet.

    The run folder must still be there: made anew it would lack all that a resume needs.
    """
    make_room(folder)
    for name, part in parts.items():
        with whole_file(join(folder, f"{name}.npz")) as temporary:
            arrays: dict[str, Any] = part.state()
            np.savez(temporary, **arrays)


def declare_state(folder: str, header: Mapping[str, Any]) -> None:
    """Complete a state: write `state.json` with the size and SHA-256 of every file in `folder`."""
    names = [name for name in list_folder(folder).files if name.endswith(".npz")]
    write_header(folder, {**header, "files": {n: fingerprint(join(folder, n)) for n in names}})


def write_header(folder: str, header: Mapping[str, Any]) -> None:
    """Write the `state.json` of a state."""
    with whole_file(join(folder, STATE_FILE)) as temporary, open(temporary, "w") as file:
        json.dump(dict(header), file, indent=1)


def list_states(root: str) -> list[int]:
    """Return the updates of the declared states under `root`, oldest first."""
    if not tf.io.gfile.isdir(root):
        return []
    names = [name for name in list_folder(root).folders if name.isdecimal()]
    return sorted(int(n) for n in names if tf.io.gfile.exists(join(root, n, STATE_FILE)))


def drop_states(root: str, keep: int) -> None:
    """Delete all but the newest `keep` declared states, and what half-written ones left behind."""
    declared = list_states(root)
    keep_names = {str(update) for update in declared[-keep:]}
    newest = declared[-1] if declared else -1
    for name in list_folder(root).folders:
        if name.isdecimal() and name not in keep_names and int(name) <= newest:
            _delete_state(join(root, name))


def drop_states_after(root: str, update: int) -> None:
    """Delete the states after `update`, which a run that goes on from there will write anew."""
    for name in list_folder(root).folders:
        if name.isdecimal() and int(name) > update:
            _delete_state(join(root, name))


def read_header(folder: str) -> dict[str, Any]:
    """Return `state.json` of a state after checking every file against it; raises UserError."""
    try:
        with tf.io.gfile.GFile(join(folder, STATE_FILE)) as file:
            header = json.load(file)
        if str(header["update"]) != folder.rpartition("/")[2] or not header["replicas"] > 0:
            raise ValueError(f"{STATE_FILE} is not of this state")
        wrong = [n for n, f in header["files"].items() if fingerprint(join(folder, n)) != f]
    except (ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise UserError(f"state {folder} is damaged: {first_line(error)}") from error
    if wrong:
        raise UserError(f"state {folder} is damaged: {', '.join(wrong)} is not what was written")
    return header


def newest_state(root: str, say: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
    """Return folder and header of the newest whole state; `say` which ones are not whole."""
    newest = next(whole_states(root, say), None)
    if newest is None:
        raise UserError(f"{root} has no whole state to resume from")
    return newest


def whole_states(
    root: str, say: Callable[[str], None], before: float = math.inf
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield folder and header of the whole states of updates below `before`, the newest first."""
    for update in reversed([update for update in list_states(root) if update < before]):
        folder = join(root, str(update))
        try:
            yield folder, read_header(folder)
        except UserError as error:
            say(f"warning: {error}; using the state before")


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
        except UNREADABLE as error:
            raise UserError(f"{path} is damaged: {first_line(error)}") from error


def _delete_state(folder: str) -> None:
    """Delete a state, its declaration first: a half-deleted state must not look whole."""
    if tf.io.gfile.exists(join(folder, STATE_FILE)):
        tf.io.gfile.remove(join(folder, STATE_FILE))
    tf.io.gfile.rmtree(folder)
