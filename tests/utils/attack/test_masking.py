import numpy as np
import pytest
import tensorflow as tf

from tests.runs import cpus
from tests.toys import chain_of, linear, purified_by, toy
from utils.attack import defense as defense_module
from utils.attack import masking
from utils.attack.defense import Defense
from utils.attack.evaluation import attack_batch
from utils.attack.masking import check_masking, cosines, judged, larger_radii, standard_error

RULES = {"attack_control": False, "adv_steps": 12, "eot_attack_reps": 2}
AGREES = "its gradient agrees with differences as well as `smoothed`"
FINE = {
    "robust_by_gradient_random_square": np.array([0.5, 0.45, 0.4]),
    "robust_by_eps": np.array([0.5, 0.0]), "robust_by_steps": np.array([0.5, 0.5]),
    "robust_by_reps": np.array([0.5, 0.6]), "cosine_attack_differences": np.array([0.5, 0.1]),
}  # fmt: skip


def quiet(*_) -> None:
    """Follow a round and do nothing."""


def test_gradients_that_show_the_way_pass(rng):
    checks = check_masking(*toy(rng, **RULES), quiet)
    assert all(judged(checks, 11).values()), checks
    assert checks["robust_by_eps"][-1] == 0
    assert checks["cosine_smoothed_differences"][0] > 0.8


def test_the_radius_grows_until_it_reaches_every_image():
    """In L2 that is the norm of a change of every pixel from black to white."""
    assert larger_radii(128.0, "linf", 3072) == [255.0]
    assert larger_radii(8.0, "linf", 3072) == [16, 32, 64, 128, 255]
    assert larger_radii(128.0, "l2", 3072)[:2] == [256, 512]
    assert larger_radii(128.0, "l2", 3072)[-1] == pytest.approx(255 * 3072**0.5)
    assert len(larger_radii(1e-3, "l2", 3072)) == 8, "the costs are bounded"
    assert larger_radii(300.0, "linf", 3072) == []


def test_in_l2_a_budget_beyond_255_breaks_every_image(rng):
    """The mean pixel decides, so that all pixels must change: an L2 norm of about 440."""

    def classify(images):
        mean = tf.reduce_mean(images, axis=(1, 2, 3))
        return tf.stack([mean + 0.5, tf.zeros_like(mean)], axis=1)

    budget = {"langevin_steps": 0, "adv_norm": "l2", "adv_eps": 128.0, "adv_eta": 32.0}
    config, _, batch, _ = linear(rng, **RULES, **budget)
    batch = batch._replace(labels=np.zeros(len(batch.labels), int))
    checks = check_masking(config, Defense(config, cpus(), None, classify), batch, quiet)
    assert checks["robust_by_eps"][checks["eps"] < 256].all()
    assert judged(checks, len(batch.labels))["robust accuracy goes to 0 as eps grows"]


def test_gradients_that_point_the_wrong_way_are_found_out(rng, monkeypatch):
    """A black box and random search break what gradients do not, however large the budget."""

    def upside_down(images):
        return -tf.convert_to_tensor(images)

    monkeypatch.setattr(defense_module, "make_purify", lambda *_: chain_of(upside_down))
    config, defense, batch = purified_by(upside_down, rng, **RULES | {"adv_steps": 30})
    monkeypatch.setattr(defense_module, "make_gradient", _bpda_alone(defense_module.make_gradient))
    checks = check_masking(config, defense, batch, quiet)
    laws = judged(checks, len(batch.labels))
    assert not laws["robust accuracy goes to 0 as eps grows"]
    assert not laws["a black box is no better than a white box"]
    assert checks["cosine_bpda_differences"][0] < -0.99


def _bpda_alone(make_gradient):
    """Return `make_gradient` for `bpda` only: a plain function has no path for the other kinds."""
    return lambda config, kind, *networks: make_gradient(config, "bpda", *networks)


def test_a_gradient_that_neglects_the_curvature_is_found_out(rng):
    """The chain's Jacobian is far from the identity that `bpda` takes it for."""
    own = {kind: cosines(*toy(rng, epsilon=1.2, attack_gradient=kind)) for kind in ("bpda", "full")}
    for kind, agrees in (("bpda", False), ("full", True)):
        checks = {**FINE, **{name: np.array(v) for name, v in own[kind].items()}}
        assert judged(checks, 10)[AGREES] is agrees, own[kind]


def test_what_a_cosine_lacks_by_chance_does_not_count():
    for mean, error, agrees in ((-0.2, 0.1, True), (-0.2, 0.05, False), (-0.04, 0.001, True)):
        checks = {**FINE, "cosine_attack_minus_smoothed": np.array([mean, error])}
        assert judged(checks, 10)[AGREES] is agrees


def test_one_image_may_be_decided_by_chance():
    assert list(judged(FINE, 10).values()) == [True] * 6
    assert list(judged(FINE, 30).values()) == [True, True, False, False, False, True]


def test_a_gradient_that_shows_nothing_is_found_out():
    for mean, error, points in ((0.3, 0.1, True), (0.1, 0.1, False), (-0.4, 0.1, False)):
        checks = {**FINE, "cosine_attack_differences": np.array([mean, error])}
        assert judged(checks, 10)["its gradient points where the loss rises"] is points


def test_a_cosine_of_one_image_has_no_error_and_is_not_judged():
    assert np.isnan(standard_error(np.ones(1)))
    assert standard_error(np.array([0.0, 2.0])) == 1
    checks = {**FINE, "cosine_attack_differences": np.array([0.9, np.nan])}
    assert "its gradient points where the loss rises" not in judged(checks, 1)


def test_checks_of_older_runs_are_judged_by_the_laws_that_they_have():
    older = {name: values for name, values in FINE.items() if not name.startswith("cosine")}
    assert list(judged(older, 10).values()) == [True] * 5


def test_a_law_that_cannot_fail_is_left_out(rng):
    """One purification leaves nothing to repeat, and `smoothed` is not compared with itself."""
    checks = check_masking(*toy(rng, attack_gradient="smoothed", eot_attack_reps=1), quiet)
    laws = judged(checks, 11)
    assert AGREES not in laws
    assert "more repetitions do not raise it" not in laws


def test_the_shorter_attack_is_not_the_first_half_of_the_whole(rng, monkeypatch):
    """Its steps would be the same, so that the whole one could not leave more images."""
    paths = {}

    def recorded(config, *rest):
        found = attack_batch(config, *rest)
        paths.setdefault(config["adv_steps"], found["ims_adv"])
        return found

    monkeypatch.setattr(masking, "attack_batch", recorded)
    config, defense, batch = toy(rng, adv_eps=1e-3, adv_eta=1e-4, **RULES)
    check_masking(config, defense, batch, quiet)
    half = attack_batch({**config, "adv_steps": 6}, defense, batch, quiet)["ims_adv"]
    assert not np.array_equal(paths[6], half)


def test_all_variations_begin_with_the_vote_that_each_would_take(rng, monkeypatch):
    """The vote on the images themselves does not depend on what varies, and is taken once."""
    config, defense, batch = toy(rng, **RULES | {"adv_steps": 2})

    def compared(varied, _, __, on_round, natural):
        shared = attack_batch(varied, defense, batch, on_round, natural)
        alone = attack_batch(varied, defense, batch, on_round)
        assert all(np.array_equal(shared[name], alone[name]) for name in alone)
        return shared

    monkeypatch.setattr(masking, "attack_batch", compared)
    check_masking(config, defense, batch, quiet)
