"""The rules by which attacks are evaluated, on toys."""

import numpy as np
import pytest
import tensorflow as tf

from tests.toys import attacked, chain_of, linear, purified_by, toy
from utils.attack import defense as defense_module
from utils.attack import verification
from utils.attack.attacks import ATTACKS
from utils.attack.defense import Use
from utils.attack.statistics import resubmission
from utils.config.keys import GRADIENT_ATTACKS
from utils.errors import UserError


def again(rng, make, *changes: dict) -> list[dict[str, np.ndarray]]:
    """Return the results of attacks on the same toy under several changes of its config."""
    state, found = rng.bit_generator.state, []
    for change in changes:
        rng.bit_generator.state = state
        found.append(attacked(*make(rng, **change)))
    return found


def test_packing_gives_the_records_of_the_plain_schedule(rng):
    packed, plain = again(rng, toy, {}, {"attack_packing": False})
    robust = packed["class_path"][-1]
    assert 0 < robust.sum() < packed["class_path"][0].sum(), "the toy shall break some, not all"
    for name in ("class_path", "verifications", "control", "control_wrong"):
        np.testing.assert_array_equal(packed[name], plain[name], err_msg=name)
    np.testing.assert_allclose(packed["ims_adv"], plain["ims_adv"], atol=1e-6)


def test_a_transfer_attack_takes_the_steps_of_one_on_the_bare_classifier(rng):
    """`attack_gradient` `none` is its old spelling."""
    old, new, bare = again(
        rng, toy, {"adv_steps": 1, "attack_gradient": "none"},
        {"adv_steps": 1, "attack": "transfer"}, {"adv_steps": 1, "langevin_steps": 0},
    )  # fmt: skip
    for name in old:
        np.testing.assert_array_equal(old[name], new[name], err_msg=name)
    both = (old["class_path"][1] & bare["class_path"][1]).astype(bool)  # those that took a step
    assert both.any()
    np.testing.assert_array_equal(old["ims_adv"][both], bare["ims_adv"][both])


def test_no_verdict_comes_of_a_diverged_purification(rng):
    with pytest.raises(UserError, match="purification diverged"):
        attacked(*toy(rng, epsilon=float("inf")))


def test_only_verified_breaks_count(rng, monkeypatch):
    vote = verification.vote

    def hard_to_verify(config, defense, batch, use, number):
        found = vote(config, defense, batch, use, number)
        return found._replace(right=found.right | (use == Use.VERIFY))

    monkeypatch.setattr(verification, "vote", hard_to_verify)
    found = attacked(*toy(rng, attack_control=False))
    assert found["verifications"].sum() > 0
    np.testing.assert_array_equal(found["class_path"][-1], found["class_path"][0])


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_budget_of_nothing_breaks_nobody_and_a_huge_one_everybody(rng, norm, name):
    # Without purification there is no noise, and no break by chance.
    rules = {"attack": name, "adv_norm": norm, "eot_attack_reps": 8}
    none, huge = again(
        rng, lambda rng, **changes: linear(rng, **rules, **changes)[:3],
        {"adv_eps": 0.0, "adv_steps": 2}, {"adv_eps": 1800.0, "adv_eta": 200.0, "adv_steps": 30},
    )  # fmt: skip
    assert none["class_path"].all()
    assert not huge["class_path"][-1].any()
    assert np.abs(huge["ims_adv"]).max() <= 1


def test_restarts_and_an_ensemble_attack_what_the_search_before_leaves(rng):
    one, twice, both = again(
        rng, toy, {"attack": "apgd_ce"}, {"attack": "apgd_ce", "attack_restarts": 2},
        {"attack": "ensemble", "attack_list": ["apgd_ce", "square"]},
    )  # fmt: skip
    rounds = len(one["class_path"])
    assert len(twice["class_path"]) == len(both["class_path"]) == 2 * rounds - 1
    for longer in (twice, both):
        np.testing.assert_array_equal(longer["class_path"][:rounds], one["class_path"])
        assert (np.diff(longer["class_path"].astype(int), axis=0) <= 0).all()
        broken = one["class_path"][-1] == 0
        np.testing.assert_array_equal(longer["ims_adv"][broken], one["ims_adv"][broken])


# Deterministic functions in place of the toy's Langevin chains


def behind(purifier, rng, monkeypatch, **changes):
    """Return the toy behind a deterministic purifier."""
    monkeypatch.setattr(defense_module, "make_purify", lambda *_: chain_of(purifier))
    return purified_by(purifier, rng, **changes)


def upside_down_in_steps(images):
    """Round to tenths, and negate: no gradient, and the identity points the wrong way."""
    return -tf.round(images * 10) / 10


def test_black_boxes_break_what_a_wrong_gradient_does_not(rng, monkeypatch):
    stands, state = {}, rng.bit_generator.state
    for name, steps, reps in (
        ("pgd", 20, 1),
        ("apgd_ce", 20, 1),
        ("square", 200, 1),
        ("nes", 20, 32),
    ):
        rng.bit_generator.state = state
        rules = {"attack": name, "adv_steps": steps, "eot_attack_reps": reps}
        found = attacked(*behind(upside_down_in_steps, rng, monkeypatch, **rules))
        stands[name] = found["class_path"][-1].sum()
    assert stands["pgd"] >= 8
    assert stands["apgd_ce"] >= 8
    assert stands["square"] <= 3
    assert stands["nes"] <= 3


@pytest.mark.parametrize("name", [*GRADIENT_ATTACKS, "square", "nes", "transfer"])
def test_all_verdicts_agree_on_a_deterministic_purifier(rng, monkeypatch, name):
    size = 10.0 if name in ("square", "nes") else 4.0  # breaks some images, not all
    rules = {"attack": name, "adv_steps": 4, "adv_eps": size, "adv_eta": 2.0}
    rules |= {"eot_attack_reps": 2}
    config, defense, batch = behind(lambda x: 0.9 * x, rng, monkeypatch, **rules)
    found = attacked(config, defense, batch)
    found |= verification.at_the_end(config, defense, found)
    robust = found["class_path"][-1]
    assert 0 < robust.sum() < len(robust)
    np.testing.assert_array_equal(found["one_shot"], robust)
    np.testing.assert_array_equal(resubmission(found["wrong"], 5), robust.mean())
    np.testing.assert_array_equal(found["control_wrong"], np.where(found["control"], 0, 5))


def test_of_images_that_stand_the_look_with_the_largest_margin_is_kept(rng):
    """The last leg is random search, which changes almost nothing."""
    found = again(
        rng, lambda rng, **changes: linear(rng, adv_eps=3.0, adv_steps=5, **changes)[:3],
        *({"attack": "ensemble", "attack_list": own} for own in (["apgd_ce"], ["random"])),
        {"attack": "ensemble", "attack_list": ["apgd_ce", "random"]},
    )  # fmt: skip
    stands = found[2]["class_path"][-1].astype(bool)
    assert stands.any()
    strong, weak, both = (each["ims_adv"][stands] for each in found)
    np.testing.assert_array_equal(both, strong)
    assert np.abs(both - weak).max() > 0
