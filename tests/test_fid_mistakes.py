"""Mistakes of users of fid.py, and the one-line message of each."""

import json

import numpy as np
import pytest
from PIL import Image

import fid
from nets import create_ebm
from utils.weights.files import save_weights

# name: (--set of the smoke config, words in the message)
WRONG = {
    "how many": ("num_samples=None", "'num_samples' is missing"),
    "scores beyond": ("fid_steps=[9]", "'fid_steps' [9] go beyond 'mcmc_steps' 4"),
    "half a chain": ("mcmc_temp=None", "'epsilon' and 'mcmc_temp' belong together"),
    "stored tau": (
        "epsilon=None mcmc_temp=None tau=0.1",
        "'tau' and clipping come from the weights",
    ),
    "no chain": ("epsilon=None mcmc_temp=None", "'mcmc_steps', 'epsilon' and 'mcmc_temp'"),
    "empty weights": ("ebm_weights=''", "'ebm_weights' is still empty"),
    "empty generator": ("gen_weights=''", "'gen_weights' is still empty"),
    "no folder": ("exp_type=folder", "'ckpt_folder' is missing"),
    "turned round": ("exp_type=folder ckpt_folder=. min_step=9", "'min_step' 9"),
    "no checkpoint": (
        "exp_type=folder ckpt_folder=.",
        "has no gen_0.weights.h5",
        "no updates of gen",
    ),
    "one image": ("num_samples=1", "'num_samples' must be at least 2"),
    "one batch of one": ("num_samples=None num_fid_rounds=1 batch_size=1", "'num_samples' must be"),
    "no statistics": ("reference_stats=no.npz", "statistics no.npz cannot be read"),
    "wrong statistics": ("reference_stats=wrong.npz", "'mu' has the shape (3,)"),
    "no extractor": ("feature_net=vgg", "'feature_net'", "inception_tf1"),
    "no classifier": ("feature_net=classifier clf_weights=None", "train_clf.py"),
    "no graph": ("feature_net=inception_tf1 inception_weights=no.pb", "no.pb not found"),
    "few data": ("reference_samples=5000", "images, but this score needs 5000"),
    "held-out training": ("heldout_split=train", "'heldout_split' 'train' is 'split' itself"),
    "missed": ("exp_type=folder ckpt_folder=. max_step=7 step_freq=5", "misses 'max_step' 7"),
    "few held out": ("num_samples=100 heldout_split=test", "split test", "needs 100"),
    "few starts": ("mcmc_init=data num_samples=2000", "images to start chains"),
    "bank": ("mcmc_init=persistent", "'mcmc_init'", "coop"),
    "generated data": ("data_type=generator", "'data_type' must be a data set"),
}
SMALL = ["ebm_width=4", "gen_width=4", "exp_dir=runs"]
FEW = ["num_samples=4", "batch_size=4", "reference_samples=4", "heldout_split=None"]
# Each step is 50 times the last one, and overflows float32 before the 60th.
UNSTABLE = ["mcmc_steps=1", "fid_steps=None", "grad_steps=60", "epsilon=0.1", "tau=0.01"]


@pytest.fixture
def refused(tmp_path, monkeypatch, data_dir, capsys):
    """Return (changes, options) -> the one-line message of fid.py."""
    monkeypatch.chdir(tmp_path)

    def line(changes: list[str], *options: str) -> str:
        overrides = [f"data_dir={data_dir}", *SMALL, *changes]
        with pytest.raises(SystemExit) as stop:
            fid.main(["configs_fid/smoke.py", *options, "--set", *overrides])
        assert stop.value.code == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
        return line

    return line


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_clear_line_of_a_dry_run_too(name, refused, tmp_path):
    """A run reports what a dry run reports, before it writes anything: they share this code."""
    np.savez(tmp_path / "wrong.npz", mu=np.zeros(3), sigma=np.eye(3))
    changes, *words = WRONG[name]
    line = refused(changes.split(" "), "--dry-run")
    for word in words:
        assert word in line, (word, line)
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.npz"]


