"""The one table of config keys: defaults, checks, command line and docs/configs.md come from it."""

import dataclasses
from typing import Any, Literal, Optional

from nets import EBMS, GENERATORS
from utils.config.kinds import (
    FILE_NAME,
    FOLDER,
    IMAGE_DIMS,
    LONGRUN_ROWS,
    LR_ROWS,
    MCMC_ROWS,
    OFF_AT_ZERO,
    PATH,
    REPLACED,
    TEXT,
    label,
    list_of,
    number,
    whole,
)

OPTIONAL = Optional  # for a Literal made of a table, whose `| None` type checkers refuse
REQUIRED = ...  # as pydantic writes it

TRAIN = ("train",)
LONGRUN = ("train_longrun",)
FID = ("fid",)
CLF = ("train_clf",)
ATTACK = ("attack",)
LEARN_EBM = (*TRAIN, *LONGRUN)
LEARN = (*LEARN_EBM, *CLF)  # those that train something
CHAINS = (*LEARN_EBM, *FID)  # those that run chains of an EBM from a start
EBM = (*CHAINS, *ATTACK)  # those that use an EBM
ALL = (*LEARN, *FID, *ATTACK)  # every script; grows with them

BANK_INITS = ("persistent", "data_persistent", "coop_persistent")
MCMC_INITS = (*BANK_INITS, "coop", "data", "noise")
APPLICATIONS = tuple(f"efficientnet_b{number}" for number in range(8))  # of Keras
CLF_PIXELS, IMAGENET_PIXELS = [-1.0, 1.0], [0.0, 255.0]  # that train_clf.py, Keras teach with
GRADIENT_ATTACKS = ("pgd", "apgd_ce", "apgd_dlr", "apgd_t")  # those that read `attack_gradient`
ATTACKS = (*GRADIENT_ATTACKS, "square", "nes", "transfer")
FEATURE_NETS = ("inception_keras", "inception_tf1", "classifier", "random_conv")


@dataclasses.dataclass(frozen=True, eq=False)
class Key:
    """One config key: its name, scripts, type, default (or REQUIRED) and meaning.

    `resumable` keys may be changed with `--set` when a run is resumed: length, logging, saving,
    devices, and where data and weights lie (of weights the content must be the same).
    """

    name: str
    scripts: tuple[str, ...]
    kind: Any
    default: Any
    help: str
    resumable: bool = False


