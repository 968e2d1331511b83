"""The defence: purify by Langevin steps, then classify; and the gradients that an attacker uses.

A row is one chain: an image, and the name of its noise (the image's index in the data set, use,
round, repetition). The result of a row depends on nothing else, so that rows can be packed into
full batches in any order.
"""

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from utils.attack import gradients
from utils.attack.classifier import create_classifier, make_classify
from utils.errors import UserError
from utils.mcmc.langevin import Chain, gradient_of
from utils.mcmc.noise import make_image_noise
from utils.mcmc.potential import Potential
from utils.mcmc.sampling import Sampling, require_prior
from utils.replicas import Replicas
from utils.seeds import Purpose, fold_each
from utils.weights.files import located
from utils.weights.networks import EBM, create_prior, network_at

KEPT = ("full", "smoothed")  # gradients through the purification's own path
REPLAYED = (*KEPT, "surrogate")  # gradients that need the path of a chain


class Use(enum.IntEnum):
    """What a purification is for; no two uses share noise, unless `attack_noise` is `fixed`."""

    NATURAL = 0
    ATTACK = 1
    VERIFY = 2
    CONTROL = 3
    PICTURE = 4
    FINAL = 5
    PROBE = 6
    CLEAN = 7


class Purified(NamedTuple):
    """Purifications of n images, `copies` per image, in (n copies, ...) rows grouped by image.

    rows: the purified images; starts: the images before it; names: (n copies, 4), of the noise;
    paths: (n copies, steps + 1, ...), every state of the chains, or None if they were not kept.
    """

    rows: np.ndarray
    starts: np.ndarray
    names: np.ndarray
    copies: int
    paths: np.ndarray | None = None

    def of(self, chosen: np.ndarray) -> "Purified":
        """Return the purifications of the `chosen` (n,) bool images."""
        rows = np.repeat(chosen, self.copies)
        paths = None if self.paths is None else self.paths[rows]
        return Purified(self.rows[rows], self.starts[rows], self.names[rows], self.copies, paths)

    def each(self, values: np.ndarray) -> np.ndarray:
        """Group values of rows by image: (n copies, ...) -> (n, copies, ...)."""
        return values.reshape(-1, self.copies, *values.shape[1:])


