"""attack.py as a user runs it, on the embedded data."""

import functools
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import attack
from tests.runs import assert_same, splits
from utils.config import keys
from utils.files.fingerprints import fingerprint

SMALL = ["batch_size=6", "end_batch=2", "adv_steps=1"]
EVERY = list(keys.ATTACKS)


@pytest.fixture
def run(start_run):
    """Return (changes) -> run folder of a small run in an empty working directory."""
    return functools.partial(start_run, attack.main, "configs_attack/smoke.py", *SMALL)


def results(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "data_log" / "results.npz") as stored:
        return {name: stored[name] for name in stored.files if name != "seconds"}


def test_an_attack_leaves_what_the_design_says(run, capsys):
    folder = run("record_image_states=True", "start_batch=40", "end_batch=None")
    # 243 images in batches of 6: the 41st, and last, has 3.
    assert "round 1/2" in capsys.readouterr().out
    assert splits(folder) == ["test"]
    stored = results(folder)
    assert stored["class_path"].shape == (3, 9)
    assert stored["ims_adv"].shape == stored["ims_orig"].shape == (9, 32, 32, 3)
    change = np.abs(stored["ims_adv"] - stored["ims_orig"]).max()
    assert 0 < change <= 16 / 255 + 1e-6
    assert sorted(stored["indices"]) == list(np.unique(stored["indices"]))
    report = json.loads((folder / "data_log" / "report.json").read_text())
    assert report["robust"]["accuracy"] == pytest.approx(stored["class_path"][-1].mean())
    assert report["robust"]["low"] <= report["robust"]["accuracy"] <= report["robust"]["high"]
    assert report["setting"]["attack_gradient"] == "bpda"
    assert len(report["resubmission"]) == len(report["control_resubmission"]) == 2
    assert report["excess"]["low"] <= report["excess"]["share"] <= report["excess"]["high"]
    assert report["one_shot"]["accuracy"] == pytest.approx(stored["one_shot"].mean())
    assert [leg["attack"] for leg in report["legs"]] == ["pgd"]
    assert report["masking"] == {}
    for name in ("accuracy_over_attack.png", "examples.png", "../report.html"):
        assert (folder / "data_log" / name).exists()


def test_an_attack_cut_after_a_batch_goes_on_as_if_nothing_had_been(run):
    whole, part = run(), run("end_batch=1")
    attack.main(["--resume", str(part), "--set", "end_batch=2"])
    assert_same(results(whole), results(part))


