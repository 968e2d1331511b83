"""Where a diverged run goes back to.

Metrics of an update are of the weights before its step, a state holds those after it. So a state
is known to be good only once a healthy update followed it; until then it may be what diverged.
"""

import json
import time
from collections.abc import Callable

import tensorflow as tf

from utils.files.whole import join, one_line_write_errors
from utils.run import states


def go_back(folder: str, step: int, retry: int, say: Callable[[str], None]) -> int:
    """Make the state that a run goes back to its newest one; return the update of that state.

    The run diverged at update `step`. It goes back to its newest whole state, unless updates right
    after that diverged twice and there is one before. The state takes note of `retry`, and goes on
    with it after a kill. Weights of later updates go: the run writes them anew.
    """
    root = join(folder, "state")
    state, header = states.newest_state(root, say)
    header["failures"] = header.get("failures", 0) + (header["update"] == step - 1)
    if header["failures"] > 1:
        before = next(states.whole_states(root, say, header["update"]), None)
        if before is not None:
            say(f"two tries diverged right after {header['update']}: that state is dropped")
            state, header = before
    # Noted before anything is dropped: a run killed in between diverges in the same way again.
    states.write_header(state, {**header, "retry": retry})
    states.drop_states_after(root, header["update"])
    _drop_weights_after(join(folder, "checkpoints"), header["update"])
    return header["update"]


def what_is_kept(folder: str, unit: str, step: int) -> str:
    """Return the words on the states that a run leaves which stops, diverged at update `step`."""
    updates = states.list_states(join(folder, "state"))
    good = [update for update in updates if update < step - 1]
    words = []
    if step - 1 in updates:
        words.append(f"the state and the weights of {unit} {step - 1} may be what diverged")
    words.append(
        f"the last good state, of {unit} {good[-1]}, is kept" if good else "none before is"
    )
    return ", ".join(words)


def note_event(folder: str, step: int, reason: str, action: str) -> None:
    """Append to `events.jsonl` why a run diverged at update `step`, and what came of it."""
    path = join(folder, "events.jsonl")
    event = {"update": step, "reason": reason, "action": action, "time": time.ctime()}
    with one_line_write_errors(path), tf.io.gfile.GFile(path, "a") as file:
        file.write(json.dumps(event) + "\n")


def _drop_weights_after(folder: str, update: int) -> None:
    for name in tf.io.gfile.listdir(folder):
        number = name.partition(".")[0].rpartition("_")[2]
        if number.isdigit() and int(number) > update:
            tf.io.gfile.remove(join(folder, name))