class Defense:
    """Purifications, logits and gradients of the purified classifier; counts their image-steps."""

    def __init__(
        self,
        config: Mapping[str, Any],
        replicas: Replicas,
        potential: Potential | None,
        classify: Callable[[tf.Tensor], tf.Tensor],
    ):
        self.config, self.image_steps = config, 0
        self.num_chains = batch = chains_at_once(config, replicas.device)
        # On a CPU one trace for all sizes is faster.
        self._least = batch if replicas.device == "cpu" else config["batch_size"]
        self._replicas, self._potential, self._network = replicas, potential, classify
        purify = make_purify(config, potential)
        self._purify = replicas.rows(
            lambda *rows: purify(*rows).images, batch, self._least, "purifying"
        )
        self._paths = replicas.rows(
            lambda *rows: turned(purify(*rows, True).path), batch, self._least, "purifying"
        )
        self._classify = replicas.rows(classify, batch, self._least)
        self._gradients: dict[tuple[str, bool], Callable[..., np.ndarray]] = {}

    def purify(
        self, images: np.ndarray, indices: np.ndarray, use: Use, rounds: int = 0, reps: int = 1,
        kept: bool = False,
    ) -> Purified:  # fmt: skip
        """Purify images (n, h, w, c) `reps` times each, or once if there are no Langevin steps.

        `kept`: keep every state of the chains, if they fit into `attack_memory_gb`.
        """
        steps = self.config["langevin_steps"]
        copies = np.repeat(images[:, np.newaxis], reps if steps else 1, axis=1)
        fits = steps > 0 and len(images) * reps <= chains_kept(self.config)
        return self.purify_each(copies, indices, use, rounds, kept=kept and fits)

    def purify_each(
        self, copies: np.ndarray, indices: np.ndarray, use: Use, rounds: int, *,
        sharing: int = 1, kept: bool = False,
    ) -> Purified:  # fmt: skip
        """Purify (n, copies, h, w, c) variants of n images; `sharing` consecutive ones share noise.

        The noise is a function of an image's index in the data set, use, round and repetition.
        """
        if self.config["attack_noise"] == "fixed":
            use, rounds = Use.NATURAL, 0
        count, reps = copies.shape[:2]
        names = np.zeros((count, reps, 4), np.int32)
        names[..., 0] = indices[:, np.newaxis]
        names[..., 1], names[..., 2], names[..., 3] = int(use), rounds, np.arange(reps) // sharing
        starts, names = copies.reshape(-1, *copies.shape[2:]), names.reshape(-1, 4)
        self.image_steps += len(starts) * self.config["langevin_steps"]
        if not kept:
            return Purified(self._purify(starts, names), starts, names, reps)
        paths = self._paths(starts, names)
        return Purified(paths[:, -1], starts, names, reps, paths)

    def bare(self, images: np.ndarray) -> Purified:
        """Return images without purification, as input of the bare classifier."""
        return Purified(images, images, np.zeros((len(images), 4), np.int32), 1)

    def logits(self, purified: Purified) -> np.ndarray:
        """Return the logits (n, copies, classes) of each purification.

        Raises UserError if they are not finite: a diverged purification must not be classified.
        """
        logits = self._classify(purified.rows)
        if not np.isfinite(logits).all():
            raise UserError(
                "logits are NaN or Inf: purification diverged, or the weights are damaged; check "
                "epsilon, mcmc_temp and the weights"
            )
        return purified.each(logits)

    def gradient(self, purified: Purified, slopes: np.ndarray, kind: str) -> np.ndarray:
        """Return the derivative (n, h, w, c) of the loss with respect to each image.

        `slopes` (n, classes) is its derivative with respect to an image's mean logits. `kind` is
        `attack_gradient`: `bpda` takes the derivative at the purified images. The others go through
        the chains' paths, which are replayed from the same noise unless they were kept.
        """
        slopes = np.repeat(slopes, purified.copies, axis=0)
        if kind in KEPT and purified.paths is not None:
            gradients = self._gradient_of(kind, kept=True)(purified.paths, slopes)
        else:
            rows = purified.rows
            if kind in REPLAYED:
                rows = purified.starts
                self.image_steps += len(rows) * replayed(self.config, kind)["langevin_steps"]
            gradients = self._gradient_of(kind)(rows, purified.names, slopes)
        return purified.each(gradients).mean(axis=1)

    def _gradient_of(self, kind: str, *, kept: bool = False) -> Callable[..., np.ndarray]:
        """Return the gradient function of rows, cached, in batches that fit into memory."""
        if (kind, kept) not in self._gradients:
            config, batch = replayed(self.config, kind), self.num_chains
            if kind in REPLAYED and config["langevin_steps"]:
                batch = min(batch, chains_kept(config) * self._replicas.count)
            make = make_path_gradient if kept else make_gradient
            gradient = make(self.config, kind, self._potential, self._network)
            self._gradients[kind, kept] = self._replicas.rows(
                gradient, batch, self._least, "gradients"
            )
        return self._gradients[kind, kept]


def chains_at_once(config: Mapping[str, Any], device_type: str) -> int:
    """Return how many chains run at once, over all replicas: `chain_batch`, if it is set.

    Otherwise a CPU runs `batch_size`. GPUs and TPUs run all chains of a round, unless the gradient
    keeps their paths (`REPLAYED`) or there are no Langevin steps.
    """
    if config["chain_batch"] is not None:
        return config["chain_batch"]
    in_passing = config["attack_gradient"] not in REPLAYED and config["langevin_steps"]
    if device_type == "cpu" or not in_passing:
        return config["batch_size"]
    return config["batch_size"] * config["eot_attack_reps"]


def make_purify(config: Mapping[str, Any], potential: Potential | None) -> Callable[..., Any]:
    """Return (images, names, keep_path) -> `Chain` of `langevin_steps` steps."""
    if potential is None or not config["langevin_steps"]:
        return lambda images, names, keep_path=False: Chain(
            images, tf.zeros_like(images[:, 0, 0, 0]), None
        )
    chains = Sampling.of_config(config).chains(potential)

    def purify(images: tf.Tensor, names: tf.Tensor, keep_path: bool = False):
        noise = make_image_noise(fold_each(config["seed"], Purpose.ATTACK, names), images)
        return chains(images, num_steps=config["langevin_steps"], noise=noise, keep_path=keep_path)

    return purify


