"""Our attacks on the bare classifier are as strong as those of two libraries.

On 200 images of the embedded data, at budgets that leave about half of them right. The libraries
are foolbox and the adversarial-robustness-toolbox (requirements_test.txt).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tests.runs import cpus
from utils.attack.balls import PER_255
from utils.attack.classifier import create_classifier, make_classify
from utils.attack.defense import Defense
from utils.attack.evaluation import attack_batch
from utils.attack.task import Batch
from utils.config.load import load_config
from utils.data.streams import evaluation_batches, load_data

pytestmark = pytest.mark.slow
COUNT, CLASSES = 200, 5
BUDGETS = {  # by norm and attack, in 1/255
    **{("linf", name): 3.0 for name in ("pgd", "apgd_ce", "apgd_dlr")},
    **{("l2", name): 100.0 for name in ("pgd", "apgd_ce", "apgd_dlr")},
    ("linf", "square"): 14.0, ("l2", "square"): 600.0,
}  # fmt: skip
DRAWS = {"square": 3}  # of a random search chance decides two images in a hundred
STEPS = {"pgd": 20, "apgd_ce": 20, "apgd_dlr": 20, "square": 100}


class Bare(NamedTuple):
    """The classifier, its images and its config."""

    config: dict[str, Any]
    network: Callable[[tf.Tensor], tf.Tensor]
    batch: Batch


@pytest.fixture(scope="module")
def bare(data_dir, repository) -> Bare:
    changes = [f"data_dir={data_dir}", "attack_control=False", "langevin_steps=0"]
    config = load_config("configs_attack/emoji32.py", changes, "attack")
    config |= {"clf_weights": str(repository / config.clf_weights)}
    dataset = load_data(config, "test")
    batch = Batch(*next(evaluation_batches(dataset, COUNT, seed=0)))
    return Bare(dict(config), create_classifier(config, dataset.class_names), batch)


@pytest.fixture(autouse=True)
def seeded_toolbox(monkeypatch, rng):
    """Give a seeded generator to the toolbox, which draws from the global ones."""
    monkeypatch.setattr(np.random, "randint", rng.integers)
    monkeypatch.setattr(np.random, "choice", rng.choice)
    monkeypatch.setattr("random.random", rng.random)


def ours(bare: Bare, norm: str, name: str, seed: int) -> float:
    """Return the robust accuracy under our attack with a seed."""
    size = BUDGETS[norm, name]
    own = {"attack": name, "adv_norm": norm, "adv_eps": size, "adv_eta": size / 4}
    steps = STEPS[name] + (name != "pgd")  # the last round of others returns to the best image
    own |= {"seed": seed, "adv_steps": steps, "adv_rand_start": False}
    config = {**bare.config, **own}
    defense = Defense(config, cpus(), None, make_classify(config, bare.network))
    return attack_batch(config, defense, bare.batch, lambda *_: None)["class_path"][-1].mean()


def left_by(bare: Bare, images: np.ndarray) -> float:
    """Return the accuracy on adversarial images; one with NaN or Inf counts as a failed attack.

    In L2 the toolbox divides by 0 if a window of an image is not perturbed yet.
    """
    finite = np.isfinite(images).all(axis=(1, 2, 3), keepdims=True)
    images = np.where(finite, images, bare.batch.images)
    logits = make_classify(bare.config, bare.network)(tf.constant(images)).numpy()
    return float((logits.argmax(axis=1) == bare.batch.labels).mean())


def by_foolbox(bare: Bare, norm: str, _: str) -> float:
    """Return the robust accuracy under foolbox's projected gradient descent."""
    foolbox = pytest.importorskip("foolbox", reason="foolbox is not installed")
    size = BUDGETS[norm, "pgd"]
    kind = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    descent = kind(abs_stepsize=size * PER_255 / 4, steps=STEPS["pgd"], random_start=False)
    model = foolbox.TensorFlowModel(lambda x: bare.network(x, training=False), bounds=(-1, 1))
    images, labels = tf.constant(bare.batch.images), tf.constant(bare.batch.labels)
    return 1 - descent(model, images, labels, epsilons=size * PER_255)[2].numpy().mean()


def by_art(bare: Bare, norm: str, name: str) -> float:
    """Return the robust accuracy under an attack of the adversarial-robustness-toolbox."""
    reason = "the adversarial-robustness-toolbox is not installed"
    evasion = pytest.importorskip("art.attacks.evasion", reason=reason)
    from art.estimators.classification import TensorFlowV2Classifier

    estimator = TensorFlowV2Classifier(
        model=lambda x, training=False: bare.network(x, training=False), nb_classes=CLASSES,
        input_shape=(32, 32, 3), clip_values=(-1, 1),
        loss_object=tf.keras.losses.CategoricalCrossentropy(from_logits=True),
    )  # fmt: skip
    size = BUDGETS[norm, name] * PER_255
    common = {"norm": {"linf": np.inf, "l2": 2}[norm], "eps": size, "max_iter": STEPS[name]}
    common |= {"batch_size": COUNT, "verbose": False}
    if name == "square":
        attack = evasion.SquareAttack(estimator, nb_restarts=1, p_init=0.8, **common)
    else:
        loss = {"apgd_ce": "cross_entropy", "apgd_dlr": "difference_logits_ratio"}[name]
        attack = evasion.AutoProjectedGradientDescent(
            estimator, eps_step=2 * size, nb_random_init=1, loss_type=loss, **common
        )
    labels = np.eye(CLASSES, dtype=np.float32)[bare.batch.labels]
    # One call draws the same squares for all its images, so that luck decides for many at once.
    calls = np.array_split(np.arange(COUNT), 20 if name == "square" else 1)
    images = [attack.generate(x=bare.batch.images[own], y=labels[own]) for own in calls]
    return left_by(bare, np.concatenate(images))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [("pgd", by_foolbox), *((name, by_art) for name in ("apgd_ce", "apgd_dlr", "square"))],
)
def test_ours_is_as_strong_as_that_of_others(bare, norm, name, theirs):
    draws = range(DRAWS.get(name, 1))
    left = np.mean([theirs(bare, norm, name) for _ in draws])
    ours_left = np.mean([ours(bare, norm, name, seed) for seed in draws])
    assert 0.3 <= left <= 0.7, "a budget at which attacks can be told apart"
    # Square's are 2 points and twice the error of the difference (1.5, from twelve draws of each).
    # In L2 the toolbox loses images to NaN.
    stronger, weaker = (0.06, 0.05) if name == "square" else (0.02, 0.005)
    assert left - stronger <= ours_left <= left + weaker
