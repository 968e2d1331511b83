"""Checks of a config that concern more than one key, for each script.

A check takes the record of a config and returns its problems, one sentence each.
"""

import re
from collections.abc import Mapping
from typing import Any

from nets import EBMS, GENERATORS, IN_COLOUR
from utils.config import keys
from utils.config.attacks import check_attacks
from utils.config.record import Config
from utils.devices.pieces import why_not_pieces

EMBEDDED = "emoji32"  # the data set in this repository, which needs no download
PADDED_CROPS = ("cifar10", "emoji32")  # here `random_crop` means: pad by 4, crop, flip
OWN_FORMATS = ("image_folder", "npz", "generator")  # values of `data_type` that TFDS does not know


def data_name(config: Mapping[str, Any]) -> str:
    """Return a `data_type` without its variant and version: `cifar10` of `cifar10:3.0.2`."""
    return re.split(r"/|:(?=[\d*])", config["data_type"])[0]


def uses_generator(config: Mapping[str, Any]) -> bool:
    """Return whether a training run builds a generator."""
    return config["mcmc_init"].startswith("coop") or config["data_type"] == "generator"


def trains_generator(config: Mapping[str, Any]) -> bool:
    """Return whether a training run updates its generator, which needs chains that start at it."""
    return config["mcmc_init"].startswith("coop") and config["update_generator"]


