"""Toy defences whose answers are known, for the tests of attacks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.runs import cpus
from utils.attack.defense import Defense
from utils.attack.evaluation import attack_batch
from utils.attack.task import Batch, Search, Seen
from utils.mcmc.langevin import Chain
from utils.mcmc.potential import make_potential

RULES = {
    "seed": 0, "image_dims": [4, 4, 3], "batch_size": 4, "chain_batch": None, "langevin_steps": 2,
    "epsilon": 0.4, "attack": "pgd", "attack_list": ["apgd_ce", "apgd_dlr", "square"],
    "attack_restarts": 1, "attack_gradient": "bpda", "surrogate_steps": None,
    "attack_noise": "fresh", "attack_memory_gb": 1.0, "mcmc_temp": 1.0, "tau": None,
    "prior_weights": None, "adv_eps": 12.0, "adv_eta": 3.0, "adv_norm": "linf", "adv_steps": 6,
    "adv_rand_start": True, "eot_attack_reps": 3, "eot_defense_reps": 5,
    "attack_loss": "cross_entropy", "attack_packing": True, "attack_control": True,
    "attack_checks": 0,
}  # fmt: skip


def toy(rng: np.random.Generator, **changes: Any) -> tuple[dict, Defense, Batch]:
    """Return config, defence and batch of a smooth toy; its attack breaks some of the images."""
    config = {**RULES, **changes}
    weights = tf.constant(rng.normal(size=(48, 3)), tf.float32)

    def classify(x):
        return tf.reshape(x, (-1, 48)) @ weights

    def energy(x):
        return tf.reduce_sum(tf.sin(x), axis=(1, 2, 3))[:, tf.newaxis]

    defense = Defense(config, cpus(), make_potential(energy, 1.0), classify)
    images = rng.uniform(-0.8, 0.8, (11, 4, 4, 3)).astype(np.float32)
    labels = classify(images).numpy().argmax(axis=1)
    return config, defense, Batch(images, labels, np.arange(100, 111))


def linear(rng: np.random.Generator, **changes: Any) -> tuple[dict, Defense, Batch, np.ndarray]:
    """Return a linear classifier of 5 classes without purification, and its (48, 5) weights.

    No ball of up to 25/255 around an image leaves the pixels' range.
    """
    config = {**RULES, "langevin_steps": 0, **changes}
    weights = rng.normal(size=(48, 5)).astype(np.float32)
    defense = Defense(config, cpus(), None, lambda x: tf.reshape(x, (-1, 48)) @ weights)
    images = rng.uniform(-0.75, 0.75, (40, 4, 4, 3)).astype(np.float32)
    labels = (images.reshape(-1, 48) @ weights).argmax(axis=1)
    return config, defense, Batch(images, labels, np.arange(40)), weights


def purified_by(
    purifier: Callable[[tf.Tensor], tf.Tensor], rng: np.random.Generator, **changes: Any
) -> tuple[dict, Defense, Batch]:
    """Return a linear classifier of 5 classes behind a deterministic purifier of images.

    For a `make_purify` that returns `chain_of(purifier)`.
    """
    config = {**RULES, "adv_steps": 20, "adv_eps": 24.0, "adv_eta": 12.0, **changes}
    weights = tf.constant(rng.normal(size=(48, 5)), tf.float32)

    def classify(x):
        return tf.reshape(x, (-1, 48)) @ weights

    defense = Defense(config, cpus(), make_potential(lambda x: x[:, 0, 0, :1], 1.0), classify)
    images = rng.uniform(-0.75, 0.75, (11, 4, 4, 3)).astype(np.float32)
    labels = classify(purifier(images)).numpy().argmax(axis=1)
    return config, defense, Batch(images, labels, np.arange(11))


def chain_of(purifier: Callable[[tf.Tensor], tf.Tensor]) -> Callable[..., Chain]:
    """Return the purification (images, names) of a function of images."""
    return lambda images, _: Chain(purifier(images), tf.zeros_like(images[:, 0, 0, 0]), None)


def attacked(config: dict, defense: Defense, batch: Batch, *_) -> dict[str, np.ndarray]:
    """Return the results of an attack on a toy."""
    return attack_batch(config, defense, batch, lambda *_: None)


def drive(search: Search, loss: Callable, steps: int) -> list[np.ndarray]:
    """Run a search on a loss, image -> (value, gradient); return the images that it yields."""
    looks = [next(search)]
    for _ in range(steps):
        looks.append(search.send(Seen(*loss(looks[-1]))))
    return looks