KEYS = (
    # The run
    Key("exp_name", ALL, FILE_NAME, REQUIRED, "run folder: `<exp_dir>/<exp_name>_<time>/`"),
    Key("exp_dir", ALL, FOLDER, REQUIRED, "folder of run folders"),
    Key("gs_path", ALL, PATH, None, "bucket: data are read from, and runs written under, `gs://<gs_path>/`"),
    Key("seed", ALL, whole(ge=0, le=2**31 - 1), 0, "seed of every random draw of the run"),
    Key("num_training_steps", LEARN_EBM, whole(ge=1), REQUIRED, "updates of the EBM", True),
    # Devices
    Key("device_type", ALL, Literal["cpu", "gpu", "tpu"], REQUIRED, "where to run", True),
    Key("num_replicas", ALL, whole(ge=1, le=64), 1, "`cpu` only: replicas on as many logical devices", True),
    Key("threads", ALL, whole(ge=1) | None, None, "`cpu` only: cores that the run may use; None: all that are allowed", True),
    Key("deterministic", ALL, bool | None, None,
        "refuse operations that may sum in another order each time; None: on CPUs", True),
    Key("pieces", ALL, whole(ge=1) | None, None,
        "pieces of a replica's batch that cores work on side by side; None: on a CPU chosen for its cores, elsewhere 1"),
    Key("precision", LEARN, Literal["float32", "bfloat16", "float64"], "float32",
        "arithmetic of the networks; weights, energies, chain states and noise stay float32; `float64`, for tests: all of them"),
    Key("precision", (*FID, *ATTACK), Literal["float32", "bfloat16"], "float32",
        "arithmetic of the networks; weights, energies, chain states and noise stay float32"),
    Key("conv", ALL, Literal["plain", "fused"] | None, None,
        "convolutions as TensorFlow has them, or formulated for CPUs (the same function); None: `fused` on `cpu` and with `jit`", True),
    Key("jit", ALL, bool, False, "compile what the device computes by XLA; one replica only", True),
    # Data
    Key("data_type", ALL, TEXT, REQUIRED, "`emoji32`, a TFDS name, `image_folder`, `npz`; training of an EBM also `generator`: learn on G(z)"),
    Key("data_dir", ALL, PATH, None, "folder of the data set; None: `<data_type>_tfds` beside where you start", True),
    Key("data_download", ALL, bool, False, "may TFDS download the data set", True),
    Key("data_labels", ALL, list_of(TEXT, "list of class names") | None, None, "keep these classes only"),
    Key("label_attribute", ALL, TEXT | None, None, "take labels from this attribute, as `Smiling` of `celeb_a`"),
    Key("data_flip", ALL, bool, False, "training split: mirror pictures left to right, half of them"),
    Key("data_corrupt", ALL, Literal["skip", "stop"], "skip", "a damaged picture is named and left out, or ends the run"),
    Key("data_memory", ALL, whole(ge=0), 1024, "MB of decoded pictures kept in memory; larger sets are decoded as they are read"),
    Key("split", EBM, TEXT, "train", "TFDS split"),
    Key("random_crop", ALL, bool, False,
        "training split: short side resized, random crop; `cifar10`, `emoji32`: pad 4, crop, flip"),
    Key("image_dims", ALL, IMAGE_DIMS, REQUIRED, "height, width, channels of images; of one channel: grey, colour pictures become so"),
    Key("batch_size", ALL, whole(ge=1), REQUIRED, "images an update, over all replicas; attack: images that are attacked together"),
    Key("data_epsilon", LEARN_EBM, number(ge=0), REQUIRED, "standard deviation of the noise on data the EBM learns on"),
    Key("data_epsilon", FID, number(ge=0) | None, None,
        "the same on data whose energy is told beside that of samples; None: as stored in `ebm_weights`, else 0"),
    # The EBM
    Key("net_type", EBM, Literal[*EBMS], REQUIRED, "EBM network"),
    Key("ebm_width", EBM, whole(ge=1) | None, None, "None: that of `ebm_weights`, else the published width"),
    Key("ebm_weights", LEARN_EBM, PATH, None, "weights to start from; None: random start"),
    Key("ebm_weights", FID, PATH, None, "the EBM to draw samples from; None: a random one", True),
    Key("ebm_weights", ATTACK, PATH, None, "the EBM that purifies; needed for `langevin_steps` above 0", True),
    Key("ebm_optim_type", LEARN_EBM, Literal["adam", "sgd"], REQUIRED, "adam (0.9, 0.999, 1e-7) or sgd"),
    Key("ebm_lr_info", LEARN_EBM, LR_ROWS, REQUIRED, "learning rates of the EBM"),
    Key("ebm_opt_decay", LEARN_EBM, number(ge=0, le=1), 0.0, "decay of the moving average of the EBM; 0: none kept"),
    Key("clip_ebm_grad", LEARN_EBM, bool, False, "clip each variable's gradient of the EBM to `max_grad_norm`"),
    Key("clip_gen_grad", TRAIN, bool, False, "the same for the generator"),
    Key("max_grad_norm", LEARN_EBM, number(gt=0), 1.0, "L2 norm for the two keys above"),
    # The chains
    Key("mcmc_init", TRAIN, Literal[*MCMC_INITS], REQUIRED, "where chains start"),
    Key("mcmc_step_info", TRAIN, MCMC_ROWS, REQUIRED, "steps, burn-in, rejuvenation probability"),
    Key("mcmc_init", LONGRUN, Literal[*BANK_INITS], REQUIRED, "where chains start"),
    Key("mcmc_step_info", LONGRUN, LONGRUN_ROWS, REQUIRED,
        "steps of update images and of burn-in images, draws before a burn-in image moves over"),
    Key("epsilon", LEARN_EBM, number(ge=0), REQUIRED, "Langevin step size"),
    Key("mcmc_temp", LEARN_EBM, number(gt=0), REQUIRED, "temperature of the EBM"),
    Key("tau", EBM, OFF_AT_ZERO, None, "adds |x|^2 / (2 tau^2) to the potential; 0 or None: does not"),
    Key("prior_weights", EBM, PATH, None, "frozen prior EBM added to the potential; None: no prior", True),
    Key("prior_temp", EBM, number(gt=0) | None, None, "temperature of the prior"),
    Key("clip_langevin_grad", CHAINS, bool, False, "clip each image's drift to `max_langevin_norm`"),
    Key("max_langevin_norm", CHAINS, number(gt=0), 1.0, "L2 norm of an image's drift"),
    Key("persistent_size", TRAIN, whole(ge=1) | None, None, "images in the bank, over all replicas"),
    Key("persistent_size", LONGRUN, whole(ge=1), REQUIRED, "images in the update bank, over all replicas"),
    Key("burnin_size", LONGRUN, whole(ge=1), REQUIRED, "images in the burn-in bank, over all replicas"),
    Key("persistent_init_scale", LEARN_EBM, number(ge=0), 1.0, "scale of the uniform first bank (longrun: of refills too)"),
    Key("max_mcmc_updates", TRAIN, whole(ge=0), 0, "states older than this many updates are rejuvenated; 0: no limit"),
    # The generator
    Key("gen_type", CHAINS, OPTIONAL[Literal[*GENERATORS]], None, "generator network"),
    Key("gen_width", CHAINS, whole(ge=1) | None, None, "None: that of `gen_weights`, else the published width"),
    Key("z_sz", CHAINS, whole(ge=1), 128, "size of a latent"),
    Key("gen_weights", LEARN_EBM, PATH, None, "weights to start from; None: random start"),
    Key("gen_weights", FID, PATH, None, "the generator whose images chains start from; None: a random one", True),
    Key("update_generator", LEARN_EBM, bool, False, "train the generator on the samples (longrun: only False)"),
    Key("gen_batch_norm", LEARN_EBM, bool, False, "batch statistics in chain starts and in the generator's loss, where the generator is updated"),
    Key("gen_optim_type", LEARN_EBM, Literal["adam", "sgd"], "adam", "as `ebm_optim_type`"),
    Key("gen_lr_info", LEARN_EBM, LR_ROWS | None, None, "learning rates of the generator"),
    Key("gen_opt_decay", LEARN_EBM, number(ge=0, le=1), 0.0, "as `ebm_opt_decay`"),
    # Records
    Key("info_freq", LEARN_EBM, whole(ge=1), 500, "updates between console lines and TensorBoard points", True),
    Key("log_freq", LEARN_EBM, whole(ge=1), 5000, "updates between pictures, plots and weights", True),
    Key("save_networks", LEARN, bool, True, "save weights whenever pictures or curves are drawn", True),
    Key("state_freq", LEARN_EBM, whole(ge=1), 500, "updates between full training states", True),
    Key("keep_states", (*LEARN, *FID), whole(ge=1), 2, "training states kept", True),
    # The divergence guard
    Key("on_divergence", LEARN, Literal["rollback", "stop", "ignore"], "rollback",
        "return to the last good state with new noise, stop and exit 3, or go on", True),
    Key("max_rollbacks", LEARN, whole(ge=0), 5, "rollbacks before the run stops", True),
    Key("max_abs_energy_diff", LEARN_EBM, number(gt=0) | None, None,
        "energy difference that counts as divergence; NaN and Inf always do", True),
    Key("max_langevin_grad", LEARN_EBM, number(gt=0) | None, None, "the same for the Langevin gradient", True),
    Key("max_saturated", LEARN_EBM, number(gt=0, le=1) | None, None,
        "the same for the share of saturated pixels", True),
    # Scores of samples
    Key("exp_type", FID, Literal["single", "folder", "sample", "density"], "single",
        "score one pair of weights, or each checkpoint of `ckpt_folder`, or only draw samples, or measure the density"),
    Key("num_samples", FID, whole(ge=1) | None, None, "images; None: `num_fid_rounds` x `batch_size`; density: chains from each start, and annealed"),
    Key("num_fid_rounds", FID, whole(ge=1) | None, None, "batches of images, where `num_samples` is None"),
    Key("ckpt_folder", FID, PATH, None, "folder: where `ebm_{step}`, `gen_{step}` lie, `.weights.h5` or `.ckpt`", True),
    Key("min_step", FID, whole(ge=0), 0, "folder: first checkpoint"),
    Key("max_step", FID, whole(ge=0), 0, "folder: last checkpoint"),
    Key("step_freq", FID, whole(ge=1), 5000, "folder: from one checkpoint to the next"),
    Key("fixed_gen", FID, bool, False, "folder: `gen_weights` for all checkpoints, not `gen_{step}`"),
    Key("use_averages", FID, bool, False, "folder: `ebm_ema_{step}`, the moving averages, and `gen_ema_{step}` where they were kept"),
    Key("mcmc_init", FID, Literal["coop", "data", "noise"], REQUIRED, "where chains start: G(z), data, uniform noise; density: all three, G(z) if `coop`"),
    Key("mcmc_steps", FID, whole(ge=0) | None, None, "Langevin steps; None: as stored in `ebm_weights`"),
    Key("epsilon", FID, number(ge=0) | None, None,
        "Langevin step size; None: the chain stored in `ebm_weights`, with its temperature, `tau` and clipping"),
    Key("mcmc_temp", FID, number(gt=0) | None, None, "temperature of the EBM; None: with `epsilon`"),
    Key("joint_temp", FID, number(gt=0), 1.0, "with a prior: divides the sum of both energies"),
    Key("grad_steps", FID, whole(ge=0), 0, "steps without noise before samples are looked at"),
    Key("fid_steps", FID, list_of(whole(ge=0), "list of step counts") | None, None,
        "scores after these steps of the chain too; 0: of its starts, the generator alone"),
    Key("segment_steps", FID, whole(ge=1) | None, None,
        "steps between two looks at energy and gradient; None: 20 looks (density: 100), at most 1,000 steps"),
    Key("state_freq", FID, whole(ge=1), 1, "segments between states", True),
    Key("feature_net", FID, Literal[*FEATURE_NETS], "inception_keras", "what sees the images; its name stands in every score"),
    Key("inception_weights", FID, PATH, None, "weights or graph of the Inception networks; None: fetched", True),
    Key("feature_sha256", FID, TEXT | None, None,
        "SHA-256 that the weights of `feature_net` must have, as `report.json` names it (`inception_tf1`: of the `.pb`); None: only named"),
    Key("clf_weights", (*FID, *ATTACK), PATH, None,
        "weights of the classifier; None: those that Keras fetches for its applications", True),
    Key("quantize", FID, bool, True, "round pixels to whole numbers, as PNG files hold them; False: as published"),
    Key("reference_samples", FID, whole(ge=2) | None, None, "data images to compare with; None: as many as samples; density: images held out, and outliers of each kind"),
    Key("reference_stats", FID, PATH, None, "their statistics, an npz; None: `<exp_dir>/reference/`, made where missing", True),
    Key("heldout_split", FID, TEXT | None, None, "also score as many images of this split, never trained on; density: the likelihood is theirs"),
    Key("save_images", FID, bool, False, "save samples as PNG files"),
    Key("film", FID, bool, False, "film the first chains of the first batch along their steps: `images/film.png`"),
    Key("nearest_pictures", FID, whole(ge=0) | None, None,
        "pictures of `split` among which the nearest to samples are looked for; None: as many as `reference_samples`; 0: none"),
    Key("ais_steps", FID, list_of(whole(ge=1), "list of step counts"), [500, 2000, 8000],
        "density: steps of annealing, both from the base to the model and back"),
    Key("ais_base", FID, Literal["full", "diagonal"], "full", "density: covariance of the Gaussian that annealing begins at"),
    Key("ood", FID, list_of(TEXT, "list of names"), ["uniform", "constant", "rotated", "emoji32"],
        "density: outliers, images made of noise, of one colour or turned by 90 degrees, or names of data sets, as `mnist` or `image_folder:PATH`"),
    # The classifier
    Key("num_epochs", CLF, whole(ge=1), REQUIRED, "passes over the training split", True),
    Key("epoch_steps_tr", CLF, whole(ge=1) | None, None, "updates an epoch; None: the whole split"),
    Key("lr_list", CLF, list_of(number(ge=0), "list of learning rates"), REQUIRED, "learning rates, one after the other"),
    Key("lr_switch_epochs", CLF, list_of(whole(ge=1), "list of epochs") | None, None,
        "epochs after which `lr_list` moves on; None: one rate"),
    Key("weight_decay", CLF, number(ge=0), 0.0, "times sum v^2 / 2 over the trainable variables"),
    Key("momentum", CLF, number(ge=0, le=1), 0.9, "momentum of SGD"),
    Key("nesterov", CLF, bool, False, "Nesterov's momentum"),
    Key("dropout", CLF, number(ge=0, le=0.99), 0.0, "share of dropped units inside the blocks"),
    Key("class_weights", CLF, list_of(number(ge=0), "list of numbers") | None, None,
        "weight of each class in the loss, in the order of `data_labels`; None: 1"),
    Key("test_and_log_freq", CLF, whole(ge=1), 5, "epochs between tests, curves and weights", True),
    Key("info_freq", CLF, whole(ge=1), 1, "epochs between console lines and TensorBoard points", True),
    Key("state_freq", CLF, whole(ge=1), 1, "epochs between full training states", True),
    Key("clf_depth", (*CLF, *ATTACK), whole(ge=10) | None, None, "None: that of `clf_weights`, else the published depth"),
    Key("clf_width", (*CLF, *ATTACK), whole(ge=1) | None, None, "None: that of `clf_weights`, else the published width"),
    # The defence
    Key("clf_type", ATTACK, OPTIONAL[Literal["wrn", *APPLICATIONS]], None,
        "classifier; None: `efficientnet_b7` for imagenet2012, else `wrn`"),
    Key("clf_output", ATTACK, Literal["logits", "probabilities"], "logits",
        "what is taken for logits; `probabilities`: the softmax, as published for ImageNet"),
    Key("clf_stem", ATTACK, Literal["keras", "published"], "keras",
        "first layers of an EfficientNet: as its weights were learned, and Keras has them since 2.9; `published`: as in Keras 2.8, 2.1 times less contrast"),
    Key("image_dims_clf", ATTACK, IMAGE_DIMS | None, None, "image size of the classifier; None: `image_dims`"),
    Key("pixel_scale_clf", ATTACK, list_of(number(ge=-255), "[low, high]", min_length=2, max_length=2), CLF_PIXELS,
        "pixel range that the classifier learned on: [-1, 1], EfficientNets [0, 255]"),
    Key("langevin_steps", ATTACK, whole(ge=0), REQUIRED, "Langevin steps of a purification; 0: the bare classifier"),
    Key("epsilon", ATTACK, number(ge=0), REQUIRED, "Langevin step size"),
    Key("mcmc_temp", ATTACK, number(gt=0), REQUIRED, "temperature of the EBM"),
    Key("eot_defense_reps", ATTACK, whole(ge=1), REQUIRED, "purifications of an image that decide its class"),
    # The attack
    Key("start_batch", ATTACK, whole(ge=1), 1, "first batch of the split, from 1"),
    Key("end_batch", ATTACK, whole(ge=1) | None, None, "last batch; None: to the end of the split", True),
    Key("shuffle", ATTACK, bool, False, "take the images in a seeded order"),
    Key("adv_norm", ATTACK, Literal["linf", "l2"], "linf", "norm of the perturbation"),
    Key("attack", ATTACK, Literal[*ATTACKS, "ensemble"], "pgd",
        "`pgd`: as published; Auto-PGD on cross-entropy, the ratio of logit differences, that of the 3 nearest classes; black box: Square attack, estimated gradients; `transfer`: PGD on the bare classifier; `ensemble`: `attack_list`, each on what the ones before leave"),
    Key("attack_list", ATTACK, list_of(Literal[*ATTACKS], f"list of {', '.join(ATTACKS)}"), ["apgd_ce", "apgd_dlr", "square"],
        "attacks of an `ensemble`"),
    Key("attack_restarts", ATTACK, whole(ge=1), 1, "searches of each attack, from one start each"),
    Key("adv_steps", ATTACK, whole(ge=0), REQUIRED, "steps of each search; `square`: queries after the first"),
    Key("adv_eps", ATTACK, number(ge=0), REQUIRED, "size of the perturbation, in 1/255 of the range [0, 1]"),
    Key("adv_eta", ATTACK, number(ge=0), REQUIRED, "size of a step, likewise"),
    Key("adv_rand_start", ATTACK, bool, True, "start at a random point of the ball"),
    Key("eot_attack_reps", ATTACK, whole(ge=1), REQUIRED, "purifications of an image a step of the attack; `nes`: half of them one way, half the other"),
    Key("attack_gradient", ATTACK, Literal["bpda", "none", "full", "smoothed", "surrogate"], "bpda",
        "through the purification as if it were the identity; through every Langevin step, exactly, or by differences at the scale of the noise; exactly through `surrogate_steps`; `none`: the old spelling of attack `transfer`"),
    Key("surrogate_steps", ATTACK, whole(ge=1) | None, None, "`surrogate`: Langevin steps that its gradient goes through, fewer than `langevin_steps`, as much larger"),
    Key("attack_loss", ATTACK, Literal["cross_entropy", "margin"], "cross_entropy", "what `pgd` raises, and `transfer`"),
    Key("attack_noise", ATTACK, Literal["fresh", "fixed"], "fresh", "`fixed`: every purification of an image uses noise that the attacker knows"),
    Key("attack_control", ATTACK, bool, True, "as many verifications of images with random perturbations of the attack's full size"),
    Key("attack_checks", ATTACK, whole(ge=0), 0, "images of the first batch by which it is checked whether gradients are masked; takes about six attacks on them"),
    Key("attack_packing", ATTACK, bool, True, "leave out broken images, verify candidates together; False: the plain schedule"),
    Key("attack_memory_gb", ATTACK, number(gt=0), 4.0, "`full`, `smoothed`, `surrogate`: memory of the stored chains"),
    Key("chain_batch", ATTACK, whole(ge=1) | None, None,
        "chains that run at once, over all replicas; None: `batch_size`, on GPUs and TPUs times `eot_attack_reps` where no chain is stored"),
    Key("log_freq", ATTACK, whole(ge=1), 1, "rounds between console lines", True),
    Key("record_image_states", ATTACK, bool, False, "keep original and adversarial images in `results.npz`"),
)  # fmt: skip

