"""fid.py with exp_type=density as a user runs it, on the embedded data."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import fid
from tests.runs import splits
from utils.run.run import Run

SMALL = [
    "exp_type=density", "exp_dir=runs", "ebm_width=4", "gen_width=4", "num_samples=6",
    "batch_size=4", "reference_samples=6", "ais_steps=[4,12]", "ood=['uniform','rotated']",
    "clf_weights=None", "mcmc_init=noise",
]  # fmt: skip
WRONG = {  # as in test_fid_mistakes.py
    "one chain": ("num_samples=1", "'num_samples' must be at least 2"),
    "one at once": ("batch_size=1", "'batch_size' must be at least 2"),
    "nothing held out": ("heldout_split=None", "'heldout_split' is missing"),
    "no noise": ("data_epsilon=0", "'data_epsilon' is 0"),
    "short chains": ("mcmc_steps=3 fid_steps=None", "'mcmc_steps' 3", "shorter segments"),
    "one segment": ("segment_steps=4", "'segment_steps' 4: 1 records", "the 4 that it needs"),
    "more chains than data": ("num_samples=500", "134 images", "'num_samples' 500"),
    "a classifier of grey": (
        "clf_weights=examples/weights/fashion_wrn.weights.h5",
        "trained on grey images",
    ),
    "unknown outliers": ("ood=['unifrm']", "'ood' 'unifrm'"),
    "no pictures": ("ood=['image_folder:no']", "'ood' 'image_folder:no'", "not found"),
    "twice": ("ood=['uniform','uniform']", "'ood'", "twice"),
    "empty classifier": ("clf_weights=''", "'clf_weights' is still empty"),
    "no base": ("ais_base=round", "'ais_base'", "diagonal"),
    "half a prior": ("prior_weights=some.weights.h5", "'prior_weights' needs 'prior_temp'"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    """Return (changes) -> run folder of a small density run."""
    root = tmp_path_factory.mktemp("density")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)

        def start(*changes: str) -> Path:
            before = set(root.glob("runs/smoke*"))
            try:
                changes = [*SMALL, f"data_dir={data_dir}", *changes]
                fid.main(["configs_fid/smoke.py", "--set", *changes])
            finally:
                (start.folder,) = set(root.glob("runs/smoke*")) - before
            return start.folder

        yield start


@pytest.fixture(scope="module")
def broken_off(run):
    """Return calls -> folder of a run that fails before its `calls`-th segment, then resumes."""

    def start(calls: int) -> Path:
        done, left = Run.done, iter(range(calls))

        def fail(self, *arguments):
            if next(left, None) is None:
                raise RuntimeError("broken off")
            done(self, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Run, "done", fail)
            with pytest.raises(RuntimeError, match="broken off"):
                run()
        fid.main(["--resume", str(run.folder)])
        return run.folder

    return start


@pytest.fixture(scope="module")
def whole(broken_off) -> Path:
    """Return the folder of a run that was resumed during annealing, which changes no result."""
    return broken_off(70)


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_a_run_tells_log_z_likelihood_convergence_and_outliers(whole):
    stored = report(whole)
    assert stored["extractor"].startswith("random_conv (random weights")
    for steps in ("4", "12"):
        found, bits = stored["log_z"]["by_steps"][steps], stored["bits_per_dim"]["by_steps"][steps]
        nats = found["reverse"]["log_z"] - found["forward"]["log_z"]
        assert bits["difference"] == pytest.approx(nats / (3072 * math.log(2)), rel=1e-6)
        for direction in ("forward", "reverse"):
            assert 1 <= found[direction]["effective_size"] <= 6
            assert 0 <= found[direction]["acceptance"] <= 1
            assert math.isfinite(bits[direction])
    assert "4 steps that began at data: an estimate" in stored["log_z"]["reverse"]
    validity = stored["validity"]
    assert {"from data", "from noise", "r_hat", "ess"} <= set(validity)
    assert validity["r_hat"]["energies"] > 1.5, "4 steps from noise end nowhere near data"
    assert set(validity["ess"]["mean"]) == {"bulk", "tail"}
    assert validity["between_starts"]["data and noise"]["p_value"] < 0.05
    assert stored["modes"] == {"left_out": "no classifier: 'clf_weights' is None"}
    for name in ("uniform", "rotated"):
        assert 0 <= stored["outliers"][name]["energy"]["auroc"] <= 1
        assert set(stored["outliers"][name]) == {
            "images", "energy", "gradient norm", "per-pixel Gaussian",
        }  # fmt: skip
    assert stored["outliers"]["uniform"]["per-pixel Gaussian"]["auroc"] == 1
    assert splits(whole) == ["test", "train"]


def test_a_run_leaves_pictures_arrays_and_one_state(whole):
    files = {str(p.relative_to(whole)) for p in whole.rglob("*") if p.is_file()}
    plots = ("bits_per_dim", "chains", "outliers")
    assert {f"plots/{name}.png" for name in plots} <= files
    images = ("chains_from_noise_4", "forward_12_12", "reverse_12_12")
    assert {f"images/{name}.png" for name in images} <= files
    kept = {"annealed.npz", "chains_data.npz", "chains_noise.npz"}
    assert {p.name for p in (whole / "numpy").iterdir()} == kept
    with np.load(whole / "numpy/chains_data.npz") as chains:
        assert chains["steps"].tolist() == [0, 1, 2, 3, 4]
        assert chains["energies"].shape == (6, 5)
    assert len(list((whole / "state").iterdir())) == 1


@pytest.mark.slow
def test_a_run_broken_off_anywhere_resumes_to_the_last_digit(run, whole, broken_off):
    """During images, chains from each start, the pilot, and annealing in both directions."""
    undisturbed = report(run())
    assert report(whole) == undisturbed
    for calls in (1, 9, 25, 50, 100):
        assert report(broken_off(calls)) == undisturbed, calls


@pytest.mark.slow
def test_replicas_change_no_result(run, whole):
    """Up to the order of sums."""
    other = report(run("num_replicas=2"))["bits_per_dim"]["by_steps"]
    for steps, found in report(whole)["bits_per_dim"]["by_steps"].items():
        assert other[steps] == pytest.approx(found, rel=1e-3)


@pytest.mark.slow
def test_the_smoke_config_visits_classes_and_takes_every_outlier(run):
    stored = report(run(
        "clf_weights=examples/weights/emoji32_wrn.weights.h5", "mcmc_init=coop",
        "ais_base=diagonal",
        "ood=['uniform','constant','rotated','emoji32']",
    ))  # fmt: skip
    assert set(stored["modes"]) == {"from data", "from generator", "from noise"}
    assert sum(stored["modes"]["from data"]["shares"]) == pytest.approx(1)
    assert "maximal softmax" in stored["outliers"]["emoji32"]


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_clear_line_before_any_chain_runs(
    name, data_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    changes, *words = WRONG[name]
    with pytest.raises(SystemExit) as stop:
        fid.main(["configs_fid/smoke.py", "--dry-run", "--set", *SMALL, f"data_dir={data_dir}",
                  *changes.split(" ")])  # fmt: skip
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    for word in words:
        assert word in line, (word, line)
    assert not list(tmp_path.iterdir())


def test_a_base_larger_than_the_memory_is_told_at_the_start(data_dir, monkeypatch, capsys):
    monkeypatch.setattr("utils.density.evaluation.free_memory", lambda: 10**8)
    changes = [*SMALL, f"data_dir={data_dir}", "ais_base=full"]
    with pytest.raises(SystemExit):
        fid.main(["configs_fid/smoke.py", "--dry-run", "--set", *changes])
    assert "needs 0.5 GiB of memory, but 0.1 GiB are free: add" in capsys.readouterr().err


def test_energies_that_are_not_finite_are_told_before_any_chain_runs(run, capsys):
    with pytest.raises(SystemExit):
        run("mcmc_temp=1e-300")
    assert (
        "images of 'held-out data': an energy or a pixel is NaN or Inf" in capsys.readouterr().err
    )


def test_dry_run_tells_the_costs_and_writes_nothing(data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fid.main(["configs_fid/smoke.py", "--dry-run", "--set", *SMALL, f"data_dir={data_dir}"])
    assert "a segment: 10 annealed steps of 4 images" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
