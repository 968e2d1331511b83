"""What a config must fulfil beyond each key by itself: the checks of every script.

A check takes a config with all defaults filled in and returns its problems, one sentence each.
"""

from typing import Any

from nets import EBMS, GENERATORS
from utils import keys


def uses_generator(config: dict[str, Any]) -> bool:
    """Return whether a training run builds a generator."""
    return config["mcmc_init"].startswith("coop") or config["data_type"] == "generator"


def trains_generator(config: dict[str, Any]) -> bool:
    """Return whether a training run updates its generator (only chains that start from it can)."""
    return config["mcmc_init"].startswith("coop") and config["update_generator"]


def _check_devices(config: dict[str, Any]) -> list[str]:
    problems = []
    if config["num_replicas"] > 1 and config["device_type"] != "cpu":
        problems.append("'num_replicas' is for device_type 'cpu'; gpu and tpu use all devices")
    if config["device_type"] == "cpu" and config["batch_size"] % config["num_replicas"]:
        problems.append(
            f"'batch_size' {config['batch_size']} does not divide over "
            f"{config['num_replicas']} replicas"
        )
    return problems


def _check_image(config: dict[str, Any]) -> list[str]:
    height, width, channels = config["image_dims"]
    if height != width or channels != 3:
        return [f"'image_dims' must be [size, size, 3], not {config['image_dims']}"]
    return []


def _check_data_set(config: dict[str, Any]) -> list[str]:
    if config["data_type"] == "generator":
        return ["'data_type' must be a data set: only an EBM can learn on a generator's images"]
    return []


def _check_networks(config: dict[str, Any]) -> list[str]:
    problems, height = [], config["image_dims"][0]
    sizes = tuple(EBMS[config["net_type"]][1])
    if height not in sizes:
        problems.append(f"'{config['net_type']}' exists for sizes {sizes}, not {height}")
    if uses_generator(config) and config["gen_type"] is not None:
        sizes = tuple(GENERATORS[config["gen_type"]][1])
        if height not in sizes:
            problems.append(f"'{config['gen_type']}' exists for sizes {sizes}, not {height}")
    return problems + _check_prior(config)


def _check_prior(config: dict[str, Any]) -> list[str]:
    if config["prior_weights"] is not None and config["prior_temp"] is None:
        return ["'prior_weights' needs 'prior_temp'"]
    return []


def _check_generator(config: dict[str, Any]) -> list[str]:
    problems = []
    if uses_generator(config) and config["gen_type"] is None:
        problems.append("'gen_type' is missing: chains or data come from a generator")
    if trains_generator(config):
        if config["gen_type"] in ("gen_biggan", "gen_biggan_cond"):
            problems.append(
                f"'{config['gen_type']}' cannot be updated here: set update_generator=False"
            )
        if config["gen_lr_info"] is None:
            problems.append("'gen_lr_info' is missing: the generator is updated")
    return problems


def _check_bank(config: dict[str, Any]) -> list[str]:
    if config["mcmc_init"] in keys.BANK_INITS and config["persistent_size"] is None:
        return [f"'persistent_size' is missing: mcmc_init '{config['mcmc_init']}' keeps a bank"]
    if config["mcmc_init"] in ("data", "data_persistent") and config["data_type"] == "generator":
        return [f"mcmc_init '{config['mcmc_init']}' starts chains from a data set, not a generator"]
    return []


def _check_frozen_generator(config: dict[str, Any]) -> list[str]:
    if config["update_generator"]:
        return ["'update_generator' must be False: longrun learning never updates a generator"]
    return []


def _check_paths(config: dict[str, Any]) -> list[str]:
    loaded = ["ebm_weights", "prior_weights"]
    if uses_generator(config):
        loaded.append("gen_weights")
    return [
        f"'{name}' is still empty: fill in the path of the weights, or None for none"
        for name in loaded
        if config[name] == ""
    ]


def _check_sampling(config: dict[str, Any]) -> list[str]:
    """Check what `fid.py` draws, and from what."""
    problems = []
    steps, scored = config["mcmc_steps"], config["fid_steps"]
    count = config["num_samples"] or (config["num_fid_rounds"] or 0) * config["batch_size"]
    if not count:
        problems.append("'num_samples' is missing: how many images")
    if count == 1 and config["exp_type"] != "sample":
        problems.append("'num_samples' must be at least 2: a score needs the spread of images")
    if (config["epsilon"] is None) != (config["mcmc_temp"] is None):
        problems.append(
            "'epsilon' and 'mcmc_temp' go together: give both, or neither for the stored chain"
        )
    if config["epsilon"] is None and (config["tau"] or config["clip_langevin_grad"]):
        problems.append(
            "'tau' and clipping are those stored in the weights unless 'epsilon' is given"
        )
    if scored is not None and steps is not None and max(scored) > steps:
        problems.append(f"'fid_steps' {scored} go beyond 'mcmc_steps' {steps}")
    if config["mcmc_init"] == "coop" and config["gen_type"] is None:
        problems.append("'gen_type' is missing: chains start from a generator")
    return problems


