"""train.py as a user runs it, on the embedded data."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import train
from fid_orig.sampler import load_sampler
from nets import create_gen
from tests.runs import SMALL_TRAINING, assert_same, rows, splits, state
from utils.run.states import list_states
from utils.weights.files import network_info
from utils.weights.published import load_weights

SCHEDULE = ["ebm_lr_info=[[1e-4,0],[1e-3,3]]"]


@pytest.fixture
def run(start_run):
    """Return (changes) -> run folder of a small run in an empty working directory."""
    return functools.partial(start_run, train.main, "configs/smoke.py", *SMALL_TRAINING)


def resume(folder: Path, *changes: str) -> None:
    train.main(["--resume", str(folder), *(["--set", *changes] if changes else [])])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir) -> Path:
    """Return the folder of a small run that nobody changes: four updates by SCHEDULE, seed 0."""
    folder = tmp_path_factory.mktemp("finished")
    changes = [*SMALL_TRAINING, *SCHEDULE, f"data_dir={data_dir}", f"exp_dir={folder}"]
    train.main(["configs/smoke.py", "--set", *changes])
    return next(folder.iterdir())


def test_a_run_from_another_folder_leaves_what_the_design_says(tmp_path, repository, data_dir):
    command = [sys.executable, str(repository / "train.py"), "configs/smoke.py"]
    done = subprocess.run(
        [*command, "--set", f"data_dir={data_dir}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "update 1/20" in done.stdout
    assert "image-steps/s" in done.stdout
    (folder,) = (tmp_path / "tf_out" / "emoji32").iterdir()
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert splits(folder) == ["train"]
    expected = {"config.json", "metrics.csv", "plots/diagnostics.png", "code/train.py"}
    expected |= {"code/nets/sngan.py", "code/configs/smoke.py", "shortrun/data.png", "report.html"}
    for step in (10, 20):
        expected |= {f"checkpoints/{n}_{step}.weights.h5" for n in ("ebm", "gen")}
        expected |= {f"checkpoints/{n}_ema_{step}.weights.h5" for n in ("ebm", "gen")}
        expected |= {f"state/{step}/{n}" for n in ("state.json", "ebm.npz", "bank_0_8.npz")}
    for step in (1, 10, 20):
        expected |= {f"shortrun/{n}{step}.png" for n in ("shortrun", "persistent", "generator")}
    assert expected <= files
    assert not any(name.rpartition("/")[2].startswith(".tmp") for name in files)
    assert not any(name.endswith("_1.weights.h5") for name in files), "update 1 saves no weights"
    assert list((folder / "logs").iterdir())
    assert [int(row["update"]) for row in rows(folder)] == list(range(1, 21))


def test_grey_images_are_learned_saved_and_drawn_with_one_channel(run, capsys):
    folder = run("image_dims=[32,32,1]", "num_training_steps=1", "log_freq=1")
    assert capsys.readouterr().out.count("colour pictures become grey") == 1
    ebm, gen = (str(folder / f"checkpoints/{name}_1.weights.h5") for name in ("ebm", "gen"))
    assert network_info(ebm)["image_dims"] == [32, 32, 1]
    for picture in (folder / "shortrun").glob("*.png"):
        with Image.open(picture) as image:
            assert image.mode == "L"
    assert load_sampler(ebm, gen)(np.arange(3)).shape == (3, 32, 32, 1)


def test_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others(run, finished):
    first, again, other = state(finished), state(run(*SCHEDULE)), state(run("seed=1", *SCHEDULE))
    assert_same(first, again)
    assert any(np.any(first[name] != other[name]) for name in first if name.startswith("ebm/"))


@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(run, finished, replicas):
    options = [f"num_replicas={replicas}", *SCHEDULE]
    whole = finished if replicas == 1 else run(*options)
    parts = run(*options, "num_training_steps=2")
    resume(parts, "num_training_steps=4")
    assert_same(state(whole), state(parts))
    times = {"seconds": ""}
    assert [r | times for r in rows(whole)] == [r | times for r in rows(parts)]


@pytest.mark.slow
def test_a_killed_run_resumes_as_if_nothing_had_been(run, repository, data_dir, tmp_path):
    changes = [
        *SMALL_TRAINING,
        f"data_dir={data_dir}",
        "exp_dir=killed",
        "num_training_steps=1000000",
    ]
    script = str(repository / "train.py")
    command = [sys.executable, script, "configs/smoke.py", "--set", *changes]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, text=True)
    deadline = time.time() + 120
    while (
        not (states := list(tmp_path.glob("killed/*/state/*/state.json")))
        or max(int(path.parent.name) for path in states) < 10
    ):
        assert process.poll() is None
        assert time.time() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (folder,) = (tmp_path / "killed").iterdir()
    update = list_states(str(folder / "state"))[-1] + 3
    resume(folder, f"num_training_steps={update}")
    assert_same(state(run(f"num_training_steps={update}")), state(folder))
    assert [int(row["update"]) for row in rows(folder)] == list(range(1, update + 1))


def test_ctrl_c_saves_the_state_and_says_how_to_resume(repository, data_dir, tmp_path):
    changes = [
        *SMALL_TRAINING,
        f"data_dir={data_dir}",
        "exp_dir=runs",
        "num_training_steps=1000000",
        "state_freq=1000000",
    ]
    script = str(repository / "train.py")
    command = [sys.executable, script, "configs/smoke.py", "--set", *changes]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("update 2/"):
            break
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"--resume runs/{folder.name}" in out
    assert list_states(str(folder / "state"))[-1] >= 2


def test_the_code_that_a_run_keeps_runs(finished, tmp_path, data_dir):
    script = finished / "code" / "train.py"
    command = [sys.executable, script, "configs/smoke.py", "--dry-run", "--set", *SMALL_TRAINING]
    ended = subprocess.run([*command, f"data_dir={data_dir}"], cwd=tmp_path, capture_output=True,
                           text=True, check=False)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "s per update" in ended.stdout


@pytest.mark.parametrize(
    "kind",
    [
        "persistent",
        "data_persistent",
        pytest.param("coop_persistent", marks=pytest.mark.slow),  # as most tests here do
        "coop",
        "data",
        "noise",
    ],
)
def test_every_kind_of_chain_start_trains(run, kind):
    options = ["mcmc_step_info=[[2,1,0.5,0]]", "num_training_steps=2"]
    if not kind.startswith("coop"):
        options.append("update_generator=False")
    folder = run(f"mcmc_init={kind}", *options)
    values = [[float(value) for value in row.values()] for row in rows(folder)]
    assert np.isfinite(values).all()
    assert (folder / "shortrun" / "shortrun2.png").exists()
    assert (folder / "shortrun" / "persistent2.png").exists() == ("persistent" in kind)
    assert (folder / "checkpoints" / "gen_2.weights.h5").exists() == kind.startswith("coop")


def test_a_frozen_generator_never_changes_whatever_gen_batch_norm_says(run):
    folder = run("update_generator=False", "gen_batch_norm=True", "num_training_steps=2")
    config = {"gen_type": "gen_sngan", "gen_width": 4, "image_dims": [32, 32, 3], "seed": 0}
    kept, start = create_gen(config), create_gen(config)
    load_weights(kept, str(folder / "checkpoints" / "gen_2.weights.h5"))
    for now, before in zip(kept.weights, start.weights, strict=True):
        np.testing.assert_array_equal(now.numpy(), before.numpy(), err_msg=now.path)


def test_generated_images_can_be_the_data(run):
    folder = run("data_type=generator", "data_labels=None", "num_training_steps=2")
    assert len(rows(folder)) == 2
    assert not (folder / "shortrun" / "data.png").exists()


def test_weights_say_the_chain_of_their_moment_in_a_schedule(run):
    folder = run("mcmc_step_info=[[2,0,0.5,0],[3,0,0.5,2]]", "log_freq=2")
    steps = {n: chain_of(folder / "checkpoints" / f"ebm_{n}.weights.h5")["steps"] for n in (2, 4)}
    assert steps == {2: 2, 4: 3}


def chain_of(path: Path) -> dict:
    """Return what a weights file says of the chain that its EBM was trained with."""
    with h5py.File(path) as file:
        return json.loads(file.attrs["network"])["chain"]


def test_weights_start_a_run_and_bring_their_width(run, finished):
    weights = finished / "checkpoints" / "ebm_4.weights.h5"
    with h5py.File(weights) as file:
        info = json.loads(file.attrs["network"])
    assert (info["type"], info["width"], info["chain"]["steps"]) == ("ebm_sngan", 4, 2)
    options = ["ebm_width=None", "ebm_lr_info=[[0,0]]", "ebm_opt_decay=0"]
    second = run(f"ebm_weights={weights}", *options)
    start, end = state(finished), state(second)
    for name in (name for name in start if name.startswith("ebm/")):
        np.testing.assert_array_equal(start[name], end[name], err_msg=name)
    with pytest.raises(SystemExit):
        run(f"ebm_weights={weights}", "ebm_width=8")


def test_a_prior_is_part_of_the_potential_and_never_changes(run, finished):
    weights = finished / "checkpoints" / "ebm_4.weights.h5"
    before = weights.read_bytes()
    changes = ["tau=0.15", "num_training_steps=1"]
    prior = [f"prior_weights={weights}", "prior_temp=1e-3"]
    with_prior, without = run(*prior, *changes), run(*changes)
    assert rows(with_prior)[0]["grad_norm"] != rows(without)[0]["grad_norm"]
    assert weights.read_bytes() == before


def test_a_frozen_generator_may_move_and_a_trained_one_has_no_other_start(run, finished, capsys):
    weights = finished / "checkpoints" / "gen_4.weights.h5"
    frozen = run("update_generator=False", f"gen_weights={shutil.copy(weights, 'gen.weights.h5')}")
    moved = Path("gen.weights.h5").rename("moved.weights.h5")
    resume(frozen, f"gen_weights={moved}", "num_training_steps=5")
    assert len(rows(frozen)) == 5
    with pytest.raises(SystemExit):
        resume(finished, f"gen_weights={moved}", "num_training_steps=5")
    assert "'gen_weights': the run trains these weights" in capsys.readouterr().err


def test_a_damaged_state_is_named_and_the_one_before_is_used(finished, tmp_path, capsys):
    folder = Path(shutil.copytree(finished, tmp_path / "damaged"))
    part = folder / "state" / "4" / "ebm.npz"
    part.write_bytes(part.read_bytes()[:-100] + bytes(100))
    resume(folder)
    out = capsys.readouterr().out
    assert "state/4 is damaged: ebm.npz" in out
    assert "update 2 of 4" in out
    assert_same(state(finished), state(folder))


def test_divergence_rolls_back_with_new_noise_and_stops_in_the_end(run, capsys):
    with pytest.raises(SystemExit) as stop:
        run("max_langevin_grad=1e-12", "max_rollbacks=2")
    assert stop.value.code == 3
    out = capsys.readouterr().out
    assert "rollback 2 of 2 to update 0 with new noise and 0.5 times the learning rate" in out
    (folder,) = Path("runs").iterdir()
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [event["action"] for event in events] == ["rollback to 0", "rollback to 0", "stop"]
    assert list_states(str(folder / "state")) == [0]


def test_ignored_divergence_goes_on(run):
    assert len(rows(run("max_langevin_grad=1e-12", "on_divergence=ignore"))) == 4


def test_dry_run_tells_the_costs_and_writes_nothing(tmp_path, monkeypatch, data_dir, capsys):
    monkeypatch.chdir(tmp_path)
    train.main(["configs/smoke.py", "--dry-run", "--set", *SMALL_TRAINING, f"data_dir={data_dir}"])
    out = capsys.readouterr().out
    for words in ("ebm: ebm_sngan", "parameters", "memory", "s per update", "4 updates"):
        assert words in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    ["cifar10", *(pytest.param(n, marks=pytest.mark.slow) for n in ("celeb_a", "imagenet2012"))],
)
def test_the_data_path_of_the_published_sets(run, name, tmp_path, monkeypatch):
    """TFDS' mock data: the real features and pipeline, random pictures."""
    with tfds.testing.mock_data(num_examples=12):
        folder = run(f"data_type={name}", "data_labels=None", "num_training_steps=1")
    assert len(rows(folder)) == 1
    assert (folder / "shortrun" / "data.png").exists()