FOSSILS = (  # keys of published files that no code reads: checked, and no part of a record
    Key("root_path", ALL, PATH, None, "accepted and not needed"),
    Key("ebm_lr_type", LEARN_EBM, Literal["step"], "step", "how rows of `ebm_lr_info` follow each other"),
    Key("ebm_optim_weights", LEARN_EBM, REPLACED, None, "replaced by `--resume`"),
    Key("burnin_grad_updates", LONGRUN, whole(ge=0, le=0), 0, "accepted: it was never used"),
    Key("im_persistent_path", LEARN_EBM, REPLACED, None, "replaced by `--resume`"),
    Key("z_persistent_path", LEARN_EBM, REPLACED, None, "replaced by `--resume`"),
    Key("gen_optim_weights", LEARN_EBM, REPLACED, None, "replaced by `--resume`"),
    Key("epoch_steps_test", CLF, whole(ge=1) | None, None, "accepted and ignored: the whole test split is used"),
)  # fmt: skip


def keys_of(script: str, table: tuple[Key, ...] = KEYS) -> dict[str, Key]:
    """Return the keys of a table that a script understands, by name."""
    return {key.name: key for key in table if script in key.scripts}


def markdown_table() -> str:
    """Return the table of docs/configs.md."""
    lines = ["| key | scripts | values | default | meaning |", "|---|---|---|---|---|"]
    for key in (*KEYS, *FOSSILS):
        default = "required" if key.default is REQUIRED else f"`{key.default!r}`"
        values, meaning = (text.replace("|", "\\|") for text in (label(key.kind), key.help))
        lines.append(
            f"| `{key.name}`{'*' if key.resumable else ''} | {', '.join(key.scripts)} | {values} | {default} | {meaning} |"
        )
    return "\n".join(lines)
