"""The loop of a run on the smallest thing that trains: a network of one weight that grows."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.runs import cpus
from utils.config.load import Command, find_config, load_config, load_run_config
from utils.errors import UserError, one_line_errors
from utils.learning.learners import SavedNetwork, WeightsPart
from utils.run.folder import Inputs
from utils.run.plan import EBM_PLAN
from utils.run.states import list_states
from utils.run.training import Outcome, Training

QUIET = {"grad_norm": 0.0, "gen_loss": 0.0, "saturated": 0.0}
SETTINGS = ["num_training_steps=6", "state_freq=3", "log_freq=2", "max_abs_energy_diff=100"]


class Growth:
    """A weight that every update raises by one, and some by `blow_up(update, retry)`.

    Its metrics are of the weight before the step, as those of every experiment.
    """

    def __init__(self, blow_up=lambda update, retry: 0.0):
        self.network = keras.Sequential([keras.layers.Dense(1, use_bias=False)])
        self.network.build((None, 1))
        self.network.set_weights([np.zeros((1, 1))])
        self.blow_up = blow_up

    @property
    def weight(self) -> float:
        return self.network.get_weights()[0].item()

    def run(self, command: Command) -> None:
        """Run as a script does, which lets go of its folder when it ends."""
        one_line_errors(lambda argv: self._run(command))()

    def _run(self, command: Command) -> None:
        run = Training(
            command,
            cpus(),
            {"ebm": WeightsPart(self.network.variables)},
            networks={"ebm": SavedNetwork(self.network, None, lambda update: {})},
            plan=dataclasses.replace(EBM_PLAN, plot=lambda metrics, folder: None),
            inputs=Inputs(),
        )
        for number in run.steps():
            run.after(number, self.update(number, run.retry))

    def update(self, number: int, retry: int) -> Outcome:
        before = self.weight
        grown = before + 1 + self.blow_up(number + 1, retry)
        self.network.set_weights([np.full((1, 1), grown)])
        return Outcome({"energy_diff": before, **QUIET})


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return (growth, changes) -> run folder of a new run in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("utils.run.folder.SOURCES", ())

    def start_run(growth: Growth, *changes: str) -> Path:
        path = str(find_config("configs/smoke.py"))
        config = load_config(path, ["exp_dir=runs", *SETTINGS, *changes])
        growth.run(Command("train", config, path, "", False, False, dict(config)))
        return next(Path("runs").iterdir())

    return start_run


def resume(growth: Growth, folder: Path, *changes: str) -> None:
    config, path = load_run_config(str(folder), changes, "train")
    growth.run(Command("train", config, path, str(folder), False, True, dict(config)))


def actions(folder: Path) -> list[str]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["action"] for line in lines]


def weights(folder: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in (folder / "checkpoints").iterdir())


def blow_up_until_second_retry(update: int, retry: int) -> float:
    return 1e9 if update == 6 and retry < 2 else 0.0


@pytest.mark.parametrize("total", [6, 9])
def test_a_state_after_which_two_tries_diverged_is_dropped(start, total, capsys):
    """Of six updates the last one's weights are measured once more, or nobody would see."""
    growth = Growth(blow_up_until_second_retry)
    folder = start(growth, f"num_training_steps={total}")
    assert actions(folder) == ["rollback to 6", "rollback to 3"]
    assert list_states(str(folder / "state"))[-1] == total
    assert growth.weight == total + 1  # the last measurement steps, too
    out = capsys.readouterr().out
    assert "the run diverged twice right after 6: that state is dropped" in out
    assert f"done: runs/{folder.name}\n" in out


def test_a_diverged_end_is_not_called_final(start, capsys):
    with pytest.raises(SystemExit) as stop:
        start(Growth(lambda update, retry: 1e9 * (update == 6)), "on_divergence=stop")
    assert stop.value.code == 3
    out = capsys.readouterr().out
    assert "after the last step; the state and the weights of update 6 may have diverged" in out
    assert "the last good state, of update 3, is kept" in out
    assert "done" not in out


def test_the_weights_of_a_dropped_state_go_with_it(start):
    seen = []

    def blow_up(update, retry):
        if update == 4 and retry == 2:
            seen.extend(weights(next(Path("runs").iterdir())))
        return blow_up_until_second_retry(update, retry)

    folder = start(Growth(blow_up))
    assert seen == ["ebm_2"]
    assert weights(folder) == ["ebm_2", "ebm_4", "ebm_6"]


