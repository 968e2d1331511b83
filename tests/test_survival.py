"""Hostile surroundings: full disks, folders that vanish, crafted files, and URLs for folders."""

import functools
import io
import re
import resource
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import tensorflow as tf

import train
from nets import create_ebm
from tests.runs import SMALL_TRAINING, assert_same, rows, state
from utils.config.load import parse_command
from utils.errors import UserError
from utils.replicas import Replicas
from utils.run import folder as run_folder
from utils.run import states
from utils.run.records import Metrics
from utils.run.training import Training
from utils.weights import files as checkpoint
from utils.weights.published import load_weights

NO_GENERATOR = ["mcmc_init=persistent", "update_generator=False"]  # sooner ready
SMALL_EBM = {"net_type": "ebm_sngan", "image_dims": [32, 32, 3], "ebm_width": 4}


@pytest.fixture
def run(start_run):
    """Return (changes) -> run folder of a small run in an empty working directory."""
    return functools.partial(start_run, train.main, "configs/smoke.py", *SMALL_TRAINING)


@pytest.fixture
def disturb(monkeypatch):
    """Return (update, do): have `do(folder)` called once, when an update (from 1) is computed."""
    after = Training.after

    def at(update, do):
        waiting = [do]

        def disturbed_after(self, number, outcome):
            if number + 1 == update and waiting:
                waiting.pop()(self.folder)
            after(self, number, outcome)

        monkeypatch.setattr(Training, "after", disturbed_after)

    return at


@pytest.fixture
def fill_disk():
    """Return a function after which files cannot grow beyond 20 kB, until the test ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the limit's signal, so that a write beyond it fails as on a full disk.
    yield lambda *_: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def empty_disk() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_a_full_disk_is_one_line_and_the_state_before_is_whole(run, disturb, fill_disk, capsys):
    disturb(3, fill_disk)
    with pytest.raises(SystemExit) as stop:
        run(*NO_GENERATOR, "info_freq=100", "log_freq=100", "state_freq=1")
    empty_disk()
    assert stop.value.code == 2
    (folder,) = Path("runs").iterdir()
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.match(rf"error: cannot write {folder}/state/3/.*: File too large; free some", error)
    assert not list(folder.rglob(".tmp-*"))
    assert states.list_states(str(folder / "state")) == [1, 2]
    train.main(["--resume", str(folder)])
    assert states.list_states(str(folder / "state")) == [3, 4]
    assert [int(row["update"]) for row in rows(folder)] == [1, 2, 3, 4]


def test_weights_on_a_full_disk_are_one_line_and_the_old_ones_stay(tmp_path, fill_disk):
    """HDF5 itself would end the process by a segmentation fault, now or when it exits."""
    path = tmp_path / "ebm.weights.h5"
    ebm = create_ebm(SMALL_EBM)
    checkpoint.save_weights(ebm, str(path), {})
    before = path.read_bytes()
    assert len(before) > 20_000
    fill_disk()
    with pytest.raises(UserError, match=f"cannot write {path}: File too large"):
        checkpoint.save_weights(ebm, str(path), {})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_run_whose_folder_was_deleted_ends_with_one_line(run, disturb, capsys):
    disturb(2, shutil.rmtree)
    with pytest.raises(SystemExit) as stop:
        run(*NO_GENERATOR, "log_freq=100")
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: cannot write runs/")
    assert error.endswith("/state/2: its folder does not exist")
    assert not list(Path("runs").iterdir()), "nothing that cannot be resumed was made anew"


def test_two_runs_of_one_second_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder.time, "time", lambda: 1_764_000_000)
    command = parse_command("train", "", ["configs/smoke.py", "--set", f"exp_dir={tmp_path}"])
    one, two = (
        run_folder.make_run_folder(command, Replicas(command.config), run_folder.Inputs())
        for _ in range(2)
    )
    assert two == f"{one}-2"
    assert len(list(tmp_path.iterdir())) == 2


class Arrays:
    """A part that is nothing but arrays."""

    def __init__(self, **arrays):
        self.arrays = arrays

    def state(self):
        return self.arrays

    def restore(self, state):
        self.arrays = state


# What a loader that runs what it reads would run: open("sprung", "w").
TRAP = b"cbuiltins\nopen\n(S'sprung'\nS'w'\ntR."


def _object_npz() -> bytes:
    """Return an npz whose array `a` is one of objects: the trap behind a header of NumPy's."""
    header, file = io.BytesIO(), io.BytesIO()
    description = {"descr": "|O", "fortran_order": False, "shape": (1,)}
    np.lib.format.write_array_header_1_0(header, description)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", header.getvalue() + TRAP)
    return file.getvalue()


@pytest.mark.parametrize("content", [_object_npz(), TRAP, b"PK\x03\x04 cut short", b""])
def test_a_crafted_state_is_refused_without_running_it(tmp_path, monkeypatch, content):
    """Its checksums are right, unlike those of an accident."""
    monkeypatch.chdir(tmp_path)
    states.write_parts("3", {"ebm": Arrays(a=np.zeros(1))})
    Path("3/ebm.npz").write_bytes(content)
    states.declare_state("3", {"update": 3, "replicas": 1})
    header = states.read_header("3")
    with pytest.raises(UserError, match=r"ebm\.npz is damaged"):
        states.restore_parts("3", header, {"ebm": Arrays()})
    assert not Path("sprung").exists()


