"""The classifier under attack: its network, its classes, and how images enter it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.attack.efficientnet import create_efficientnet, require_imagenet
from utils.attack.losses import LEAST_CLASSES
from utils.config.attacks import attacks_of
from utils.config.checks import classifier_type
from utils.errors import UserError
from utils.weights.files import located, network_info
from utils.weights.networks import CLASSIFIER, network_at

COMPARING_FOUR = ("apgd_dlr", "apgd_t")  # their losses are ratios of logit differences


def create_classifier(config: Mapping[str, Any], class_names: Sequence[str]) -> keras.Model:
    """Return the classifier with its weights: images (n, *shape) -> (n, classes).

    It has the classes of its weights; `class_numbers` maps the classes of the data to them. Raises
    UserError if it lacks a class of the data, or was trained on images of another size.
    """
    kind, path = classifier_type(config), config["clf_weights"]
    shape = config["image_dims_clf"] or config["image_dims"]
    class_numbers(config, class_names)
    if kind != "wrn":
        return create_efficientnet(int(kind[-1]), shape, config["clf_stem"], path)
    info = network_info(path) or {}
    classes = info.get("classes") or list(class_names)
    count = classes if isinstance(classes, int) else len(classes)
    require_enough_classes(config, count)
    own = {"clf_type": kind, "num_classes": count, "image_dims": shape}
    network = network_at(CLASSIFIER, {**config, **own})
    learned_on = info.get("image_dims", shape)
    if learned_on != shape:
        raise UserError(
            f"'clf_weights' {path} were trained on images of {learned_on}, not {shape}: "
            f"set 'image_dims_clf' to {learned_on}"
        )
    return network


def require_enough_classes(config: Mapping[str, Any], count: int) -> None:
    """Raise UserError if an attack compares more logits than the classifier has, or one class."""
    if count < 2:
        raise UserError("the classifier has one class, so that no attack can change its answer")
    wanting = [name for name in attacks_of(config) if name in COMPARING_FOUR]
    if wanting and count < LEAST_CLASSES:
        raise UserError(
            f"attack '{wanting[0]}' compares {LEAST_CLASSES} logits, the classifier has {count}: "
            "choose another attack, for example apgd_ce"
        )


def class_numbers(config: Mapping[str, Any], class_names: Sequence[str]) -> np.ndarray:
    """Return the index of each class of the data among the classifier's classes, (k,) int.

    The data may have fewer classes than the classifier. Raises UserError if the classifier lacks
    a class of the data.
    """
    kind, path = classifier_type(config), located(config["clf_weights"]) or ""
    if kind != "wrn":
        require_imagenet(class_names, kind)
        return np.arange(len(class_names))
    classes = (network_info(path) or {}).get("classes") or list(class_names)
    if isinstance(classes, int):  # converted weights hold no names
        if classes != len(class_names):
            raise UserError(
                f"'clf_weights' {path} have {classes} classes without names; the data have "
                f"{len(class_names)}: {', '.join(class_names)}"
            )
        return np.arange(classes)
    if unknown := [name for name in class_names if name not in classes]:
        shared = [name for name in class_names if name in classes]
        raise UserError(
            f"'clf_weights' {path} have the classes {', '.join(classes)}; the data also have "
            f"{', '.join(unknown)}: "
            + (f"set data_labels to {shared}" if shared else "attack the data it was trained on")
        )
    return np.array([classes.index(name) for name in class_names])


def make_classify(
    config: Mapping[str, Any], network: Callable[..., tf.Tensor]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return images (n, h, w, c) in [-1, 1] -> network outputs (n, classes).

    Images are resized to `image_dims_clf` and rescaled to `pixel_scale_clf`. With `clf_output`
    `probabilities` the outputs are softmax probabilities, else logits.
    """
    size = (config["image_dims_clf"] or config["image_dims"])[:2]
    resizes = size != config["image_dims"][:2]
    low, high = config["pixel_scale_clf"]

    def classify(images: tf.Tensor) -> tf.Tensor:
        if resizes:
            images = tf.image.resize(images, size)
        logits = network(low + (images + 1) * ((high - low) / 2), training=False)
        return tf.nn.softmax(logits) if config["clf_output"] == "probabilities" else logits

    return classify
