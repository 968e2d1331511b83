"""Keys without effect: one function per script says under which condition a run reads a key.

Every run reads the keys that are not named here. The configs of this repository may hold keys
without effect, as the published ones do; in other configs they cause a warning.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.config import keys
from utils.config.attacks import attacks_of
from utils.config.checks import (
    EMBEDDED,
    OWN_FORMATS,
    PADDED_CROPS,
    classifier_type,
    data_name,
    trains_generator,
    uses_generator,
)
from utils.config.record import Config

WHOLE_UNITS = ("adv_eps", "adv_eta")  # in 1/255: rarely meant to be below 0.5


def warnings_of(config: Config, script: str, written: Mapping[str, Any]) -> list[str]:
    """Return the warnings about the keys that the user has written, one line each.

    Required keys and keys that have their default cause none.
    """
    lines = [
        f"'{name}' {config[name]:g} is in 1/255 of the range [0, 1]: for 8/255 write {name}=8"
        for name in WHOLE_UNITS
        if name in written and 0 < config[name] < 0.5
    ]
    known = keys.keys_of(script)
    unread = [
        name
        for name, is_read in READ[script](config).items()
        if name in written and not is_read
        if known[name].default not in (keys.REQUIRED, config[name])
    ]
    fossils = keys.keys_of(script, keys.FOSSILS).items()
    unread += [n for n, key in fossils if n in written and written[n] != key.default]
    if unread:
        lines.append(f"keys without effect in this run: {', '.join(unread)}")
    return lines


def is_own_config(path: Path, repository: Path) -> bool:
    """Return whether a config file is one of the repository's."""
    folder = path.resolve().parent
    return folder.parent == repository and folder.name.startswith("configs")


def _of_data(c: Config, *, opened: bool, learned: bool, labels: bool) -> dict[str, bool]:
    """Return which keys of the data are read.

    The data set is `opened`, `learned` on (augmented), and its `labels` are used, or not.
    """
    name, crop = data_name(c), c.random_crop and learned
    padded, from_tfds = name in PADDED_CROPS, name not in OWN_FORMATS
    return {
        "data_dir": opened,
        "data_labels": opened,
        "data_corrupt": opened and name != "npz",
        "data_memory": opened and (padded or not crop),  # resized crops are always streamed
        "data_download": opened and from_tfds and name != EMBEDDED and not c.gs_path,
        "label_attribute": opened and from_tfds and bool(labels or c.data_labels),
        "data_flip": opened and learned and not (padded and crop),  # padded crops flip anyway
        "random_crop": opened and learned,
    }


def _of_guard(c: Config) -> dict[str, bool]:
    guarded = c.on_divergence != "ignore"
    limits = ("max_abs_energy_diff", "max_langevin_grad", "max_saturated")
    return {**dict.fromkeys(limits, guarded), "max_rollbacks": c.on_divergence == "rollback"}


def _of_potential(c: Config, *, used: bool = True) -> dict[str, bool]:
    of_ebm = dict.fromkeys(("ebm_width", "tau", "prior_weights"), used)
    return {**of_ebm, "prior_temp": used and bool(c.prior_weights)}


def _of_learning(c: Config) -> dict[str, bool]:
    """Return which keys `train.py` and `train_longrun.py` read."""
    generator, trained = uses_generator(c), trains_generator(c)
    opened, banked = c.data_type != "generator", c.mcmc_init in keys.BANK_INITS
    of_training = ("gen_optim_type", "gen_lr_info", "gen_opt_decay", "gen_batch_norm")
    return {
        **_of_data(c, opened=opened, learned=True, labels=False),
        **_of_guard(c),
        **_of_potential(c),
        "split": opened,
        "max_langevin_norm": c.clip_langevin_grad,
        "persistent_size": banked,
        "persistent_init_scale": c.mcmc_init == "persistent",
        **dict.fromkeys(("gen_type", "gen_width", "z_sz", "gen_weights"), generator),
        **dict.fromkeys(of_training, trained),
    }


def _of_train(c: Config) -> dict[str, bool]:
    trained = trains_generator(c)
    return {
        **_of_learning(c),
        "max_mcmc_updates": c.mcmc_init in keys.BANK_INITS,
        "clip_gen_grad": trained,
        "max_grad_norm": c.clip_ebm_grad or (trained and c.clip_gen_grad),
    }


def _of_longrun(c: Config) -> dict[str, bool]:
    return {**_of_learning(c), "max_grad_norm": c.clip_ebm_grad}


def _of_fid(c: Config) -> dict[str, bool]:
    scores, folder, density = (
        c.exp_type != "sample",
        c.exp_type == "folder",
        c.exp_type == "density",
    )
    coop, opened = c.mcmc_init == "coop", scores or c.mcmc_init == "data"
    of_scores = ("data_epsilon", "feature_net", "feature_sha256", "quantize", "heldout_split")
    return {
        **_of_data(c, opened=opened, learned=False, labels=False),
        **_of_potential(c),
        "split": opened,
        "joint_temp": bool(c.prior_weights),
        "max_langevin_norm": c.clip_langevin_grad,
        **dict.fromkeys(("gen_type", "gen_width", "z_sz"), coop),
        "gen_weights": coop and (c.fixed_gen or not folder),
        "ebm_weights": not folder,
        **dict.fromkeys(("ckpt_folder", "min_step", "max_step", "step_freq"), folder),
        "use_averages": folder,
        "fixed_gen": folder and coop,
        "num_fid_rounds": c.num_samples is None,
        **dict.fromkeys(of_scores, scores),
        **dict.fromkeys(
            ("reference_stats", "save_images", "nearest_pictures"), scores and not density
        ),
        **dict.fromkeys(("fid_steps", "grad_steps", "film"), not density),
        **dict.fromkeys(("ais_steps", "ais_base", "ood"), density),
        "reference_samples": scores
        and (density or not c.reference_stats or c.nearest_pictures is None),
        "inception_weights": scores and c.feature_net.startswith("inception"),
        "clf_weights": density or (scores and c.feature_net == "classifier"),
    }


def _of_clf(c: Config) -> dict[str, bool]:
    return {
        **_of_data(c, opened=True, learned=True, labels=True),
        "max_rollbacks": c.on_divergence == "rollback",
    }


def _of_attack(c: Config) -> dict[str, bool]:
    purified, is_wrn = c.langevin_steps > 0, classifier_type(c) == "wrn"
    replayed = purified and c.attack_gradient in ("full", "smoothed", "surrogate")
    names = attacks_of(c) if c.adv_steps else []
    by_gradient = bool({*names} & {*keys.GRADIENT_ATTACKS})
    return {
        **_of_data(c, opened=True, learned=False, labels=True),
        **_of_potential(c, used=purified),
        "ebm_weights": purified,
        "attack_noise": purified,
        "attack_gradient": (purified and by_gradient) or c.attack_gradient == "none",
        "surrogate_steps": purified and c.attack_gradient == "surrogate",
        "attack_list": c.attack == "ensemble",
        "attack_loss": bool({*names} & {"pgd", "transfer"}),
        "adv_rand_start": {*names} != {"square"},
        "attack_memory_gb": replayed,
        "clf_depth": is_wrn,
        "clf_width": is_wrn,
    }


READ = {
    "train": _of_train,
    "train_longrun": _of_longrun,
    "fid": _of_fid,
    "train_clf": _of_clf,
    "attack": _of_attack,
}