@pytest.mark.parametrize("attribute", [5, "[1]", "{", b"\xff", np.zeros(2)])
def test_weights_with_a_crafted_description_are_damaged(tmp_path, attribute):
    path = str(tmp_path / "ebm.weights.h5")
    with h5py.File(path, "w") as file:
        file.attrs["network"] = attribute
    with pytest.raises(UserError, match="are damaged"):
        checkpoint.network_info(path)


def test_weights_with_crafted_arrays_are_refused_without_running_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ebm = create_ebm(SMALL_EBM)
    checkpoint.save_weights(ebm, "ebm.weights.h5", {})
    with h5py.File("ebm.weights.h5", "a") as file:
        names = []
        file.visititems(lambda n, item: names.append(n) if hasattr(item, "shape") else None)
        shape = file[names[0]].shape
        del file[names[0]]
        file[names[0]] = np.full(shape, np.void(TRAP))
    with pytest.raises(UserError, match=r"weights ebm\.weights\.h5"):
        load_weights(ebm, "ebm.weights.h5")
    assert not Path("sprung").exists()


def test_one_worker_of_many_writes_the_metrics(tmp_path):
    path = tmp_path / "metrics.csv"
    workers = [Metrics(str(path), ("update",), writes=number == 0) for number in range(2)]
    for update in (1, 2, 3):
        for metrics in workers:
            metrics.append({"update": update})
    for metrics in workers:
        metrics.flush()
        metrics.cut(2)
        assert metrics.series("update").tolist() == [1, 2]
    assert path.read_text() == "update\n1\n2\n"


@pytest.mark.slow
def test_a_run_behind_a_url_resumes_as_one_on_a_disk(run, data_dir):
    """TensorFlow's file system in memory stands for a bucket: both are reached by URLs only."""
    changes = [*SMALL_TRAINING, f"data_dir={data_dir}", "exp_dir=ram://survival/runs"]
    train.main(["configs/smoke.py", "--set", *changes, "num_training_steps=2"])
    (name,) = tf.io.gfile.listdir("ram://survival/runs")
    folder = "ram://survival/runs/" + name.rstrip("/")
    train.main(["--resume", folder, "--set", "num_training_steps=4"])
    local, remote = state(run()), {}
    for part in sorted(tf.io.gfile.glob(f"{folder}/state/4/*.npz")):
        with tf.io.gfile.GFile(part, "rb") as raw, zipfile.ZipFile(io.BytesIO(raw.read())) as file:
            stem = Path(part).stem
            remote |= {
                f"{stem}/{n.removesuffix('.npy')}": np.load(io.BytesIO(file.read(n)))
                for n in file.namelist()
            }
    assert_same(local, remote)
    with tf.io.gfile.GFile(f"{folder}/metrics.csv") as file:
        assert [line.split(",")[0] for line in file.read().splitlines()] == [
            "update", "1", "2", "3", "4",
        ]  # fmt: skip
    assert tf.io.gfile.exists(f"{folder}/checkpoints/ebm_4.weights.h5")
    assert tf.io.gfile.exists(f"{folder}/code/train.py")


def test_a_run_from_weights_that_are_not_numbers_is_refused(run, tmp_path, capsys):
    ebm = create_ebm(SMALL_EBM)
    ebm.variables[0].assign(np.nan * ebm.variables[0].numpy())
    checkpoint.save_weights(ebm, str(tmp_path / "nan.weights.h5"), {"type": "ebm_sngan"})
    with pytest.raises(SystemExit) as stop:
        run(*NO_GENERATOR, "ebm_weights=nan.weights.h5")
    assert stop.value.code == 2
    assert "weights or chain states that are NaN or Inf" in capsys.readouterr().err


def test_weights_that_an_update_made_infinite_are_never_written(run, tmp_path, capsys):
    """Its metrics are finite: they are of the weights before its step."""
    rate = ("ebm_optim_type=sgd", "ebm_lr_info=[[1e38,0]]")
    with pytest.raises(SystemExit) as stop:
        run(*NO_GENERATOR, *rate, "num_training_steps=1", "on_divergence=stop")
    assert stop.value.code == 3
    out = capsys.readouterr().out
    assert "weights or chain states are not finite" in out
    assert "--set on_divergence=rollback" in out
    assert not list(tmp_path.glob("**/checkpoints/*"))


def test_pictures_of_what_is_not_finite_are_left_out_and_said(tmp_path, capsys):
    """A run whose `on_divergence` is to go on does so, without a black picture."""
    (tmp_path / "shortrun").mkdir()
    images = {"good": np.zeros((1, 4, 4, 3)), "bad": np.full((1, 4, 4, 3), np.nan)}
    Training.plot(SimpleNamespace(chief=True, folder=str(tmp_path), board=None), images)
    assert [path.name for path in tmp_path.rglob("*.png")] == ["good.png"]
    assert "bad is not plotted: its images hold NaN or Inf" in capsys.readouterr().out