def test_a_chain_that_diverges_is_one_clear_line(refused):
    assert "diverged before step" in refused(["epsilon=1e30", "mcmc_temp=1e-30"])


def test_steps_without_noise_that_diverge_leave_no_pictures(refused, tmp_path):
    line = refused([*FEW, *UNSTABLE, "mcmc_init=noise", "exp_type=sample"])
    assert "diverged in their 60 'grad_steps'" in line
    assert [path.name for path in tmp_path.rglob("*.png")] == ["grid_0.png"]


def test_damaged_pictures_are_no_starts_of_chains(tmp_path, monkeypatch, capsys, rng):
    """In a streamed data set it is not known in advance which pictures are damaged."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        image = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "pictures" / f"{number}.png")
    whole = (tmp_path / "pictures" / "3.png").read_bytes()
    (tmp_path / "pictures" / "3.png").write_bytes(whole[: len(whole) // 2])
    changes = ["data_type=image_folder", "data_dir=pictures", "data_memory=0", "data_labels=None"]
    changes += ["mcmc_init=data", "num_samples=6", "batch_size=6", "exp_type=sample"]
    with pytest.raises(SystemExit) as stop:
        fid.main(["configs_fid/smoke.py", "--set", "ebm_width=4", "exp_dir=runs", *changes])
    assert stop.value.code == 2
    assert "5 pictures beside 1 damaged ones, not the required 6" in capsys.readouterr().err


def _checkpoint(step: int, width: int = 4, scale: float = 1) -> None:
    """Write `ebm_STEP.weights.h5` into the working directory."""
    sizes = {"image_dims": [32, 32, 3], "ebm_width": width}
    ebm = create_ebm({**sizes, "net_type": "ebm_sngan", "seed": step})
    ebm.set_weights([scale * weight for weight in ebm.get_weights()])
    info = {"type": "ebm_sngan", "image_dims": [32, 32, 3], "width": width}
    save_weights(ebm, f"ebm_{step}.weights.h5", info)


def _folder(last: int) -> list[str]:
    changes = ["exp_type=folder", "ckpt_folder=.", "min_step=1", f"max_step={last}", "step_freq=1"]
    return [*changes, "mcmc_init=noise"]


def test_the_last_checkpoint_is_looked_at_before_the_first_chain(refused):
    _checkpoint(1)
    _checkpoint(2, width=8)
    line = refused([*_folder(2), *FEW], "--dry-run")
    assert "weights ./ebm_2.weights.h5" in line
    assert "of another shape" in line


def test_a_run_goes_on_where_steps_without_noise_diverge(data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for step in (1, 2):
        _checkpoint(step)
    changes = [*SMALL, *FEW, *UNSTABLE, *_folder(2), f"data_dir={data_dir}"]
    fid.main(["configs_fid/smoke.py", "--set", *changes])
    out = capsys.readouterr().out
    for step in (1, 2):
        assert f"checkpoint {step} is left out: chains diverged in their 60 'grad_steps'" in out
    (path,) = tmp_path.glob("runs/smoke*/report.json")
    assert list(json.loads(path.read_text())["left_out"]) == ["1", "2"]


def test_a_checkpoint_whose_chains_diverge_is_left_out_and_the_others_are_scored(
    data_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for step in (1, 2, 3):
        _checkpoint(step, scale=1e20 if step == 2 else 1)
    changes = [*SMALL, *_folder(3), "num_samples=8", "batch_size=8", f"data_dir={data_dir}"]
    fid.main(["configs_fid/smoke.py", "--set", *changes])
    assert "checkpoint 2 is left out: chains diverged" in capsys.readouterr().out
    (path,) = tmp_path.glob("runs/smoke*/report.json")
    report = json.loads(path.read_text())
    assert list(report["left_out"]) == ["2"]
    assert {s["checkpoint"] for s in report["scores"] if s["checkpoint"]} == {"1", "3"}
    assert report["best"]["checkpoint"] in ("1", "3")
