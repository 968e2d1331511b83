"""attack.py as a user runs it, on the embedded data, and the rules of its verdicts."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import attack
from tests.runs import assert_same, cpus, splits
from utils.attack.defense import Defense, Use, create_classifier, create_defense, make_classify
from utils.config.load import load_config
from utils.errors import UserError
from utils.mcmc.potential import make_potential
from utils.replicas import Replicas

SMALL = ["batch_size=6", "end_batch=2", "adv_steps=1"]
RULES = {
    "seed": 0, "image_dims": [4, 4, 3], "batch_size": 4, "chain_batch": None, "langevin_steps": 2,
    "epsilon": 0.4, "attack_gradient": "bpda", "attack_noise": "fresh", "attack_memory_gb": 1.0,
    "mcmc_temp": 1.0, "tau": None, "prior_weights": None, "adv_eps": 12.0,
    "adv_eta": 3.0, "adv_norm": "linf", "adv_steps": 6, "adv_rand_start": True,
    "eot_attack_reps": 3, "eot_defense_reps": 5, "attack_loss": "cross_entropy",
    "attack_packing": True, "attack_control": True,
}  # fmt: skip


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
    for name in ("accuracy_over_attack.png", "examples.png", "../report.html"):
        assert (folder / "data_log" / name).exists()


def test_an_attack_cut_after_a_batch_goes_on_as_if_nothing_had_been(run):
    whole, part = run(), run("end_batch=1")
    attack.main(["--resume", str(part), "--set", "end_batch=2"])
    assert_same(results(whole), results(part))


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


def test_two_replicas_are_one(run):
    assert_same(results(run()), results(run("num_replicas=2")))


@pytest.mark.parametrize(
    "changes",
    [
        ["attack_gradient=none", "adv_norm=l2", "adv_eps=128", "adv_rand_start=False"],
        ["attack_gradient=smoothed", "attack_noise=fixed", "attack_loss=margin"],
        ["attack_gradient=full", "attack_memory_gb=1e-9", "attack_control=False"],
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
        ("data_labels=['Flags','Objects']", "have Objects too: set data_labels to ['Flags']"),
        ("data_labels=['Objects','Symbols']", "attack data that it learned on"),
        ("clf_type=efficientnet_b0", "'data_labels' would number the classes anew"),
        ("pixel_scale_clf=[0,255]", "'wrn' learned on pixels in [-1.0, 1.0]: set it to that"),
        ("clf_stem=published", "'clf_stem' is of the EfficientNets"),
        ("image_dims_clf=[64,64,3]", "learned on images of [32, 32, 3], not [64, 64, 3]"),
        ("data_type=generator", "'data_type' must be a data set"),
        ("ebm_weights=examples/weights/emoji32_conv_ebm.weights.h5", "half of a potential"),
        ("clf_width=7", "set 'clf_width' to 2"),
        ("start_batch=2000", "the split has"),
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
    assert "error: out of memory: choose a smaller chain_batch than 6\n" in capsys.readouterr().err


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


def test_a_prior_equal_to_the_ebm_halves_the_temperature_of_purification(rng):
    """Both add up: f/T + f/T is f/(T/2). The Gaussian term of `tau` pulls towards grey."""
    images = rng.uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)

    def purified(*changes: str) -> np.ndarray:
        config = load_config("configs_attack/smoke.py", ["langevin_steps=5", *changes], "attack")
        classes = config["data_labels"]
        defense = create_defense(config, classes, Replicas(config))
        return defense.purify(images, np.arange(3), Use.PICTURE).rows

    ebm = "examples/weights/emoji32_nonconv_ebm.weights.h5"
    both = purified(f"prior_weights={ebm}", "prior_temp=1e-3")
    np.testing.assert_allclose(both, purified("mcmc_temp=5e-4"), atol=1e-4)
    assert np.abs(both - purified()).max() > 1e-2
    assert np.abs(purified("tau=0.02")).mean() < np.abs(purified()).mean()


# The rules of verdicts, on a smooth toy


def toy(rng, **changes):
    """Return config, defence and batch of a toy whose attack breaks some images."""
    config = {**RULES, **changes}
    weights = tf.constant(rng.normal(size=(48, 3)), tf.float32)

    def classify(x):
        return tf.reshape(x, (-1, 48)) @ weights

    def energy(x):
        return tf.reduce_sum(tf.sin(x), axis=(1, 2, 3))[:, tf.newaxis]

    defense = Defense(config, cpus(), make_potential(energy, 1.0), classify)
    images = rng.uniform(-0.8, 0.8, (11, 4, 4, 3)).astype(np.float32)
    labels = classify(images).numpy().argmax(axis=1)
    return config, defense, attack.Batch(images, labels, np.arange(100, 111))


def quiet(*_) -> None:
    pass


def test_packing_gives_the_records_of_the_plain_schedule(rng):
    state = rng.bit_generator.state
    packed = attack.attack_batch(*toy(rng), quiet)
    rng.bit_generator.state = state
    plain = attack.attack_batch(*toy(rng, attack_packing=False), quiet)
    robust = packed["class_path"][-1]
    assert 0 < robust.sum() < packed["class_path"][0].sum(), "the toy shall break some, not all"
    for name in ("class_path", "verifications", "control"):
        np.testing.assert_array_equal(packed[name], plain[name], err_msg=name)
    np.testing.assert_allclose(packed["ims_adv"], plain["ims_adv"], atol=1e-6)


def test_a_transfer_attack_takes_the_steps_of_one_on_the_bare_classifier(rng):
    state, adversarial, right = rng.bit_generator.state, [], []
    for changes in ({"attack_gradient": "none"}, {"langevin_steps": 0}):
        rng.bit_generator.state = state
        found = attack.attack_batch(*toy(rng, adv_steps=1, **changes), quiet)
        adversarial.append(found["ims_adv"])
        right.append(found["class_path"][1].astype(bool))  # those that were stepped on
    both = right[0] & right[1]
    assert both.any()
    np.testing.assert_array_equal(adversarial[0][both], adversarial[1][both])


def test_no_verdict_comes_of_a_diverged_purification(rng):
    with pytest.raises(UserError, match="purification diverged"):
        attack.attack_batch(*toy(rng, epsilon=float("inf")), quiet)


def test_only_verified_breaks_count(rng, monkeypatch):
    config, defense, batch = toy(rng, attack_control=False)
    defends = attack.defends

    def hard_to_verify(config, defense, batch, use, number):
        if use == Use.VERIFY:
            return np.ones(len(batch.images), bool)
        return defends(config, defense, batch, use, number)

    monkeypatch.setattr(attack, "defends", hard_to_verify)
    found = attack.attack_batch(config, defense, batch, quiet)
    assert found["verifications"].sum() > 0
    np.testing.assert_array_equal(found["class_path"][-1], found["class_path"][0])


def test_a_budget_of_nothing_breaks_nobody_and_a_huge_one_everybody(rng):
    # Without noise of purification, so that chance breaks none.
    none = attack.attack_batch(*toy(rng, adv_eps=0.0, langevin_steps=0), quiet)["class_path"]
    assert none.all()
    huge = toy(rng, adv_eps=255.0, adv_eta=60.0, langevin_steps=0, adv_steps=20)
    assert not attack.attack_batch(*huge, quiet)["class_path"][-1].any()


@pytest.mark.slow
def test_the_bare_classifier_is_as_robust_as_foolbox_finds_it(repository, data_dir):
    foolbox = pytest.importorskip("foolbox", reason="foolbox is not installed")
    from utils.data.streams import evaluation_batches, load_data

    changes = [f"data_dir={data_dir}", "adv_steps=40", "adv_rand_start=False", "adv_eps=2"]
    changes += ["adv_eta=0.25", "attack_control=False", "langevin_steps=0"]
    config = load_config("configs_attack/emoji32.py", changes, "attack")
    dataset = load_data(config, "test")
    batch = attack.Batch(*next(evaluation_batches(dataset, 64, seed=0)))
    config |= {"clf_weights": str(repository / config.clf_weights)}
    clf = create_classifier(config, dataset.class_names)
    defense = Defense(config, cpus(), None, make_classify(config, clf))
    path = attack.attack_batch(config, defense, batch, quiet)["class_path"]

    model = foolbox.TensorFlowModel(lambda x: clf(x, training=False), bounds=(-1, 1))
    pgd = foolbox.attacks.LinfPGD(abs_stepsize=0.5 / 255, steps=40, random_start=False)
    broken = pgd(model, tf.constant(batch.images), tf.constant(batch.labels), epsilons=4 / 255)[2]
    assert (
        abs(path[-1].mean() - (1 - broken.numpy().mean())) <= 0.02 + 1 / 64
    )  # 2 points and an image