def make_gradient(
    config: Mapping[str, Any], kind: str, potential: Potential | None, classify: Callable
) -> Callable[..., tf.Tensor]:
    """Return (images, names, slopes) -> the attacker's gradient with respect to the images.

    `bpda`: `images` are the purified ones, and the classifier's gradient there replaces the
    gradient with respect to the images before purification (Athalye et al. 2018). `full` and
    `smoothed` pull it back through every step of the purification of `images`; `surrogate` through
    a shorter chain. `slopes` (n, classes) is the derivative with respect to the logits.
    """
    config, product = replayed(config, kind), make_hessian_product(config, kind, potential)
    purify = make_purify(config, potential)

    def gradient(images: tf.Tensor, names: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        if product is None:
            return gradient_of(lambda x: classify(x) * slopes, images)
        path = purify(images, names, keep_path=True).path
        return gradients.through(path, slopes, classify, product, config["epsilon"])

    return gradient


def make_path_gradient(
    config: Mapping[str, Any], kind: str, potential: Potential | None, classify: Callable
) -> Callable[..., tf.Tensor]:
    """Return (paths (n, steps + 1, ...), slopes) -> the gradient of a kind in `KEPT`."""
    product, epsilon = make_hessian_product(config, kind, potential), config["epsilon"]

    def gradient(paths: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        # Paths come from chains, so that `product` is not None.
        return gradients.through(turned(paths), slopes, classify, product, epsilon)  # pyright: ignore[reportArgumentType]

    return gradient


def turned(path: tf.Tensor) -> tf.Tensor:
    """Swap the axes of steps and chains of a path: (steps + 1, n, ...) <-> (n, steps + 1, ...)."""
    return tf.transpose(path, [1, 0, 2, 3, 4])


def chains_kept(config: Mapping[str, Any]) -> int:
    """Return how many chains may keep their paths at once."""
    shape, memory = config["image_dims"], config["attack_memory_gb"]
    return gradients.chains_in_memory(shape, config["langevin_steps"], memory)


def replayed(config: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the config of the chain that a gradient goes through.

    `surrogate` replaces the K steps by K' = `surrogate_steps` larger ones. Each has K/K' times the
    drift and sqrt(K/K') times the noise, so that total drift and variance stay the same.
    """
    if kind != "surrogate":
        return config
    steps = config["surrogate_steps"]
    stretch = math.sqrt(config["langevin_steps"] / steps)
    return {**config, "langevin_steps": steps, "epsilon": config["epsilon"] * stretch}


def make_hessian_product(
    config: Mapping[str, Any], kind: str, potential: Potential | None
) -> gradients.HessianProduct | None:
    """Return the Hessian product of a gradient through a chain, or None if it needs none."""
    if potential is None or not config["langevin_steps"] or kind not in REPLAYED:
        return None
    if kind == "smoothed":
        return gradients.smoothed_hessian_product(potential, config["epsilon"])
    return gradients.exact_hessian_product(potential)


def create_defense(
    config: Mapping[str, Any], class_names: Sequence[str], replicas: Replicas
) -> Defense:
    """Return the defence of a config: its networks are built and their weights loaded."""
    path = located(config["clf_weights"])
    with replicas.strategy.scope():
        classifier = create_classifier({**config, "clf_weights": path}, class_names)
    classify = make_classify(config, classifier)
    return Defense(config, replicas, create_potential(config, replicas), classify)


def create_potential(config: Mapping[str, Any], replicas: Replicas) -> Potential | None:
    """Return the potential of purification with its weights; None without Langevin steps."""
    if not config["langevin_steps"]:
        return None
    config = {**config, **{k: located(config[k]) for k in ("ebm_weights", "prior_weights")}}
    require_prior(config["ebm_weights"], config["prior_weights"])
    with replicas.strategy.scope():
        ebm = network_at(EBM, config)
        return Sampling.of_config(config).potential(ebm, create_prior(config))
