import numpy as np
import tensorflow as tf

from tests.toys import chain_of, purified_by, toy
from utils.attack import defense as defense_module
from utils.attack.masking import check_masking, judged

RULES = {"attack_control": False, "adv_steps": 12, "eot_attack_reps": 2}


def test_gradients_that_show_the_way_pass(rng):
    checks = check_masking(*toy(rng, **RULES))
    assert all(judged(checks, 11).values()), checks
    assert checks["robust_by_eps"][-1] == 0
    assert checks["cosine_smoothed_differences"][0] > 0.8


def test_gradients_that_point_the_wrong_way_are_found_out(rng, monkeypatch):
    """A black box and random search break what gradients do not, however large the budget."""

    def upside_down(images):
        return -tf.convert_to_tensor(images)

    monkeypatch.setattr(defense_module, "make_purify", lambda *_: chain_of(upside_down))
    config, defense, batch = purified_by(upside_down, rng, **RULES | {"adv_steps": 30})
    monkeypatch.setattr(defense_module, "make_gradient", _bpda_alone(defense_module.make_gradient))
    checks = check_masking(config, defense, batch)
    laws = judged(checks, len(batch.labels))
    assert not laws["robust accuracy goes to 0 as eps grows"]
    assert not laws["a black box is no better than a white box"]
    assert checks["cosine_bpda_differences"][0] < -0.99


def _bpda_alone(make_gradient):
    """Return `make_gradient` for `bpda` only: a plain function has no path for the other kinds."""
    return lambda config, kind, *networks: make_gradient(config, "bpda", *networks)


def test_one_image_may_be_decided_by_chance():
    checks = {
        "robust_by_gradient_random_square": np.array([0.5, 0.45, 0.4]),
        "robust_by_eps": np.array([0.5, 0.0]), "robust_by_steps": np.array([0.5, 0.5]),
        "robust_by_reps": np.array([0.5, 0.6]),
    }  # fmt: skip
    assert list(judged(checks, 10).values()) == [True] * 5
    assert list(judged(checks, 30).values()) == [True, True, False, False, False]
