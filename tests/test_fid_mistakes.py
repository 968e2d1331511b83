"""What users of fid.py get wrong, and the one line that each mistake is answered with."""

import json

import numpy as np
import pytest
from PIL import Image

import fid
from nets import create_ebm
from utils.checkpoint import save_weights

# name: (--set of the smoke config, words that the line must hold)
WRONG = {
    "how many": ("num_samples=None", "'num_samples' is missing"),
    "scores beyond": ("fid_steps=[9]", "'fid_steps' [9] go beyond 'mcmc_steps' 4"),
    "half a chain": ("mcmc_temp=None", "'epsilon' and 'mcmc_temp' go together"),
    "stored tau": ("epsilon=None mcmc_temp=None tau=0.1", "'tau' and clipping are those stored"),
    "no chain": ("epsilon=None mcmc_temp=None", "'mcmc_steps', 'epsilon' and 'mcmc_temp'"),
    "empty weights": ("ebm_weights=''", "'ebm_weights' is still empty"),
    "empty generator": ("gen_weights=''", "'gen_weights' is still empty"),
    "no folder": ("exp_type=folder", "'ckpt_folder' is missing"),
    "turned round": ("exp_type=folder ckpt_folder=. min_step=9", "'min_step' 9"),
    "no checkpoint": ("exp_type=folder ckpt_folder=.", "has no gen_0.weights.h5"),
    "no extractor": ("feature_net=vgg", "'feature_net'", "inception_tf1"),
    "no classifier": ("feature_net=classifier clf_weights=None", "train_clf.py"),
    "no graph": ("feature_net=inception_tf1 inception_weights=no.pb", "no.pb not found"),
    "few data": ("reference_samples=5000", "images, not the 5000"),
    "few held out": ("num_samples=100 heldout_split=test", "split test", "not the 100"),
    "few starts": ("mcmc_init=data num_samples=2000", "images to start chains"),
    "bank": ("mcmc_init=persistent", "'mcmc_init'", "coop"),
    "generated data": ("data_type=generator", "'data_type' must be a data set"),
    "diverged": ("epsilon=1e30 mcmc_temp=1e-30", "diverged before step"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_clear_line(name, data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    changes, *words = WRONG[name]
    overrides = [f"data_dir={data_dir}", "ebm_width=4", "gen_width=4", *changes.split(" ")]
    with pytest.raises(SystemExit) as stop:
        fid.main(["configs_fid/smoke.py", "--set", *overrides])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    for word in words:
        assert word in line, (word, line)


def test_damaged_pictures_are_no_starts_of_chains(tmp_path, monkeypatch, capsys, rng):
    """Where pictures are decoded as they are read, nobody knows beforehand which are damaged."""
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
    assert "5 pictures beside 1 damaged ones, not the 6 asked for" in capsys.readouterr().err


def test_a_checkpoint_whose_chains_diverge_is_left_out_and_the_others_are_scored(
    data_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    size = {"net_type": "ebm_sngan", "image_dims": [32, 32, 3]}
    for step in (1, 2, 3):
        ebm = create_ebm({**size, "ebm_width": 4, "seed": step})
        if step == 2:
            ebm.set_weights([1e20 * weight for weight in ebm.get_weights()])
        info = {"type": "ebm_sngan", "image_dims": [32, 32, 3], "width": 4}
        save_weights(ebm, f"ebm_{step}.weights.h5", info)
    changes = ["exp_type=folder", "ckpt_folder=.", "min_step=1", "max_step=3", "step_freq=1"]
    changes += ["mcmc_init=noise", "num_samples=8", "batch_size=8", "ebm_width=4", "exp_dir=runs"]
    fid.main(["configs_fid/smoke.py", "--set", f"data_dir={data_dir}", *changes])
    assert "checkpoint 2 is left out: chains diverged" in capsys.readouterr().out
    (path,) = tmp_path.glob("runs/smoke*/report.json")
    report = json.loads(path.read_text())
    assert list(report["left_out"]) == ["2"]
    assert {s["checkpoint"] for s in report["scores"] if s["checkpoint"]} == {"1", "3"}
    assert report["best"]["checkpoint"] in ("1", "3")
