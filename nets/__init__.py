"""The networks of the project, built from a config: energies, generators, classifier.

Nothing here knows of data, chains or files. A config that no network answers to: NoSuchNetwork.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from nets import biggan, sngan
from nets.layers import FUSED, NoSuchNetwork, start_weights
from nets.wide_resnet import WideResNet

# config type: (network, image sizes that it comes in)
EBMS = {
    "ebm_sngan": (sngan.EbmSngan, sngan.EBM_BLOCKS),
    "ebm_biggan": (biggan.EbmBiggan, biggan.EBM_BLOCKS),
}
GENERATORS = {
    "gen_sngan": (sngan.GenSngan, sngan.GEN_BLOCKS),
    "gen_biggan": (biggan.GenBiggan, biggan.GEN_BLOCKS),
    "gen_biggan_cond": (biggan.GenBigganCond, biggan.GEN_COND_BLOCKS),
}
IN_COLOUR = ("ebm_biggan", "gen_biggan", "gen_biggan_cond")  # networks of three channels only
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float64": "float64"}


def create_ebm(config: Mapping[str, Any]) -> keras.Model:
    """Return the built, seeded energy network: (b, h, w, c) in [-1, 1] -> (b, 1) energies."""
    network, shape = choose(EBMS, config, "net_type"), config["image_dims"]
    with computing(config):
        ebm = network(shape, config.get("ebm_width"))
        ebm(keras.Input(shape))
    start_weights(ebm, config.get("seed", 0))
    return ebm


def create_gen(config: Mapping[str, Any]) -> keras.Model:
    """Return the built, seeded generator: (b, z_sz) -> (b, h, w, c) in [-1, 1].

    It draws its own latents, `gen.sample_latents(b, seed)`. The conditional one needs `labels` (b,)
    as well, `gen.sample_labels(b, seed)`, and takes a `truncation` in (0, 1].
    """
    network = choose(GENERATORS, config, "gen_type")
    with computing(config):
        gen = network(config["image_dims"], config.get("gen_width"), config.get("z_sz", 128))
        gen(*gen.symbolic_inputs())
    start_weights(gen, config.get("seed", 0))
    return gen


def create_clf(config: Mapping[str, Any]) -> keras.Model:
    """Return the built, seeded Wide ResNet: (b, h, w, c) in [-1, 1] -> (b, num_classes) logits."""
    with computing(config):
        clf = WideResNet(
            config["num_classes"],
            depth=config.get("clf_depth"),
            width=config.get("clf_width"),
            dropout=config.get("dropout", 0.0),
        )
        clf(keras.Input(config["image_dims"]))
    start_weights(clf, config.get("seed", 0), conv_scale=np.sqrt(2))
    return clf


def choose(networks: Mapping[str, tuple], config: Mapping[str, Any], key: str) -> type:
    """Return the network that `config[key]` names, which must have square images of the size."""
    if config[key] not in networks:
        raise NoSuchNetwork(f"{key} {config[key]!r} is not one of {', '.join(networks)}")
    network, sizes = networks[config[key]]
    height, width, channels = config["image_dims"]
    if height != width or height not in sizes:
        known = ", ".join(f"{size}x{size}" for size in sizes)
        raise NoSuchNetwork(f"{config[key]} has no image_dims {config['image_dims']}, only {known}")
    if channels != 3 and config[key] in IN_COLOUR:
        raise NoSuchNetwork(f"{config[key]} has images of 3 channels, not {channels}")
    return network


@contextmanager
def computing(config: Mapping[str, Any]) -> Iterator[None]:
    """Let the layers built inside compute in config['precision'] and convolve by config['conv'].

    Their variables are float32; with 'float64', which the tests use, all is float64.
    """
    before, token = keras.config.dtype_policy(), FUSED.set(is_fused(config))
    keras.config.set_dtype_policy(POLICIES[config.get("precision", "float32")])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
        FUSED.reset(token)


def is_fused(config: Mapping[str, Any]) -> bool:
    """Return whether convolutions come as for CPUs; `conv` None: on these, and compiled by XLA."""
    if config.get("conv") is not None:
        return config["conv"] == "fused"
    return config.get("device_type", "cpu") == "cpu" or config.get("jit", False)
