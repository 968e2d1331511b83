"""The defence: purify by Langevin steps, then classify; and what an attacker can learn of it.

Work comes as rows, one chain each: an image and the name of its noise (image's number in the data
set, use, round, repetition). A row's result depends on nothing else, so that rows are packed into
full batches as they come.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from utils.attack import attacks
from utils.attack.efficientnet import create_efficientnet, require_imagenet
from utils.config.checks import classifier_type
from utils.errors import UserError
from utils.mcmc.langevin import Chain, gradient_of
from utils.mcmc.noise import make_image_noise
from utils.mcmc.potential import Potential
from utils.mcmc.sampling import Sampling, require_prior
from utils.replicas import Replicas
from utils.seeds import Purpose, draw_each, fold
from utils.weights.files import located, network_info
from utils.weights.networks import CLASSIFIER, EBM, create_prior, network_at


class Use(enum.IntEnum):
    """What purifications are for: no two uses share noise, unless `attack_noise` is `fixed`."""

    NATURAL = 0
    ATTACK = 1
    VERIFY = 2
    CONTROL = 3
    PICTURE = 4


class Purified(NamedTuple):
    """Purifications of n images, `copies` of each: (n copies, ...) rows, an image's one by one.

    rows: the purified images; starts: the images themselves; names: (n copies, 4), of their noise.
    """

    rows: np.ndarray
    starts: np.ndarray
    names: np.ndarray
    copies: int

    def of(self, chosen: np.ndarray) -> "Purified":
        """Return those of the `chosen` (n,) bool images."""
        rows = np.repeat(chosen, self.copies)
        return Purified(self.rows[rows], self.starts[rows], self.names[rows], self.copies)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over each image's purifications: (n copies, ...) -> (n, ...)."""
        return values.reshape(-1, self.copies, *values.shape[1:]).mean(axis=1)


class Defense:
    """Predictions and gradients of the purified classifier; counts the image-steps they take."""

    def __init__(
        self,
        config: Mapping[str, Any],
        replicas: Replicas,
        potential: Potential | None,
        classify: Callable[[tf.Tensor], tf.Tensor],
    ):
        self.config, self.image_steps = config, 0
        self.chains = batch = chains_at_once(config, replicas.device)
        # A CPU gains by one trace.
        least = batch if replicas.device == "cpu" else config["batch_size"]
        purify = make_purify(config, potential)
        self._purify = replicas.rows(lambda *rows: purify(*rows).images, batch, least)
        self._classify = replicas.rows(classify, batch, least)
        self._replays = config["attack_gradient"] in ("full", "smoothed")
        if self._replays and config["langevin_steps"]:
            fitting = attacks.chains_in_memory(
                config["image_dims"], config["langevin_steps"], config["attack_memory_gb"]
            )
            batch = min(batch, fitting * replicas.count)
        gradient = make_gradient(config, potential, classify)
        self._gradient = replicas.rows(gradient, batch, least)

    def purify(
        self, images: np.ndarray, indices: np.ndarray, use: Use, rounds: int = 0, reps: int = 1
    ) -> Purified:
        """Purify (n, h, w, c) images `reps` times each; without Langevin steps once is as good.

        The noise is a function of an image's index in the data set, use, round and repetition.
        """
        steps = self.config["langevin_steps"]
        reps = reps if steps else 1
        if self.config["attack_noise"] == "fixed":
            use, rounds = Use.NATURAL, 0
        names = np.zeros((len(images), reps, 4), np.int32)
        names[..., 0] = indices[:, np.newaxis]
        names[..., 1], names[..., 2], names[..., 3] = int(use), rounds, np.arange(reps)
        starts, names = np.repeat(images, reps, axis=0), names.reshape(-1, 4)
        self.image_steps += len(starts) * steps
        return Purified(self._purify(starts, names), starts, names, reps)

    def bare(self, images: np.ndarray) -> Purified:
        """Return images as if they were purified already: what the bare classifier sees."""
        return Purified(images, images, np.zeros((len(images), 4), np.int32), 1)

    def logits(self, purified: Purified) -> np.ndarray:
        """Return the (n, classes) logits averaged over each image's purifications.

        Raises UserError where they are not finite: no verdict may come of a diverged purification.
        """
        logits = self._classify(purified.rows)
        if not np.isfinite(logits).all():
            raise UserError(
                "logits are NaN or Inf: purification diverged, or weights are damaged; check "
                "epsilon, mcmc_temp and the weights"
            )
        return purified.mean(logits)

    def gradient(self, purified: Purified, slopes: np.ndarray) -> np.ndarray:
        """Return the (n, ...) derivative of the loss by each image; `slopes` by its mean logits.

        By its purifications as they are, or replayed from the same noise (`full`, `smoothed`).
        """
        rows = purified.rows
        if self._replays:
            rows = purified.starts
            self.image_steps += len(rows) * self.config["langevin_steps"]
        slopes = np.repeat(slopes, purified.copies, axis=0)
        return purified.mean(self._gradient(rows, purified.names, slopes))


def chains_at_once(config: Mapping[str, Any], device_type: str) -> int:
    """Return how many chains run at once, over all replicas: `chain_batch`, where it is given.

    Else a CPU takes the images of a batch, and GPUs and TPUs all their chains of a round, unless
    these are kept whole (`full`, `smoothed`) or there are none.
    """
    if config["chain_batch"] is not None:
        return config["chain_batch"]
    in_passing = config["attack_gradient"] in ("bpda", "none") and config["langevin_steps"]
    if device_type == "cpu" or not in_passing:
        return config["batch_size"]
    return config["batch_size"] * config["eot_attack_reps"]


