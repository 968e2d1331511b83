"""States of a run: one folder per state, complete once it has a `state.json`."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from utils.console import print_line
from utils.errors import UserError, first_line
from utils.files.fingerprints import fingerprint
from utils.files.folders import list_folder
from utils.files.npz import UNREADABLE, read_arrays, write_npz
from utils.files.whole import join, make_subfolder, write_json
from utils.learning.learners import Part

STATE_FILE = "state.json"
# What reading a damaged state raises; any other error of reading may pass.
DAMAGED = (
    *(ValueError, KeyError, TypeError, AttributeError),
    *(tf.errors.NotFoundError, tf.errors.OutOfRangeError, tf.errors.DataLossError),
    tf.errors.FailedPreconditionError,
)
# A part whose rows each process writes for its own positions of the whole batch: bank_0_16, ...
SHARE = re.compile(r"(.*)_(\d+)_(\d+)$")


class DamagedStateError(UserError):
    """A state is not what was written."""


def write_parts(folder: str, parts: Mapping[str, Part]) -> None:
    """Write one npz per part into the folder of a state that is not declared complete yet.

    Raises UserError if the run folder is gone: a new one would lack all that a resume needs.
    """
    make_subfolder(folder)
    for name, part in parts.items():
        write_npz(join(folder, f"{name}.npz"), part.state())


def declare_state(folder: str, header: Mapping[str, Any]) -> None:
    """Complete a state: write `state.json`, with the size and SHA-256 of each file in `folder`."""
    names = [name for name in list_folder(folder).files if name.endswith(".npz")]
    write_header(folder, {**header, "files": {n: fingerprint(join(folder, n)) for n in names}})


def write_header(folder: str, header: Mapping[str, Any]) -> None:
    """Write the `state.json` of a state."""
    write_json(join(folder, STATE_FILE), header)


def list_states(root: str) -> list[int]:
    """Return the updates of the declared states under `root`, oldest first."""
    if not tf.io.gfile.isdir(root):
        return []
    names = [name for name in list_folder(root).folders if name.isdecimal()]
    return sorted(int(n) for n in names if tf.io.gfile.exists(join(root, n, STATE_FILE)))


def drop_states(root: str, keep: int) -> None:
    """Delete all but the newest `keep` declared states, and older incomplete ones."""
    declared = list_states(root)
    keep_names = {str(update) for update in declared[-keep:]}
    newest = declared[-1] if declared else -1
    for name in list_folder(root).folders:
        if name.isdecimal() and name not in keep_names and int(name) <= newest:
            _delete_state(join(root, name))


def drop_states_after(root: str, update: int) -> None:
    """Delete the states after `update`; a run that continues from there writes them anew."""
    for name in list_folder(root).folders:
        if name.isdecimal() and int(name) > update:
            _delete_state(join(root, name))


def read_header(folder: str) -> dict[str, Any]:
    """Return `state.json` of a state.

    Raises DamagedStateError if a file is not the one it describes, UserError if one is unreadable.
    """
    try:
        with tf.io.gfile.GFile(join(folder, STATE_FILE)) as file:
            header = json.load(file)
        if str(header["update"]) != folder.rpartition("/")[2] or not header["replicas"] > 0:
            raise ValueError(f"{STATE_FILE} belongs to another state")
        wrong = [n for n, f in header["files"].items() if fingerprint(join(folder, n)) != f]
    except DAMAGED as error:
        raise DamagedStateError(f"state {folder} is damaged: {first_line(error)}") from error
    except tf.errors.OpError as error:
        raise UserError(
            f"state {folder} cannot be read: {first_line(error)}; try again, nothing is lost"
        ) from error
    if wrong:
        raise DamagedStateError(
            f"state {folder} is damaged: {', '.join(wrong)} is not what was written"
        )
    return header


def newest_state(root: str) -> tuple[str, dict[str, Any]]:
    """Return folder and header of the newest whole state; raises UserError if there is none."""
    newest = next(whole_states(root), None)
    if newest is None:
        raise UserError(f"{root} has no whole state to resume from")
    return newest


def whole_states(root: str, before: float = math.inf) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield folder and header of the whole states before update `before`, the newest first.

    Damaged ones are left out, with a warning.
    """
    for update in reversed([update for update in list_states(root) if update < before]):
        folder = join(root, str(update))
        try:
            yield folder, read_header(folder)
        except DamagedStateError as error:
            print_line(f"warning: {error}; using the state before")


def restore_parts(folder: str, header: Mapping[str, Any], parts: Mapping[str, Part]) -> None:
    """Restore every part from a state.

    The positions of a part (`bank_0_16`) may be stored in other pieces (`bank_0_8`, ...). Raises
    UserError for missing parts and for arrays of another network or config.
    """
    stored = {name.removesuffix(".npz") for name in header["files"]}
    for name, part in parts.items():
        share = SHARE.match(name)
        if share is None or name in stored:
            _restore(part, _read(folder, name, stored), name)
            continue
        own = range(int(share[2]), int(share[3]))
        others = [m for m in map(SHARE.match, sorted(stored)) if m and m[1] == share[1]]
        pieces = {
            range(int(m[2]), int(m[3])): _read(folder, m[0], stored)
            for m in others
            if int(m[2]) < own.stop and own.start < int(m[3])
        }
        if not pieces:
            raise UserError(f"state {folder} has no part '{name}': it is of another config")
        _restore(part, _rows_of(own, pieces), name)


def _rows_of(own: range, pieces: Mapping[range, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the rows of `own` positions from pieces, which are given by their positions.

    In a piece of n positions, row j is in layer j // n at position j % n of the piece. The returned
    rows are sorted by layer, then by position.
    """
    layers, positions = [], []
    for there, piece in pieces.items():
        rows = np.arange(len(next(iter(piece.values()))))
        layers.append(rows // len(there))
        positions.append(there.start + rows % len(there))
    layers, positions = np.concatenate(layers), np.concatenate(positions)
    order = np.lexsort((positions, layers))
    order = order[np.isin(positions[order], own)]
    names = next(iter(pieces.values()))
    return {n: np.concatenate([piece[n] for piece in pieces.values()])[order] for n in names}


def _restore(part: Part, state: dict[str, np.ndarray], name: str) -> None:
    try:
        part.restore(state)
    except (ValueError, KeyError) as error:
        reason = first_line(error)
        raise UserError(
            f"part '{name}' of the state is of another network or config: {reason}"
        ) from error


def _read(folder: str, name: str, stored: set[str]) -> dict[str, np.ndarray]:
    if name not in stored:
        raise UserError(f"state {folder} has no part '{name}': it is of another config")
    path = join(folder, f"{name}.npz")
    try:
        return read_arrays(path)
    except UNREADABLE as error:
        raise UserError(f"{path} is damaged: {first_line(error)}") from error


def _delete_state(folder: str) -> None:
    """Delete a state, `state.json` first: a half-deleted state must not look whole."""
    if tf.io.gfile.exists(join(folder, STATE_FILE)):
        tf.io.gfile.remove(join(folder, STATE_FILE))
    tf.io.gfile.rmtree(folder)
