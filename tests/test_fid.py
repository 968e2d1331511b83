"""fid.py as a user runs it, on the embedded data."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fid
from fid_orig.sampler import load_sampler
from nets import create_ebm, create_gen
from tests.runs import splits
from utils.data.pictures import to_float
from utils.images import to_uint8
from utils.run.run import Run
from utils.run.states import list_states
from utils.scores.extractors import make_extractor
from utils.scores.frechet import Moments, frechet_distance, load_statistics
from utils.weights.files import save_weights

SMALL = ["num_samples=20", "batch_size=8", "ebm_width=4", "gen_width=4", "exp_dir=runs"]
SIZES = {"image_dims": [32, 32, 3], "ebm_width": 4, "gen_width": 4, "z_sz": 128}
CHAIN = {"steps": 3, "epsilon": 0.02, "temperature": 1e-2, "tau": 0.5, "max_norm": 0.5}
SLOW_BREAKS = [pytest.param(calls, 1, marks=pytest.mark.slow) for calls in (2, 14)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Return a folder of three small checkpoints, 10, 20 and 30, which hold their sampling."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for step in (10, 20, 30):
        info = {"image_dims": [32, 32, 3], "width": 4}
        ebm = create_ebm({**SIZES, "net_type": "ebm_sngan", "seed": step})
        chain = {"type": "ebm_sngan", "chain": CHAIN}
        save_weights(ebm, str(folder / f"ebm_{step}.weights.h5"), info | chain)
        gen = create_gen({**SIZES, "gen_type": "gen_sngan", "seed": step})
        info |= {"type": "gen_sngan", "z_sz": 128}
        save_weights(gen, str(folder / f"gen_{step}.weights.h5"), info)
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, data_dir):
    """Return (changes) -> run folder of a small scoring run in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def start(*changes: str) -> Path:
        before = set(tmp_path.glob("runs/smoke*"))
        fid.main(["configs_fid/smoke.py", "--set", *SMALL, f"data_dir={data_dir}", *changes])
        (folder,) = set(tmp_path.glob("runs/smoke*")) - before
        return folder

    return start


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir) -> Path:
    """Return the folder of a small run without interruption."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("whole"))
        changes = [*SMALL, f"data_dir={data_dir}", "save_images=True", "film=True"]
        fid.main(["configs_fid/smoke.py", "--set", *changes])
        return next(Path("runs").glob("smoke*")).resolve()


@pytest.fixture
def refused(run, capsys):
    """Return (changes) -> the one-line message with which a run is refused."""

    def line(*changes: str) -> str:
        with pytest.raises(SystemExit) as stop:
            run(*changes)
        assert stop.value.code == 2
        (printed,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
        return printed

    return line


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def scores(folder: Path) -> dict:
    """Return the Fréchet distances of a run by images and number of steps."""
    return {(s["of"], s["checkpoint"], s["steps"]): s["fid"] for s in report(folder)["scores"]}


def pixels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def of_weights(weights: Path) -> list[str]:
    """Return `--set` strings that take sampling and sizes from the weights of checkpoint 10."""
    paths = [f"{name}_weights={weights}/{name}_10.weights.h5" for name in ("ebm", "gen")]
    open_keys = ("epsilon", "mcmc_temp", "mcmc_steps", "fid_steps", "ebm_width", "gen_width")
    return [*paths, *(f"{name}=None" for name in open_keys)]


def test_a_run_leaves_scores_with_their_extractor_and_both_baselines(whole):
    stored = report(whole)
    assert stored["extractor"].startswith("random_conv (random weights")
    assert splits(whole) == ["test", "train"]
    expected = [("held-out data", None), ("generator", 0), ("samples", 2), ("samples", 4)]
    assert [(s["of"], s["steps"]) for s in stored["scores"]] == expected
    assert {s["images"] for s in stored["scores"]} == {20}, "exactly num_samples"
    for score in stored["scores"]:
        assert np.isfinite([score["fid"], score["kid"], score["kid_error"]]).all()
        assert "FID[random_conv" in score["line"]
        assert "KID[random_conv" in score["line"]
        assert "no more images than features" in score["warning"]
        assert score["line"] in (whole / "fid_rec.txt").read_text()
    assert [p.name for p in (whole / "numpy").iterdir()] == ["chains.npz"]
    files = {str(p.relative_to(whole)) for p in whole.rglob("*") if p.is_file()}
    assert len(list((whole / "state").iterdir())) == 1, "earlier ones would need the features"
    grids = {f"images/grid_{step}.png" for step in (0, 2, 4)}
    grids |= {"images/film.png", "images/nearest.png", "report.html"}
    assert grids | {"plots/chains.png", "code/fid.py", "config.json"} <= files
    assert {stored["nearest"]["model"][name] for name in ("of", "among")} == {20, 24}
    with np.load(whole / "numpy/chains.npz") as chains:
        assert chains["steps"].tolist() == [0, 1, 2, 3, 4]
        assert chains["energies"].shape == chains["grad_norms"].shape == (20, 5)
        assert (chains["grad_norms"][:, 1:] > 0).all()


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_last_digit(run, repository, data_dir, tmp_path):
    changes = ["mcmc_steps=60", "fid_steps=[0,30]", "segment_steps=2", f"data_dir={data_dir}"]
    command = [sys.executable, str(repository / "fid.py"), "configs_fid/smoke.py", "--set", *SMALL]
    command += [*changes, "exp_dir=killed"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.time() + 120
    while not any(int(p.parent.name) > 40 for p in tmp_path.glob("killed/s*/state/*/state.json")):
        assert process.poll() is None
        assert time.time() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (folder,) = tmp_path.glob("killed/smoke*")
    fid.main(["--resume", str(folder)])
    assert report(folder) == report(run(*changes))


@pytest.mark.parametrize(("calls", "state_freq"), [(8, 3), *SLOW_BREAKS])
def test_a_run_broken_off_anywhere_resumes_to_the_last_digit(
    run, whole, monkeypatch, calls, state_freq
):
    """Before a state is written: its work was done, and is done again."""
    _break_off(run, monkeypatch, calls, f"state_freq={state_freq}", "film=True")
    (folder,) = Path("runs").glob("smoke*")
    fid.main(["--resume", str(folder)])
    assert report(folder) == report(whole)
    for name in ("grid_4.png", "film.png", "nearest.png"):
        assert (folder / "images" / name).read_bytes() == (whole / "images" / name).read_bytes()


def _break_off(run, monkeypatch, calls: int, *changes: str) -> None:
    """Start a run that fails before the end of segment `calls`, counted from 0."""
    done, left = Run.done, iter(range(calls))

    def fail(self, *arguments):
        if next(left, None) is None:
            raise RuntimeError("broken off")
        done(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "done", fail)
        with pytest.raises(RuntimeError, match="broken off"):
            run(*changes)


def test_ctrl_c_saves_the_state_and_says_how_to_resume(run, whole, monkeypatch, capsys):
    done = Run.done

    def interrupted(self, step):
        if step == 8:  # to step 3 of the second batch
            os.kill(os.getpid(), signal.SIGINT)
        done(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "done", interrupted)
        with pytest.raises(SystemExit) as stop:
            run("state_freq=1000")
    assert stop.value.code == 130
    (folder,) = Path("runs").glob("smoke*")
    assert f"--resume runs/{folder.name}" in capsys.readouterr().out
    assert list_states(str(folder / "state"))
    fid.main(["--resume", str(folder)])
    assert report(folder) == report(whole)


@pytest.mark.slow
def test_replicas_and_batch_size_change_nothing(run, whole, monkeypatch):
    """Up to the order of float32 sums, which the rounding of pixels to uint8 amplifies a little."""
    _break_off(run, monkeypatch, 8, "num_replicas=2", "exp_name=smoke_mixed")
    (mixed,) = Path("runs").glob("smoke_mixed*")
    fid.main(["--resume", str(mixed), "--set", "num_replicas=1"])
    for folder in (mixed, run("num_replicas=2", "batch_size=4")):
        for found in (scores, lambda each: report(each)["nearest"]["model"]["samples"]):
            assert found(folder) == pytest.approx(found(whole), rel=1e-4)


def test_a_score_along_a_chain_is_that_of_a_chain_so_long(run, whole):
    long = run("fid_steps=[2,4]", "grad_steps=2", "segment_steps=3", "film=True")
    with np.load(long / "numpy/chains.npz") as chains:
        assert chains["steps"].tolist() == [0, 2, 3, 4], "those of a film are not looked at"
    along, short = scores(long), scores(run("mcmc_steps=2", "fid_steps=None", "grad_steps=2"))
    assert along["samples", None, 2] == pytest.approx(short["samples", None, 2], rel=1e-9)
    assert short["samples", None, 2] != scores(whole)["samples", None, 2], (
        "steps without noise count"
    )


def test_data_as_starts_have_no_distance_from_themselves(run):
    """With as many chains as the split has pictures, both sets are the same, in another order."""
    labels = ["data_labels=['Flags']", "num_samples=206", "reference_samples=None", "batch_size=50"]
    folder = run("mcmc_init=data", "mcmc_steps=0", "fid_steps=None", "heldout_split=None", *labels)
    assert scores(folder)["data as starts", None, 0] == pytest.approx(0, abs=1e-6)


def test_folder_mode_scores_each_checkpoint_and_names_the_best(run, weights, capsys):
    folder = run(
        "exp_type=folder", f"ckpt_folder={weights}", "min_step=10", "max_step=30", "step_freq=10",
        *of_weights(weights), "ebm_weights=None", "gen_weights=None",
    )  # fmt: skip
    found = scores(folder)
    by_step = {step: found["samples", str(step), 3] for step in (10, 20, 30)}
    best = min(by_step, key=by_step.get)
    assert report(folder)["best"]["checkpoint"] == str(best)
    assert f"best: checkpoint {best}" in capsys.readouterr().out
    assert dict(np.load(folder / "fid_vals.npy")[:, :2].tolist()) == by_step
    assert (folder / "plots/fid_curve.png").exists()
    assert (folder / "images/20_grid_3.png").exists()


def test_one_generator_for_all_checkpoints(run, weights, refused, tmp_path):
    shutil.copy(weights / "ebm_20.weights.h5", tmp_path)
    folder = ["exp_type=folder", f"ckpt_folder={tmp_path}", "min_step=20", "max_step=20"]
    changes = [*of_weights(weights), *folder, "fid_steps=[0]"]
    assert "has no gen_20.weights.h5" in refused(*changes)
    scored = scores(run(*changes, "fixed_gen=True"))
    alone = scores(run(*of_weights(weights), "fid_steps=[0]"))
    assert scored["generator", "20", 0] == pytest.approx(alone["generator", None, 0], rel=1e-9)


def test_sample_mode_draws_the_chain_that_the_weights_tell(run, weights):
    folder = run("exp_type=sample", "num_samples=10", *of_weights(weights))
    drawn = pixels(folder / "images/samples_3")
    paths = [str(weights / f"{name}_10.weights.h5") for name in ("ebm", "gen")]
    expected = to_uint8(load_sampler(*paths)(np.arange(10)))
    assert np.abs(drawn.astype(int) - expected).max() <= 1  # sums in another order, then rounding
    assert {"grid_0.png", "grid_3.png"} <= {path.name for path in (folder / "images").iterdir()}
    assert not (folder / "report.json").exists()


def test_saved_images_are_those_that_were_scored(whole):
    """Against PNG files and features of another process."""
    extractor = make_extractor("random_conv", None)
    moments = Moments(extractor.dim)
    moments.add(extractor(to_float(pixels(whole / "images/samples_4"))))
    (path,) = (whole.parent / "reference").glob("*.npz")
    reference = load_statistics(str(path), extractor.metadata, extractor.dim)
    distance = frechet_distance(moments.statistics(), reference)
    assert distance == pytest.approx(scores(whole)["samples", None, 4], rel=1e-6)


def test_reference_statistics_are_made_once_and_refused_where_they_differ(
    run, whole, refused, capsys
):
    (path,) = (whole.parent / "reference").glob("*.npz")
    before = path.stat().st_mtime_ns
    stats = f"reference_stats={path}"
    assert report(run(stats)) == report(whole)
    assert path.stat().st_mtime_ns == before
    assert "quantize True, this run has quantize False" in refused(stats, "quantize=False")
    assert "labels Smileys & Emotion" in refused(stats, "data_labels=['Flags']")
    assert "this run has split test" in refused(stats, "split=test", "heldout_split=None")
    with np.load(path) as arrays:
        np.savez("bare.npz", mu=arrays["mu"], sigma=arrays["sigma"])
    capsys.readouterr()
    bare = report(run("reference_stats=bare.npz"))["scores"]
    assert "bare.npz lack extractor, weights_sha256, " in capsys.readouterr().out
    assert [s["fid"] for s in bare] == [s["fid"] for s in report(whole)["scores"]]
    assert {s["kid"] for s in bare} == {None}, "KID needs features, not moments"


def test_dry_run_tells_the_costs_and_writes_nothing(tmp_path, monkeypatch, data_dir, capsys):
    monkeypatch.chdir(tmp_path)
    fid.main(["configs_fid/smoke.py", "--dry-run", "--set", *SMALL, f"data_dir={data_dir}"])
    out = capsys.readouterr().out
    for word in ("ebm: ebm_sngan", "gen: gen_sngan", "a segment: 1 Langevin", "12 segments"):
        assert word in out
    assert not list(tmp_path.iterdir())
