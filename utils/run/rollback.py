"""Rollback: the state that a diverged run returns to.

The metrics of an update are those of the weights before its step, and a state holds the weights
after it. So a state is known to be good only after one more healthy update; until then it may have
diverged.
"""

import json
import re
import time

import tensorflow as tf

from utils.console import print_line
from utils.files.folders import list_folder
from utils.files.whole import join, one_line_write_errors
from utils.run import states

WEIGHTS = re.compile(r"(?:ebm|gen|clf)(?:_ema)?_(\d+)\.weights\.h5")  # those of a run


def go_back(folder: str, step: int, retry: int) -> int:
    """Drop the states after the one to return to, and later weights; return its update.

    The run diverged at update `step`. It returns to its newest whole state, or to the one before if
    the update right after the newest diverged twice. `retry` is written into that state, so that a
    killed run continues with it. The run will write the later weights anew.
    """
    root = join(folder, "state")
    state, header = states.newest_state(root)
    header["failures"] = header.get("failures", 0) + (header["update"] == step - 1)
    if header["failures"] > 1:
        before = next(states.whole_states(root, header["update"]), None)
        if before is not None:
            update = header["update"]
            print_line(f"the run diverged twice right after {update}: that state is dropped")
            state, header = before
    # Written before anything is dropped: a run killed in between diverges in the same way again.
    states.write_header(state, {**header, "retry": retry})
    states.drop_states_after(root, header["update"])
    _drop_weights_after(join(folder, "checkpoints"), header["update"])
    return header["update"]


def what_is_kept(folder: str, unit: str, step: int) -> str:
    """Describe the states of a run that diverged at update `step` and stops."""
    updates = states.list_states(join(folder, "state"))
    good = [update for update in updates if update < step - 1]
    kept = (
        f"the last good state, of {unit} {good[-1]}, is kept" if good else "no good state is kept"
    )
    if step - 1 in updates:
        return f"the state and the weights of {unit} {step - 1} may have diverged, {kept}"
    return kept


def note_event(folder: str, step: int, reason: str, action: str) -> None:
    """Append to `events.jsonl` why a run diverged at update `step`, and the action taken."""
    path = join(folder, "events.jsonl")
    event = {"update": step, "reason": reason, "action": action, "time": time.ctime()}
    with one_line_write_errors(path), tf.io.gfile.GFile(path, "a") as file:
        file.write(json.dumps(event) + "\n")


def _drop_weights_after(folder: str, update: int) -> None:
    names = list_folder(folder).files if tf.io.gfile.isdir(folder) else []
    for name in names:
        if (found := WEIGHTS.fullmatch(name)) and int(found[1]) > update:
            tf.io.gfile.remove(join(folder, name))