def test_an_attack_ends_with_the_last_whole_picture_of_a_stream(run, tmp_path, rng, capsys):
    """The last of three batches would be one picture, but one of the 13 is damaged."""
    for number in range(13):
        path = tmp_path / "own" / ["Flags", "Food & Drink"][number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(path)
    path.write_bytes(b"\x89PNG, and no more")
    own = ["data_type=image_folder", f"data_dir={tmp_path / 'own'}", "data_labels=None"]
    changes = [*own, "split=train", "data_memory=0", "adv_steps=0", "langevin_steps=1"]
    folder = run(*changes, "end_batch=None")
    attack.main(["--resume", str(folder)])
    assert capsys.readouterr().out.count("done: ") == 2
    assert len(results(folder)["labs"]) == 12
    changes = [*SMALL, *changes, "end_batch=None", "start_batch=3"]
    for only in ([], ["--dry-run"]):
        with pytest.raises(SystemExit):
            attack.main(["configs_attack/smoke.py", *only, "--set", *changes])
        assert "'start_batch' 3: no whole pictures are left" in capsys.readouterr().err


def test_an_attack_cannot_end_before_what_is_done(run, capsys):
    folder = run("adv_steps=0", "langevin_steps=0", "ebm_weights=None")
    for more in ([], ["--dry-run"]):
        with pytest.raises(SystemExit) as stop:
            attack.main(["--resume", str(folder), *more, "--set", "end_batch=1"])
        assert stop.value.code == 2
        assert "'end_batch' is 1, but batch 2 is done" in capsys.readouterr().err
    stored = json.loads((folder / "config.json").read_text())
    assert stored["config"]["end_batch"] == 2, "what was refused is not kept"


def test_a_resumed_attack_takes_the_same_weights_from_elsewhere_and_no_others(
    run, repository, tmp_path, capsys
):
    weights, moved = tmp_path / "ebm.weights.h5", tmp_path / "moved.weights.h5"
    committed = repository / "examples/weights"
    shutil.copy(committed / "emoji32_nonconv_ebm.weights.h5", weights)
    whole, part = run(), run(f"ebm_weights={weights}", "end_batch=1")
    weights.rename(moved)
    attack.main(["--resume", str(part), "--set", f"ebm_weights={moved}", "end_batch=2"])
    assert_same(results(whole), results(part))
    shutil.copy(committed / "emoji32_medconv_ebm.weights.h5", moved)
    with pytest.raises(SystemExit) as stop:
        attack.main(["--resume", str(part), "--set", f"ebm_weights={moved}", "end_batch=3"])
    assert stop.value.code == 2
    assert "'ebm_weights'" in (message := capsys.readouterr().err)
    assert "is not what the run began with" in message


@pytest.mark.slow
def test_two_replicas_are_one(run):
    assert_same(results(run()), results(run("num_replicas=2")))


@pytest.mark.parametrize(
    "changes",
    [
        ["attack_gradient=none", "adv_norm=l2", "adv_eps=128", "adv_rand_start=False"],
        ["attack_gradient=smoothed", "attack_noise=fixed", "attack_loss=margin"],
        ["attack_gradient=full", "attack_memory_gb=1e-9", "attack_control=False"],
        [f"attack_list={EVERY}", "attack=ensemble", "attack_restarts=2"],
        [f"attack_list={EVERY}", "attack=ensemble", "adv_norm=l2", "adv_eps=128"],
        ["attack_gradient=surrogate", "surrogate_steps=1", "attack_checks=2"],
        ["clf_output=probabilities", "langevin_steps=0", "ebm_weights=None"],
    ],
    ids=lambda changes: changes[0],
)
def test_every_kind_of_attack_runs(run, changes):
    stored = results(run(*changes, "end_batch=1"))
    assert ("control" in stored) == ("attack_control=False" not in changes)
    path = stored["class_path"].astype(int)
    assert (np.diff(path, axis=0) <= 0).all(), "what is broken stays broken"


def test_dry_run_tells_the_costs_and_writes_nothing(tmp_path, monkeypatch, data_dir, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--dry-run", "--set", *SMALL, f"data_dir={data_dir}"]
    attack.main(["configs_attack/smoke.py", *options])
    assert "s per round" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ebm_weights=", "'ebm_weights' is still empty"),
        ("prior_weights=", "'prior_weights' is still empty"),
        ("prior_weights=prior.weights.h5", "'prior_weights' needs 'prior_temp'"),
        ("clf_weights=", "'clf_weights' is still empty"),
        ("clf_weights=nowhere.weights.h5", "nowhere.weights.h5 not found"),
        ("data_labels=['Flags','Objects']", "also have Objects: set data_labels to ['Flags']"),
        ("data_labels=['Objects','Symbols']", "attack the data it was trained on"),
        ("clf_type=efficientnet_b0", "'data_labels' renumbers the classes"),
        ("pixel_scale_clf=[0,255]", "'wrn' learned on pixels in [-1.0, 1.0]: set it to that"),
        ("clf_stem=published", "'clf_stem' is for EfficientNets"),
        ("image_dims_clf=[64,64,3]", "trained on images of [32, 32, 3], not [64, 64, 3]"),
        ("data_type=generator", "'data_type' must be a data set"),
        ("ebm_weights=examples/weights/emoji32_conv_ebm.weights.h5", "half of a potential"),
        ("clf_width=7", "set 'clf_width' to 2"),
        ("start_batch=2000", "the split has"),
        ("attack_list=[]", "'attack_list' must be list of pgd, apgd_ce, "),
        ("attack_list=['pgd','fab']", "'attack_list' must be list of pgd, apgd_ce, "),
        ("attack=fab", "'attack' must be `pgd` | `apgd_ce` | "),
    ],
)
def test_mistakes_are_one_clear_line(run, capsys, change, words):
    with pytest.raises(SystemExit) as stop:
        run("end_batch=None", change)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_memory_that_is_full_names_the_key_that_empties_it(run, capsys, monkeypatch):
    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\na tensor")

    monkeypatch.setattr(attack, "attack_batch", full)
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 2
    assert "out of memory: choose a smaller chain_batch than 6, or" in capsys.readouterr().err


def test_an_efficientnet_takes_its_pixels_and_the_classes_of_imagenet(run, capsys):
    changes = ["clf_type=efficientnet_b0", "data_labels=None", "langevin_steps=0"]
    for more, words in (
        ([], "'efficientnet_b0' learned on pixels in [0.0, 255.0]: set it to that"),
        (["pixel_scale_clf=[0,255]"], "the data have 9: Smileys & Emotion, People & Body, "),
    ):
        with pytest.raises(SystemExit) as stop:
            run(*changes, *more)
        assert stop.value.code == 2
        assert words in capsys.readouterr().err