def _check_folder(config: dict[str, Any]) -> list[str]:
    if config["exp_type"] != "folder":
        return []
    problems = []
    if config["ckpt_folder"] is None:
        problems.append("'ckpt_folder' is missing: exp_type is 'folder'")
    if config["min_step"] > config["max_step"]:
        problems.append(f"'min_step' {config['min_step']} is above 'max_step' {config['max_step']}")
    return problems


def _check_scoring(config: dict[str, Any]) -> list[str]:
    """Check the paths that `fid.py` would load."""
    folder, coop = config["exp_type"] == "folder", config["mcmc_init"] == "coop"
    loaded = ["ckpt_folder" if folder else "ebm_weights", "prior_weights", "reference_stats"]
    if coop and (config["fixed_gen"] or not folder):
        loaded.append("gen_weights")
    if config["exp_type"] != "sample":
        by_classifier = config["feature_net"] == "classifier"
        loaded.append("clf_weights" if by_classifier else "inception_weights")
    return [
        f"'{name}' is still empty: fill in its path, or None for none"
        for name in loaded
        if config[name] == ""
    ]


def _check_classifier(config: dict[str, Any]) -> list[str]:
    problems = []
    rates, switches = config["lr_list"], config["lr_switch_epochs"] or []
    if len(rates) != len(switches) + 1 or sorted(set(switches)) != switches:
        problems.append("'lr_switch_epochs' must ascend and be one fewer than 'lr_list'")
    if config["nesterov"] and not config["momentum"]:
        problems.append("'nesterov' needs 'momentum'")
    return problems + _check_depth(config)


def _check_depth(config: dict[str, Any]) -> list[str]:
    if config["clf_depth"] is not None and (config["clf_depth"] - 4) % 6:
        return [f"'clf_depth' must be 10, 16, 22, 28, ..., not {config['clf_depth']}"]
    return []


def _check_attack(config: dict[str, Any]) -> list[str]:
    problems, height = [], config["image_dims"][0]
    if config["langevin_steps"]:
        sizes = tuple(EBMS[config["net_type"]][1])
        if height not in sizes:
            problems.append(f"'{config['net_type']}' exists for sizes {sizes}, not {height}")
        if not config["ebm_weights"]:
            problems.append("'ebm_weights' is still empty: fill in the path of the defence's EBM")
        if config["prior_weights"] == "":
            problems.append("'prior_weights' is still empty: fill in its path, or None for none")
        problems += _check_prior(config)
    if not config["clf_weights"] and (
        config["clf_weights"] == "" or classifier_type(config) == "wrn"
    ):
        problems.append("'clf_weights' is still empty: fill in the path of the classifier")
    if config["data_labels"] is not None and classifier_type(config) != "wrn":
        problems.append(
            f"'data_labels' would number the classes anew, and '{classifier_type(config)}' knows "
            "those of ImageNet by their numbers: leave it None"
        )
    if config["end_batch"] is not None and config["end_batch"] < config["start_batch"]:
        problems.append("'end_batch' is before 'start_batch'")
    low, high = config["pixel_scale_clf"]
    if low >= high:
        problems.append("'pixel_scale_clf' must be [low, high]")
    return problems + _check_depth(config)


def classifier_type(config: dict[str, Any]) -> str:
    """Return the classifier that `attack.py` attacks: `clf_type`, or the data set's usual one."""
    return config["clf_type"] or (
        "efficientnet_b7" if config["data_type"] == "imagenet2012" else "wrn"
    )


CHECKS = {
    "train_clf": (_check_devices, _check_image, _check_data_set, _check_classifier),
    "attack": (_check_devices, _check_image, _check_data_set, _check_attack),
    "train": (
        _check_devices,
        _check_image,
        _check_networks,
        _check_generator,
        _check_bank,
        _check_paths,
    ),
    "train_longrun": (
        _check_devices,
        _check_image,
        _check_networks,
        _check_generator,
        _check_bank,
        _check_frozen_generator,
        _check_paths,
    ),
    "fid": (
        _check_devices,
        _check_image,
        _check_data_set,
        _check_networks,
        _check_sampling,
        _check_folder,
        _check_scoring,
    ),
}
