"""The networks of the project, built from a config: energies, generators, classifier.

This package does not depend on data, chains or files. Raises NoSuchNetwork for a config without a
network.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from nets import biggan, sngan
from nets.layers import FUSED, NoSuchNetwork, start_weights
from nets.wide_resnet import WideResNet

# config type: (network, its plan for each image size); sizes with equal plans share weights
EBMS = {
    "ebm_sngan": (sngan.EbmSngan, sngan.EBM_BLOCKS),
    "ebm_biggan": (biggan.EbmBiggan, biggan.EBM_BLOCKS),
}
GENERATORS = {
    "gen_sngan": (sngan.GenSngan, sngan.GEN_BLOCKS),
    "gen_biggan": (biggan.GenBiggan, biggan.GEN_BLOCKS),
    "gen_biggan_cond": (biggan.GenBigganCond, biggan.GEN_COND_BLOCKS),
}
IN_COLOUR = ("ebm_biggan", "gen_biggan", "gen_biggan_cond")  # networks for 3 channels only
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float64": "float64"}


def create_ebm(config: Mapping[str, Any]) -> keras.Model:
    """Return the energy network with seeded weights: (b, h, w, c) in [-1, 1] -> (b, 1) energies.

    Raises NoSuchNetwork for an unknown type, size or width.
    """
    network, shape = choose(EBMS, config, "net_type"), config["image_dims"]
    with computing(config):
        ebm = network(shape, config.get("ebm_width"))
        ebm(keras.Input(shape))
    start_weights(ebm, config.get("seed", 0))
    return ebm


def create_gen(config: Mapping[str, Any]) -> keras.Model:
    """Return the generator with seeded weights: latents (b, z_sz) -> (b, h, w, c) in [-1, 1].

    `gen.sample_latents(b, seed)` draws latents. The conditional generator also needs `labels` (b,),
    from `gen.sample_labels(b, seed)`, and takes a `truncation` in (0, 1]. Raises NoSuchNetwork for
    an unknown type, size or width.
    """
    network = choose(GENERATORS, config, "gen_type")
    with computing(config):
        gen = network(config["image_dims"], config.get("gen_width"), config.get("z_sz", 128))
        gen(*gen.symbolic_inputs())
    start_weights(gen, config.get("seed", 0))
    return gen


def create_clf(config: Mapping[str, Any]) -> keras.Model:
    """Return the Wide ResNet with seeded weights: (b, h, w, c) in [-1, 1] -> (b, k) logits."""
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
    """Return the class of the network that `config[key]` names.

    Raises NoSuchNetwork unless it exists for the config's image size and channels.
    """
    if config[key] not in networks:
        raise NoSuchNetwork(f"{key} {config[key]!r} is not one of {', '.join(networks)}")
    network, sizes = networks[config[key]]
    height, width, channels = config["image_dims"]
    if height != width or height not in sizes:
        known = ", ".join(f"{size}x{size}" for size in sizes)
        raise NoSuchNetwork(f"{config[key]} has no image_dims {config['image_dims']}, only {known}")
    if channels != 3 and config[key] in IN_COLOUR:
        raise NoSuchNetwork(f"{config[key]} needs images of 3 channels, not {channels}")
    return network


@contextmanager
def computing(config: Mapping[str, Any]) -> Iterator[None]:
    """Build layers inside this context with config['precision'] and config['conv'].

    Their variables are float32; with 'float64', which the tests use, everything is float64.
    """
    before, token = keras.config.dtype_policy(), FUSED.set(is_fused(config))
    keras.config.set_dtype_policy(POLICIES[config.get("precision", "float32")])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
        FUSED.reset(token)


def is_fused(config: Mapping[str, Any]) -> bool:
    """Return whether convolutions are formulated for CPUs; `conv` None: on CPUs and with XLA."""
    if config.get("conv") is not None:
        return config["conv"] == "fused"
    return config.get("device_type", "cpu") == "cpu" or config.get("jit", False)
