import numpy as np
import pytest

from tests.toys import attacked, drive, linear
from utils.attack.apgd import apgd, checkpoints
from utils.attack.balls import Ball
from utils.attack.task import Task

NORMS = ("linf", "l2")


def task(rng, norm: str, steps: int) -> Task:
    center = rng.uniform(-0.5, 0.5, (4, 4, 3))
    return Task(Ball(center, 0.1, norm), center, steps, 0.0, lambda _: rng)


@pytest.mark.parametrize("norm", NORMS)
def test_auto_pgd_reaches_the_optimum_of_a_linear_loss(rng, norm):
    own, slope = task(rng, norm, 50), rng.normal(size=(4, 4, 3))
    looks = drive(apgd(own), lambda image: ((slope * image).sum(), slope), 50)
    gain = (slope * (looks[-1] - own.ball.center)).sum()
    known = 0.1 * (np.abs(slope).sum() if norm == "linf" else np.linalg.norm(slope))
    assert gain == pytest.approx(known, rel=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_steps_halve_until_a_maximum_inside_the_ball_is_met(rng, norm):
    """Steps of constant size would circle around it at a distance of one step."""
    own = task(rng, norm, 100)
    top = own.ball.center + 0.03 * rng.uniform(-1, 1, (4, 4, 3)) / (1 if norm == "linf" else 7)
    looks = drive(apgd(own), lambda image: (-((image - top) ** 2).sum(), top - image), 100)
    assert np.abs(looks[0] - looks[1]).max() > 1e-2
    assert np.abs(looks[-1] - top).max() < 3e-3


def test_the_last_image_is_the_one_of_the_highest_loss(rng):
    own = task(rng, "linf", 20)
    told = []

    def by_chance(image):
        told.append(rng.random())
        return told[-1], rng.normal(size=image.shape)

    looks = drive(apgd(own), by_chance, 20)
    np.testing.assert_array_equal(looks[-1], looks[int(np.argmax(told))])


def test_checkpoints_are_those_of_the_paper():
    """For 100 steps: 22, 41, 57, 70, 80, 87, 93, 99."""
    assert sorted(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["pgd", "apgd_ce", "apgd_dlr", "apgd_t"])
def test_a_linear_classifier_falls_exactly_where_its_margin_is_in_reach(rng, norm, name):
    """An image stays right if radius |w_y - w_k| in the dual norm is below every margin."""
    size = {"linf": 4.0, "l2": 25.0}[norm]
    *toy, weights = linear(
        rng, attack=name, adv_norm=norm, adv_eps=size, adv_eta=size / 4, adv_steps=20
    )
    found, batch = attacked(*toy), toy[2]
    logits = batch.images.reshape(-1, 48) @ weights
    apart = weights[:, batch.labels].T[:, None] - weights.T[None]  # (n, classes, 48)
    lengths = np.abs(apart).sum(-1) if norm == "linf" else np.linalg.norm(apart, axis=-1)
    lead = logits[np.arange(40), batch.labels][:, None] - logits - size * 2 / 255 * lengths
    lead[np.arange(40), batch.labels] = np.inf
    lead = lead.min(axis=1)
    clear = np.abs(lead) > 0.02 * np.abs(logits).max()
    assert 5 < (lead[clear] > 0).sum() < 35
    np.testing.assert_array_equal(found["class_path"][-1][clear], lead[clear] > 0)
