"""From a path to a network: its sizes, its weights."""

from collections.abc import Mapping
from typing import Any

import keras

from nets import create_ebm, create_gen
from utils.errors import UserError
from utils.weights.files import network_info
from utils.weights.foreign import serves
from utils.weights.published import load_weights


def with_stored_sizes(config: Any, path_key: str, type_key: str, sizes: Mapping[str, str]) -> Any:
    """Return the config (or dict) with a network's sizes taken from the weights at `path_key`.

    `sizes` maps names in the file's info to config keys, for example {"width": "ebm_width"}. Raises
    UserError when the config says another size, or the file holds another kind of network or one
    for other images.
    """
    path = config[path_key]
    info = (network_info(path) if path else None) or {}
    if info.get("type", config[type_key]) != config[type_key]:
        raise UserError(
            f"'{path_key}' {path} holds a network of type '{info['type']}', but '{type_key}' is "
            f"'{config[type_key]}'"
        )
    if not serves(config["image_dims"], info, config[type_key]):
        raise UserError(
            f"'{path_key}' {path} holds a network for images of {info['image_dims']}, but "
            f"'image_dims' is {config['image_dims']}"
        )
    stored = {key: info[name] for name, key in sizes.items() if info.get(name) is not None}
    for key, size in stored.items():
        if config[key] is not None and config[key] != size:
            raise UserError(
                f"'{path_key}' {path} holds a network with {key} {size}, but '{key}' is "
                f"{config[key]}: set '{key}' to {size}"
            )
    return config | stored


def create_prior(config: Mapping[str, Any]) -> keras.Model | None:
    """Return the frozen prior EBM with its weights; None without one.

    It is as wide as its weights say, else as `ebm_width`.
    """
    path = config["prior_weights"]
    if not path:
        return None
    open_width, sizes = {**config, "ebm_width": None}, {"width": "ebm_width"}
    sized = with_stored_sizes(open_width, "prior_weights", "net_type", sizes)
    prior = create_ebm({**sized, "ebm_width": sized["ebm_width"] or config["ebm_width"]})
    load_weights(prior, path)
    return prior


def load_generator(gen_weights: str, shape: list[int]) -> keras.Model:
    """Return the generator of a weights file; raises UserError unless it makes such images."""
    info = network_info(gen_weights) or {}
    if info.get("image_dims") != shape:
        raise UserError(f"weights {gen_weights} are not of a generator of {shape} images")
    sizes = {"gen_width": info["width"], "z_sz": info["z_sz"]}
    gen = create_gen({"gen_type": info["type"], "image_dims": shape, **sizes})
    load_weights(gen, gen_weights)
    return gen
