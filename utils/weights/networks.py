"""From a path to a network: check its sizes against the config, build it, load its weights."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras

from nets import create_clf, create_ebm, create_gen
from utils.errors import UserError
from utils.weights.files import network_info
from utils.weights.foreign import serves
from utils.weights.published import load_weights


class Role(NamedTuple):
    """The config keys of one network: of its path, its type, and its sizes.

    `sizes` maps names in weights files to config keys; `create(config)` builds the network.
    """

    path: str
    type: str
    sizes: Mapping[str, str]
    create: Callable[[Mapping[str, Any]], keras.Model]


EBM = Role("ebm_weights", "net_type", {"width": "ebm_width"}, create_ebm)
PRIOR = EBM._replace(path="prior_weights")
GENERATOR = Role("gen_weights", "gen_type", {"width": "gen_width", "z_sz": "z_sz"}, create_gen)
CLASSIFIER = Role(
    "clf_weights", "clf_type", {"depth": "clf_depth", "width": "clf_width"}, create_clf
)


def network_at(role: Role, config: Mapping[str, Any]) -> keras.Model:
    """Return the network of a config with its weights; without a path, with initial weights.

    Raises UserError if the weights are missing or damaged, or contradict the config.
    """
    network = role.create(with_stored_sizes(role, config))
    if config[role.path]:
        load_weights(network, config[role.path])
    return network


def with_stored_sizes(role: Role, config: Any) -> Any:
    """Return the config (or dict) with a network's sizes taken from its weights file.

    Raises UserError if the file holds another size or type, or a network for other images.
    """
    path = config[role.path]
    info = (network_info(path) if path else None) or {}
    if info.get("type", config[role.type]) != config[role.type]:
        raise UserError(
            f"'{role.path}' {path} holds a network of type '{info['type']}', but '{role.type}' is "
            f"'{config[role.type]}'"
        )
    if not serves(config["image_dims"], info, config[role.type]):
        raise UserError(
            f"'{role.path}' {path} holds a network for images of {info['image_dims']}, but "
            f"'image_dims' is {config['image_dims']}"
        )
    stored = {key: info[name] for name, key in role.sizes.items() if info.get(name) is not None}
    for key, size in stored.items():
        if config.get(key, size) not in (None, size):
            raise UserError(
                f"'{role.path}' {path} holds a network with {key} {size}, but '{key}' is "
                f"{config[key]}: set '{key}' to {size}"
            )
    return config | stored


def create_prior(config: Mapping[str, Any]) -> keras.Model | None:
    """Return the frozen prior EBM with its weights; None if the config has no prior.

    Its width comes from the weights file, otherwise from `ebm_width`.
    """
    if not config["prior_weights"]:
        return None
    width = with_stored_sizes(PRIOR, {**config, "ebm_width": None})["ebm_width"]
    return network_at(PRIOR, {**config, "ebm_width": width or config["ebm_width"]})


def load_generator(gen_weights: str, shape: list[int]) -> keras.Model:
    """Return the generator of a weights file; raises UserError if its images have another shape."""
    info = network_info(gen_weights) or {}
    if info.get("image_dims") != shape:
        raise UserError(
            f"weights {gen_weights} are not of a generator of {shape} images: name other ones"
        )
    config = {"gen_weights": gen_weights, "gen_type": info.get("type"), "image_dims": shape}
    return network_at(GENERATOR, config)


def load_classifier(clf_weights: str) -> tuple[keras.Model, dict[str, Any]]:
    """Return the classifier of a weights file, and its description with `image_dims`, `classes`.

    `classes` are names, or only their number. A published checkpoint counts as the published
    CIFAR-10 network.
    """
    info = {"image_dims": [32, 32, 3], "classes": 10, **(network_info(clf_weights) or {})}
    classes = info["classes"]
    count = classes if isinstance(classes, int) else len(classes)
    config = {"clf_weights": clf_weights, "clf_type": "wrn", "image_dims": info["image_dims"]}
    return network_at(CLASSIFIER, {**config, "num_classes": count}), info


def class_names(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes of a classifier's description; numbers stand for unknown names."""
    classes = info["classes"]
    return tuple(map(str, range(classes) if isinstance(classes, int) else classes))
