"""`--run-dir DIR`: the same command begins a run, goes on with it, and finds it finished."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

import attack
import fid
import train
from tests.runs import SMALL_TRAINING, assert_same, rows, state
from utils.config.load import FORMAT, parse_command
from utils.run.run import Run
from utils.run.states import list_states

NO_GENERATOR = ["mcmc_init=persistent", "update_generator=False"]  # sooner ready


@pytest.fixture
def run(tmp_path, monkeypatch, data_dir):
    """Return (folder, changes) -> None: the command of a small training run in a folder."""
    monkeypatch.chdir(tmp_path)

    def start(folder: str, *changes: str) -> None:
        small = [*SMALL_TRAINING, *NO_GENERATOR, f"data_dir={data_dir}", "exp_dir=out"]
        train.main(["configs/smoke.py", "--run-dir", folder, "--set", *small, *changes])

    return start


@pytest.fixture
def refused(capsys):
    """Return (command, arguments) -> the one line with which a command is refused."""

    def line(command, *arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            command(*arguments)
        assert stop.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return line


def test_the_same_command_begins_goes_on_and_finds_the_run_finished(run, monkeypatch, capsys):
    save = Run.save

    def killed(self):
        if self.step == 4:
            raise ConnectionAbortedError
        save(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save", killed)
        with pytest.raises(ConnectionAbortedError):
            run("runs/mine/")
    assert list_states("runs/mine/state") == [0, 2]
    run("runs/mine")
    assert "run folder runs/mine, update 2 of 4" in capsys.readouterr().out
    run("undisturbed")
    capsys.readouterr()
    assert_same(state(Path("runs/mine")), state(Path("undisturbed")))
    run("runs/mine")
    assert "nothing was left to do" in capsys.readouterr().out
    assert not list(Path("out").glob("smoke*")), "no folder with a time stamp"


def test_a_longer_run_goes_on_and_another_config_is_refused(run, refused):
    run("mine", "num_training_steps=2")
    run("mine", "num_training_steps=4")
    assert [int(row["update"]) for row in rows(Path("mine"))] == [1, 2, 3, 4]
    line = refused(run, "mine", "seed=1")
    assert line.endswith("of another config: 'seed' is 0 there, not 1: give another --run-dir")
    assert "'num_training_steps' is 2, but 4 updates are done" in refused(
        run, "mine", "num_training_steps=2"
    )


def test_a_run_killed_while_it_started_begins_in_its_folder(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Run, "begin", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("ram://run_dir/mine", "num_training_steps=2")
    assert tf.io.gfile.exists("ram://run_dir/mine/code/train.py")
    run("ram://run_dir/mine", "num_training_steps=2")
    assert list_states("ram://run_dir/mine/state") == [0, 2]


def test_folders_that_are_not_of_this_command_are_refused(run, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("notes").mkdir()
    Path("notes/text").write_text("mine")
    assert "notes is not a run folder: it has no config.json" in refused(run, "notes")
    assert "text is not a run folder: it is a file" in refused(run, "notes/text")
    Path("other").mkdir()
    stored = {"format": FORMAT, "script": "attack", "config_path": "", "config": {}}
    Path("other/config.json").write_text(json.dumps(stored))
    assert "other is a run of attack.py" in refused(run, "other")
    assert "--run-dir needs a config file" in refused(
        train.main, ["--resume", "other", "--run-dir", "other"]
    )


def test_weights_that_only_a_state_explains_are_never_made_anew(run, refused, tmp_path):
    run("mine", "num_training_steps=2")
    for part in Path("mine/state").rglob("*.json"):
        part.unlink()
    assert "has no whole state to resume from" in refused(run, "mine", "num_training_steps=2")
    for gone in ("state", "checkpoints"):
        shutil.rmtree(f"mine/{gone}")
    assert "has no whole state to resume from" in refused(run, "mine", "num_training_steps=2")


@pytest.mark.parametrize(
    ("main", "config"), [(fid.main, "configs_fid"), (attack.main, "configs_attack")]
)
def test_evaluations_go_on_too(main, config, tmp_path, monkeypatch, data_dir, capsys):
    monkeypatch.chdir(tmp_path)
    small = {"configs_fid": ["num_samples=8", "ebm_width=4", "gen_width=4"],
             "configs_attack": ["batch_size=6", "end_batch=1", "adv_steps=1"]}  # fmt: skip
    command = [f"{config}/smoke.py", "--run-dir", "mine", "--set", f"data_dir={data_dir}"]
    command += ["exp_dir=out", *small[config]]
    main(command)
    report = next(Path("mine").rglob("report.json"))
    before = report.read_text()
    capsys.readouterr()
    main(command)
    assert "nothing was left to do\ndone: mine" in capsys.readouterr().out
    assert report.read_text() == before
    assert parse_command(main.__module__, "", command).resuming