def _check_devices(config: Config) -> list[str]:
    problems, together = [], config.get("chain_batch") or config.batch_size
    if config.num_replicas > 1 and config.device_type != "cpu":
        problems.append("'num_replicas' is for device_type 'cpu': gpu and tpu use all devices")
    if config.threads is not None and config.device_type != "cpu":
        problems.append("'threads' is for device_type 'cpu'")
    if config.device_type == "cpu" and config.batch_size % config.num_replicas:
        problems.append(
            f"'batch_size' {config.batch_size} is no multiple of {config.num_replicas} replicas"
        )
    elif (batch := together // config.num_replicas) % (config.pieces or 1):
        problems.append(why_not_pieces(config.pieces, batch))
    return problems


def _check_states(config: Config) -> list[str]:
    if config.on_divergence == "rollback" and config.keep_states < 2:
        return ["'keep_states' must be at least 2 if 'on_divergence' is 'rollback': the newest "
                "state may have diverged"]  # fmt: skip
    return []


def _check_data_set(config: Config) -> list[str]:
    if config.data_type == "generator":
        return ["'data_type' must be a data set: only an EBM can learn on a generator's images"]
    return []


def _check_networks(config: Config) -> list[str]:
    problems = _check_images(config, "net_type", EBMS)
    if uses_generator(config) and config.gen_type is not None:
        problems += _check_images(config, "gen_type", GENERATORS)
    return problems + _check_prior(config)


def _check_images(config: Config, key: str, networks: Mapping[str, tuple]) -> list[str]:
    """Check that the network of `config[key]` exists for the config's image size and channels."""
    problems, (height, _, channels) = [], config.image_dims
    sizes = tuple(networks[config[key]][1])
    if height not in sizes:
        problems.append(f"'{config[key]}' exists for image sizes {sizes}, not {height}")
    if channels != 3 and config[key] in IN_COLOUR:
        problems.append(f"'{config[key]}' exists for 3 channels, not {channels}")
    return problems


def _check_prior(config: Config) -> list[str]:
    if config.prior_weights is not None and config.prior_temp is None:
        return ["'prior_weights' needs 'prior_temp'"]
    return []


def _check_generator(config: Config) -> list[str]:
    problems = []
    if uses_generator(config) and config.gen_type is None:
        problems.append("'gen_type' is missing: chains start at a generator, or data come from it")
    if trains_generator(config):
        if config.gen_type in ("gen_biggan", "gen_biggan_cond"):
            problems.append(
                f"'{config.gen_type}' cannot be updated here: set update_generator=False"
            )
        if config.gen_lr_info is None:
            problems.append("'gen_lr_info' is missing: 'update_generator' is True")
    return problems


def _check_learning_generator(config: Config) -> list[str]:
    if config.update_generator and not trains_generator(config):
        return [
            f"'update_generator' must be False: a generator learns only from chains that start at "
            f"it, and mcmc_init is '{config.mcmc_init}'"
        ]
    return []


def _check_bank(config: Config) -> list[str]:
    if config.mcmc_init in keys.BANK_INITS and config.persistent_size is None:
        return [f"'persistent_size' is missing: mcmc_init '{config.mcmc_init}' needs a bank"]
    if config.mcmc_init in ("data", "data_persistent") and config.data_type == "generator":
        return [f"mcmc_init '{config.mcmc_init}' starts chains from a data set, not a generator"]
    return []


def _check_frozen_generator(config: Config) -> list[str]:
    if config.update_generator:
        return ["'update_generator' must be False: longrun learning never updates a generator"]
    return []


def _check_paths(config: Config) -> list[str]:
    loaded = ["ebm_weights", "prior_weights"]
    if uses_generator(config):
        loaded.append("gen_weights")
    return [
        f"'{name}' is still empty: fill in the path of the weights, or None for none"
        for name in loaded
        if config[name] == ""
    ]


def _check_sampling(config: Config) -> list[str]:
    """Check the keys of the chains of `fid.py`."""
    problems = []
    steps, scored = config.mcmc_steps, config.fid_steps
    count = config.num_samples or (config.num_fid_rounds or 0) * config.batch_size
    if not count:
        problems.append("'num_samples' is missing: the number of images")
    if count == 1 and config.exp_type != "sample":
        problems.append(
            "'num_samples' must be at least 2: scores need the variance of images and of chains"
        )
    if (config.epsilon is None) != (config.mcmc_temp is None):
        problems.append(
            "'epsilon' and 'mcmc_temp' belong together: give both, or neither for the stored ones"
        )
    if config.epsilon is None and (config.tau or config.clip_langevin_grad):
        problems.append(
            "'tau' and clipping come from the weights unless 'epsilon' is given: leave them out"
        )
    if scored is not None and steps is not None and max(scored) > steps:
        problems.append(f"'fid_steps' {scored} go beyond 'mcmc_steps' {steps}")
    if config.mcmc_init == "coop" and config.gen_type is None:
        problems.append("'gen_type' is missing: chains start at a generator")
    return problems + (_check_density(config) if config.exp_type == "density" else [])


def _check_density(config: Config) -> list[str]:
    problems = []
    if config.heldout_split is None:
        problems.append("'heldout_split' is missing: the likelihood needs data never trained on")
    if config.batch_size < 2:
        problems.append("'batch_size' must be at least 2: the pilot needs the variance of chains")
    if len(set(config.ood)) < len(config.ood):
        problems.append(f"'ood' names an image set twice: {config.ood}")
    return problems


def _check_folder(config: Config) -> list[str]:
    if config.exp_type != "folder":
        return []
    problems, first, last, every = [], config.min_step, config.max_step, config.step_freq
    if config.ckpt_folder is None:
        problems.append("'ckpt_folder' is missing: exp_type is 'folder'")
    if first > last:
        problems.append(f"'min_step' {first} is above 'max_step' {last}")
    elif (last - first) % every:
        problems.append(f"'step_freq' {every} from 'min_step' {first} on misses 'max_step' {last}")
    return problems


def _check_scoring(config: Config) -> list[str]:
    """Check the paths of weights and statistics that `fid.py` loads, and the held-out split."""
    folder, coop = config.exp_type == "folder", config.mcmc_init == "coop"
    loaded = ["ckpt_folder" if folder else "ebm_weights", "prior_weights", "reference_stats"]
    if coop and (config.fixed_gen or not folder):
        loaded.append("gen_weights")
    if config.exp_type != "sample":
        by_classifier = config.feature_net == "classifier"
        loaded.append("clf_weights" if by_classifier else "inception_weights")
    if config.exp_type == "density" and "clf_weights" not in loaded:
        loaded.append("clf_weights")
    same = config.exp_type != "sample" and config.heldout_split == config.split
    problems = [f"'heldout_split' '{config.split}' is 'split' itself: name another"] if same else []
    return problems + [
        f"'{name}' is still empty: fill in its path, or None for none"
        for name in loaded
        if config[name] == ""
    ]


def _check_classifier(config: Config) -> list[str]:
    problems = []
    rates, switches = config.lr_list, config.lr_switch_epochs or []
    if len(rates) != len(switches) + 1 or sorted(set(switches)) != switches:
        problems.append("'lr_switch_epochs' must ascend and be one fewer than 'lr_list'")
    if config.nesterov and not config.momentum:
        problems.append("'nesterov' needs 'momentum'")
    return problems + _check_depth(config)


def _check_depth(config: Config) -> list[str]:
    if config.clf_depth is not None and (config.clf_depth - 4) % 6:
        return [f"'clf_depth' must be 10, 16, 22, 28, ..., not {config.clf_depth}"]
    return []


def _check_attack(config: Config) -> list[str]:
    problems, channels = [], config.image_dims[2]
    if config.langevin_steps:
        problems += _check_images(config, "net_type", EBMS)
        if not config.ebm_weights:
            problems.append("'ebm_weights' is still empty: fill in the path of the defence's EBM")
        if config.prior_weights == "":
            problems.append("'prior_weights' is still empty: fill in its path, or None for none")
        problems += _check_prior(config)
    if not config.clf_weights and (config.clf_weights == "" or classifier_type(config) == "wrn"):
        problems.append("'clf_weights' is still empty: fill in the path of the classifier")
    if channels != 3 and classifier_type(config) != "wrn":
        problems.append(f"'{classifier_type(config)}' exists for 3 channels, not {channels}")
    if (config.image_dims_clf or config.image_dims)[2] != channels:
        problems.append(
            f"'image_dims_clf' {config.image_dims_clf} must have the channels of 'image_dims' "
            f"{config.image_dims}"
        )
    if config.data_labels is not None and classifier_type(config) != "wrn":
        problems.append(
            f"'data_labels' renumbers the classes, but '{classifier_type(config)}' needs the "
            "numbers of ImageNet: leave it None"
        )
    if config.end_batch is not None and config.end_batch < config.start_batch:
        problems.append("'end_batch' is before 'start_batch'")
    return problems + _check_attacked(config) + check_attacks(config) + _check_depth(config)


def _check_attacked(config: Config) -> list[str]:
    """Check that pixel range and stem are those that the classifier learned with."""
    problems, kind = [], classifier_type(config)
    learned_on = keys.CLF_PIXELS if kind == "wrn" else keys.IMAGENET_PIXELS
    if config.pixel_scale_clf != learned_on:
        problems.append(
            f"'pixel_scale_clf' is {config.pixel_scale_clf}, but '{kind}' learned on pixels in "
            f"{learned_on}: set it to that"
        )
    if kind == "wrn" and config.clf_stem != "keras":
        problems.append("'clf_stem' is for EfficientNets, but the classifier is a 'wrn'")
    return problems


def classifier_type(config: Mapping[str, Any]) -> str:
    """Return the type of the attacked classifier: `clf_type`, else the default of the data set."""
    return config["clf_type"] or (
        "efficientnet_b7" if data_name(config) == "imagenet2012" else "wrn"
    )


CHECKS = {
    "train_clf": (_check_devices, _check_states, _check_data_set, _check_classifier),
    "attack": (_check_devices, _check_data_set, _check_attack),
    "train": (
        _check_devices,
        _check_states,
        _check_networks,
        _check_generator,
        _check_learning_generator,
        _check_bank,
        _check_paths,
    ),
    "train_longrun": (
        _check_devices,
        _check_states,
        _check_networks,
        _check_generator,
        _check_bank,
        _check_frozen_generator,
        _check_paths,
    ),
    "fid": (
        _check_devices,
        _check_data_set,
        _check_networks,
        _check_sampling,
        _check_folder,
        _check_scoring,
    ),
}