def test_some_of_the_classes_are_attacked_by_the_numbers_that_the_classifier_gives_them(run):
    changes = ["langevin_steps=0", "ebm_weights=None", "adv_steps=0", "end_batch=1"]
    found = results(run("data_labels=['Flags','Food & Drink']", "batch_size=12", *changes))
    assert set(found["labs"]) == {4, 3}
    assert found["class_path"][0].mean() > 0.7  # by chance 0.2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["attack=square", "attack_gradient=full"], "attack 'square' uses no gradient"),
        (["attack=nes", "attack_gradient=smoothed"], "attack 'nes' uses no gradient"),
        (["attack=transfer", "attack_gradient=full"], "attack 'transfer' uses no gradient"),
        (["attack=apgd_ce", "attack_gradient=none"], "the old spelling of attack 'transfer'"),
        (["attack_gradient=surrogate"], "must be below 'langevin_steps' 2, not None"),
        (["attack_gradient=surrogate", "surrogate_steps=2"], "'langevin_steps' 2, not 2"),
        (["attack=nes", "eot_attack_reps=3"], "'eot_attack_reps' 3 must be even"),
        (
            ["attack=transfer", "attack_restarts=2", "adv_rand_start=False"],
            "'attack_restarts' 2 repeats one search",
        ),
        (
            ["attack_noise=fixed", "attack_restarts=2", "adv_rand_start=False"],
            "set adv_rand_start=True",
        ),
        (["attack_checks=2", "adv_eps=0"], "'attack_checks' needs 'adv_eps' above 0"),
        (["attack_checks=1"], "'attack_checks' needs 2 images or more in a batch"),
    ],
)
def test_attacks_and_gradients_that_do_not_go_together_are_one_line(run, capsys, changes, words):
    with pytest.raises(SystemExit) as stop:
        run(*changes)
    assert stop.value.code == 2
    assert words in (message := capsys.readouterr().err)
    assert message.count("\n") == 1
    assert not list(Path("runs").glob("*"))


def test_checks_of_gradients_survive_a_resume_and_stand_in_the_report(run):
    folder = run("attack_checks=2", "end_batch=1")
    before = json.loads((folder / "data_log" / "report.json").read_text())["masking"]
    assert len(before["holds"]) == 7
    assert len(before["cosine_smoothed_differences"]) == 2
    with np.load(folder / "state" / "1" / "record.npz") as state:  # a whole state is left alone
        assert not [name for name in state.files if name.startswith("check_")]
    attack.main(["--resume", str(folder), "--set", "end_batch=2"])
    report = json.loads((folder / "data_log" / "report.json").read_text())
    assert report["masking"] == before
    assert report["images"] == 12


def test_a_signal_during_the_checks_loses_only_them(run, monkeypatch, capsys):
    check = attack.check_masking

    def told_to_stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return check(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(attack, "check_masking", told_to_stop)
        with pytest.raises(SystemExit) as stop:
            run("attack_checks=2", "end_batch=1")
    assert stop.value.code == 128 + signal.SIGTERM
    assert "all saved but the checks" in capsys.readouterr().out
    (folder,) = Path("runs").iterdir()
    before = results(folder)
    assert before["class_path"].shape == (3, 6)
    monkeypatch.setattr(attack, "attack_batch", None)  # no batch is attacked again
    attack.main(["--resume", str(folder)])
    after = results(folder)
    assert_same(before, {name: after[name] for name in before})
    report = json.loads((folder / "data_log" / "report.json").read_text())
    assert report["masking"]["holds"]
    attack.main(["--resume", str(folder)])
    assert "checking" not in capsys.readouterr().out.rpartition("nothing was left to do")[2]


def test_a_run_of_an_older_version_is_sent_back_to_it(run, capsys):
    folder = run("end_batch=1")
    state = next((folder / "state" / "1").glob("record.npz"))
    with np.load(state) as stored:
        kept = {name: stored[name] for name in stored.files if name != "one_shot"}
    np.savez(state, **kept)
    header = json.loads((state.parent / "state.json").read_text())
    header["files"]["record.npz"] = fingerprint(str(state))
    (state.parent / "state.json").write_text(json.dumps(header))
    with pytest.raises(SystemExit) as stop:
        attack.main(["--resume", str(folder), "--set", "end_batch=2"])
    assert stop.value.code == 2
    assert "an older version began this attack" in capsys.readouterr().err