def test_the_number_of_tries_survives_a_kill(start):
    """Killed on the way from the state that it went back to, a run goes on with the same noise."""
    retries = []

    def blow_up(update, retry):
        retries.append((update, retry))
        if (update, retry) == (5, 2) and retries.count((5, 2)) == 1:
            raise ConnectionAbortedError
        return blow_up_until_second_retry(update, retry)

    with pytest.raises(ConnectionAbortedError):
        start(Growth(blow_up))
    (folder,) = Path("runs").iterdir()
    resume(Growth(blow_up), folder)
    assert retries[-4:] == [(4, 2), (5, 2), (6, 2), (7, 2)]


def test_measuring_the_end_changes_neither_records_nor_what_an_extension_gives(start):
    folder = start(Growth())
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [[str(n + 1), str(n)] for n in range(6)]
    longer = Growth()
    resume(longer, folder, "num_training_steps=9")
    assert longer.weight == 10
    assert list_states(str(folder / "state")) == [6, 9]


def test_ignoring_divergence_keeps_the_last_finite_state(start, capsys):
    growth = Growth(lambda update, retry: np.inf if update == 4 else 0.0)
    folder = start(growth, "on_divergence=ignore")
    assert list_states(str(folder / "state")) == [0, 3]
    assert weights(folder) == ["ebm_2"]
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + 6
    out = capsys.readouterr().out
    assert "update 4: weights or chain states are not finite: nothing of it is written" in out
    assert f"done: runs/{folder.name}; the last finite state, of update 3, is kept" in out


def test_what_a_resume_changed_holds_for_the_next_one(start, capsys):
    growth = Growth(lambda update, retry: 1 / 0 if update == 8 else 0.0)
    folder = start(growth)
    with pytest.raises(ZeroDivisionError):
        resume(growth, folder, "num_training_steps=9")
    capsys.readouterr()
    resume(Growth(), folder)
    assert f"run folder {folder}, update 6 of 9" in capsys.readouterr().out
    assert list_states(str(folder / "state")) == [6, 9]


def test_a_run_is_not_called_done_at_fewer_updates_than_it_made(start, capsys):
    folder = start(Growth())
    with pytest.raises(SystemExit):
        resume(Growth(), folder, "num_training_steps=5")
    assert "'num_training_steps' is 5, but 6 updates are done" in capsys.readouterr().err
    resume(Growth(), folder)  # the refused length was not kept


def test_a_second_process_is_told_who_is_at_work(start, capsys):
    folder = start(Growth())
    holder = (
        "import sys, fcntl; file = open(sys.argv[1], 'r+'); fcntl.flock(file, fcntl.LOCK_EX); "
        "file.truncate(0); file.write('process 7 on host'); file.flush(); print(flush=True); "
        "input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(folder / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    with pytest.raises(SystemExit) as stop:
        resume(Growth(), folder)
    assert stop.value.code == 2
    assert f"error: process 7 on host is at work in {folder}" in capsys.readouterr().err
    process.kill()
    process.communicate()
    resume(Growth(), folder)  # the kernel has let go of it


def test_what_a_kill_left_half_written_goes_with_the_next_resume(start):
    folder = start(Growth())
    leftover = folder / "checkpoints" / ".tmp-0123abcd-ebm_6.weights.h5"
    leftover.write_text("half")
    resume(Growth(), folder)
    assert not leftover.exists()


def test_a_rollback_needs_two_states():
    with pytest.raises(UserError, match="'keep_states' must be at least 2"):
        load_config("configs/smoke.py", ["keep_states=1"])
    assert load_config("configs/smoke.py", ["keep_states=1", "on_divergence=stop"])


def test_a_rollback_leaves_what_the_run_did_not_write(start):
    def blow_up(update, retry):
        if update == 5 and retry == 0:
            (folder,) = Path("runs").iterdir()
            (folder / "checkpoints" / "notes_20260101.txt").write_text("mine")
            (folder / "checkpoints" / "best_5000").mkdir()
        return 1e9 * (update == 5 and retry == 0)

    folder = start(Growth(blow_up))
    assert actions(folder) == ["rollback to 3"]
    assert {"notes_20260101", "best_5000", "ebm_6"} <= {*weights(folder)}


def test_workers_that_see_different_states_stop(start, monkeypatch, capsys):
    """Or each would go on from its own."""
    folder = start(Growth())
    monkeypatch.setattr("utils.replicas.Replicas.agree", lambda self, value: value - 3)
    with pytest.raises(SystemExit) as stop:
        resume(Growth(), folder, "num_training_steps=9")
    assert stop.value.code == 2
    assert "the workers see different states" in capsys.readouterr().err
    assert list_states(str(folder / "state"))[-1] == 6