def chain_keys(seed: int, names: tf.Tensor) -> tf.Tensor:
    """Return the (n, 2) int64 seeds of chains by their names (n, 4)."""
    return draw_each(
        lambda name: fold(seed, Purpose.ATTACK, *tf.unstack(name)), names, [2], tf.int64
    )


def make_purify(config: Mapping[str, Any], potential: Potential | None) -> Callable[..., Any]:
    """Return (images, names, keep_path) -> the chain of `langevin_steps` steps."""
    if potential is None or not config["langevin_steps"]:
        return lambda images, _: Chain(images, tf.zeros_like(images[:, 0, 0, 0]), None)
    chains = Sampling.of_config(config).chains(potential)

    def purify(images: tf.Tensor, names: tf.Tensor, keep_path: bool = False):
        noise = make_image_noise(chain_keys(config["seed"], names), images)
        return chains(images, num_steps=config["langevin_steps"], noise=noise, keep_path=keep_path)

    return purify


def make_gradient(
    config: Mapping[str, Any], potential: Potential | None, classify: Callable
) -> Callable[..., tf.Tensor]:
    """Return (images, names, slopes by logits) -> the attacker's derivative by the images.

    `none`: of the bare classifier. `bpda`: the same, where images are the purified ones, whose
    derivative is taken for that by the images themselves (Athalye et al. 2018). `full`, `smoothed`:
    that, pulled back through every step of the purification of `images`.
    """
    purify, product = make_purify(config, potential), make_hessian_product(config, potential)

    def gradient(images: tf.Tensor, names: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        if product is None:
            return gradient_of(lambda x: classify(x) * slopes, images)
        chain = purify(images, names, keep_path=True)
        result = gradient_of(lambda x: classify(x) * slopes, chain.images)
        return attacks.pull_back(chain.path, result, product, config["epsilon"])

    return gradient


def make_hessian_product(
    config: Mapping[str, Any], potential: Potential | None
) -> attacks.HessianProduct | None:
    """Return that of a gradient through every step of a chain, None where it takes no step back."""
    if potential is None or not config["langevin_steps"]:
        return None
    if config["attack_gradient"] == "smoothed":
        return attacks.smoothed_hessian_product(potential, config["epsilon"])
    return attacks.exact_hessian_product(potential) if config["attack_gradient"] == "full" else None


def create_defense(
    config: Mapping[str, Any], class_names: Sequence[str], replicas: Replicas
) -> Defense:
    """Build the networks of a config, load their weights, and put them together."""
    paths = {
        name: located(config[name]) for name in ("clf_weights", "ebm_weights", "prior_weights")
    }
    config, potential = {**config, **paths}, None
    with replicas.strategy.scope():
        classifier = create_classifier(config, class_names)
        if config["langevin_steps"]:
            require_prior(config["ebm_weights"], config["prior_weights"])
            ebm = network_at(EBM, config)
            potential = Sampling.of_config(config).potential(ebm, create_prior(config))
    return Defense(config, replicas, potential, make_classify(config, classifier))


def create_classifier(config: Mapping[str, Any], class_names: Sequence[str]) -> keras.Model:
    """Return the classifier with its weights; raises UserError where it lacks classes of the data.

    Its classes are those of its weights: `class_numbers` says which are the data's.
    """
    kind, path = classifier_type(config), config["clf_weights"]
    shape = config["image_dims_clf"] or config["image_dims"]
    class_numbers(config, class_names)
    if kind != "wrn":
        return create_efficientnet(int(kind[-1]), shape, config["clf_stem"], path)
    info = network_info(path) or {}
    classes = info.get("classes") or list(class_names)
    count = classes if isinstance(classes, int) else len(classes)
    own = {"clf_type": kind, "num_classes": count, "image_dims": shape}
    network = network_at(CLASSIFIER, {**config, **own})
    learned_on = info.get("image_dims", shape)
    if learned_on != shape:
        raise UserError(
            f"'clf_weights' {path} learned on images of {learned_on}, not {shape}: "
            "set 'image_dims_clf' to that"
        )
    return network


def class_numbers(config: Mapping[str, Any], class_names: Sequence[str]) -> np.ndarray:
    """Return the classifier's number of each class of the data, which may be fewer than it knows.

    Raises UserError where the classifier lacks one.
    """
    kind, path = classifier_type(config), located(config["clf_weights"]) or ""
    if kind != "wrn":
        require_imagenet(class_names, kind)
        return np.arange(len(class_names))
    classes = (network_info(path) or {}).get("classes") or list(class_names)
    if isinstance(classes, int):  # converted weights do not know the names
        if classes != len(class_names):
            raise UserError(
                f"'clf_weights' {path} tell {classes} classes apart, without their names; the data "
                f"have {len(class_names)}: {', '.join(class_names)}"
            )
        return np.arange(classes)
    if unknown := [name for name in class_names if name not in classes]:
        shared = [name for name in class_names if name in classes]
        raise UserError(
            f"'clf_weights' {path} tell {', '.join(classes)} apart; the data have "
            f"{', '.join(unknown)} too: "
            + (f"set data_labels to {shared}" if shared else "attack data that it learned on")
        )
    return np.array([classes.index(name) for name in class_names])


def make_classify(
    config: Mapping[str, Any], network: Callable[..., tf.Tensor]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return images (n, h, w, c) in [-1, 1] -> (n, classes), resized and rescaled for a network."""
    size = (config["image_dims_clf"] or config["image_dims"])[:2]
    resizes = size != config["image_dims"][:2]
    low, high = config["pixel_scale_clf"]

    def classify(images: tf.Tensor) -> tf.Tensor:
        if resizes:
            images = tf.image.resize(images, size)
        logits = network(low + (images + 1) * ((high - low) / 2), training=False)
        return tf.nn.softmax(logits) if config["clf_output"] == "probabilities" else logits

    return classify
