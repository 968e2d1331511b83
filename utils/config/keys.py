"""The one table of config keys: records, checks, `--help` and docs/configs.md come from it."""

import dataclasses
from typing import Any, Literal, Optional

from nets import EBMS, GENERATORS
from utils.config.kinds import (
    BUCKET,
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
LEARN = (*LEARN_EBM, *CLF)  # scripts that train
CHAINS = (*LEARN_EBM, *FID)  # scripts whose chains have an `mcmc_init`
EBM = (*CHAINS, *ATTACK)  # scripts that use an EBM
ALL = (*LEARN, *FID, *ATTACK)  # every script; grows with them

BANK_INITS = ("persistent", "data_persistent", "coop_persistent")
MCMC_INITS = (*BANK_INITS, "coop", "data", "noise")
APPLICATIONS = tuple(f"efficientnet_b{number}" for number in range(8))  # of Keras
CLF_PIXELS, IMAGENET_PIXELS = [-1.0, 1.0], [0.0, 255.0]  # of train_clf.py, of Keras
GRADIENT_ATTACKS = ("pgd", "apgd_ce", "apgd_dlr", "apgd_t")  # attacks that read `attack_gradient`
ATTACKS = (*GRADIENT_ATTACKS, "square", "nes", "transfer")
FEATURE_NETS = ("inception_keras", "inception_tf1", "classifier", "random_conv")


@dataclasses.dataclass(frozen=True, eq=False)
class Key:
    """One config key: its name, scripts, type, default (or REQUIRED) and meaning.

    `resumable` keys may be changed with `--set` when a run is resumed: length, records, devices,
    and the paths of data and weights (the contents of weights must stay the same).
    """

    name: str
    scripts: tuple[str, ...]
    kind: Any
    default: Any
    help: str
    resumable: bool = False


GROUPS = {  # title in `--help`: keys, in a reader's order
    "data": (
        Key("data_type", ALL, TEXT, REQUIRED, "`emoji32`, a TFDS name, `image_folder` or `npz`; for the training of an EBM also `generator`: learn on G(z)"),
        Key("image_dims", ALL, IMAGE_DIMS, REQUIRED, "height, width and channels of images; with 1 channel, colour pictures become grey"),
        Key("batch_size", ALL, whole(ge=1), REQUIRED, "images per update, over all replicas; fid: chains that run together; attack: images attacked together"),
        Key("data_dir", ALL, PATH, None, "folder of the data set; None: `<data_type>_tfds` in the current folder or in the repository", True),
        Key("data_download", ALL, bool, False, "let TFDS download the data set", True),
        Key("split", EBM, TEXT, "train", "TFDS split"),
        Key("data_labels", ALL, list_of(TEXT, "list of class names") | None, None, "keep only these classes"),
        Key("label_attribute", ALL, TEXT | None, None, "take labels from this attribute, such as `Smiling` of `celeb_a`"),
        Key("data_flip", ALL, bool, False, "training split: mirror half of the pictures left to right"),
        Key("random_crop", ALL, bool, False,
            "training split: resize the short side, then crop at random; `cifar10`, `emoji32`: pad by 4, crop, mirror half"),
        Key("data_epsilon", LEARN_EBM, number(ge=0), REQUIRED, "standard deviation of the noise added to the data that the EBM learns on"),
        Key("data_epsilon", FID, number(ge=0) | None, None,
            "standard deviation of the noise added to the data whose energy is compared with that of samples; None: as stored in `ebm_weights`, else 0"),
        Key("data_corrupt", ALL, Literal["skip", "stop"], "skip", "`skip`: name a damaged picture and leave it out; `stop`: end the run", True),
        Key("data_memory", ALL, whole(ge=0), 1024, "MB of decoded pictures kept in memory; larger sets are decoded each time they are read"),
    ),
    "networks": (
        Key("net_type", EBM, Literal[*EBMS], REQUIRED, "EBM network"),
        Key("ebm_width", EBM, whole(ge=1) | None, None, "width of the EBM; None: as in `ebm_weights`, else the published width"),
        Key("ebm_weights", LEARN_EBM, PATH, None, "weights that the EBM starts from; None: random weights"),
        Key("ebm_weights", FID, PATH, None, "EBM whose chains are scored; None: random weights", True),
        Key("ebm_weights", ATTACK, PATH, None, "EBM that purifies; needed if `langevin_steps` is above 0", True),
        Key("prior_weights", EBM, PATH, None, "frozen prior EBM added to the potential; None: no prior", True),
        Key("gen_type", CHAINS, OPTIONAL[Literal[*GENERATORS]], None, "generator network"),
        Key("gen_width", CHAINS, whole(ge=1) | None, None, "width of the generator; None: as in `gen_weights`, else the published width"),
        Key("z_sz", CHAINS, whole(ge=1), 128, "dimension of a latent"),
        Key("gen_weights", LEARN_EBM, PATH, None, "weights that the generator starts from; None: random weights", True),
        Key("gen_weights", FID, PATH, None, "generator whose images chains start from; None: random weights", True),
    ),
    "classifier": (
        Key("clf_type", ATTACK, OPTIONAL[Literal["wrn", *APPLICATIONS]], None,
            "classifier; None: `efficientnet_b7` for imagenet2012, else `wrn`"),
        Key("clf_weights", (*FID, *ATTACK), PATH, None,
            "weights of the classifier; None: Keras downloads those of its applications", True),
        Key("clf_depth", (*CLF, *ATTACK), whole(ge=10) | None, None, "depth of the Wide ResNet; None: as in `clf_weights`, else the published depth"),
        Key("clf_width", (*CLF, *ATTACK), whole(ge=1) | None, None, "width of the Wide ResNet; None: as in `clf_weights`, else the published width"),
        Key("dropout", CLF, number(ge=0, le=0.99), 0.0, "share of units that are dropped inside the blocks"),
        Key("image_dims_clf", ATTACK, IMAGE_DIMS | None, None, "image size of the classifier; None: `image_dims`"),
        Key("pixel_scale_clf", ATTACK, list_of(number(ge=-255), "[low, high]", min_length=2, max_length=2), CLF_PIXELS,
            "pixel range that the classifier learned on: [-1, 1], EfficientNets [0, 255]"),
        Key("clf_output", ATTACK, Literal["logits", "probabilities"], "logits",
            "which outputs are used as logits; `probabilities`: the softmax, as published for ImageNet"),
        Key("clf_stem", ATTACK, Literal["keras", "published"], "keras",
            "first layers of an EfficientNet. `keras`: as its weights were learned, and as Keras has them since 2.9; `published`: as in Keras 2.8, with 2.1 times less contrast"),
    ),
    "sampling": (
        Key("mcmc_init", TRAIN, Literal[*MCMC_INITS], REQUIRED,
            "where chains start: in a bank (`..persistent`) that begins with noise, data or G(z), or anew in each update from G(z) (`coop`), data or noise"),
        Key("mcmc_init", LONGRUN, Literal[*BANK_INITS], REQUIRED, "what the banks begin with: noise (`persistent`), data or G(z) (`coop`)"),
        Key("mcmc_init", FID, Literal["coop", "data", "noise"], REQUIRED, "where chains start: G(z) (`coop`), data or uniform noise; density: data and noise, and G(z) if `coop`"),
        Key("mcmc_step_info", TRAIN, MCMC_ROWS, REQUIRED,
            "Langevin steps per update, burn-in steps of new chains, rejuvenation probability"),
        Key("mcmc_step_info", LONGRUN, LONGRUN_ROWS, REQUIRED,
            "Langevin steps per update of the update bank and of the burn-in bank; draws before a burnt-in image moves to the update bank"),
        Key("mcmc_steps", FID, whole(ge=0) | None, None, "Langevin steps; None: as stored in `ebm_weights`"),
        Key("langevin_steps", ATTACK, whole(ge=0), REQUIRED, "Langevin steps per purification; 0: the bare classifier"),
        Key("epsilon", (*LEARN_EBM, *ATTACK), number(ge=0), REQUIRED, "Langevin step size"),
        Key("epsilon", FID, number(ge=0) | None, None,
            "Langevin step size; None: step size, temperature, `tau` and clipping as stored in `ebm_weights`"),
        Key("mcmc_temp", (*LEARN_EBM, *ATTACK), number(gt=0), REQUIRED, "temperature of the EBM"),
        Key("mcmc_temp", FID, number(gt=0) | None, None, "temperature of the EBM; None if `epsilon` is None"),
        Key("prior_temp", EBM, number(gt=0) | None, None, "temperature of the prior"),
        Key("joint_temp", FID, number(gt=0), 1.0, "with a prior: divides the sum of both energies"),
        Key("tau", EBM, OFF_AT_ZERO, None, "adds |x|^2 / (2 tau^2) to the potential; 0 or None: no such term"),
        Key("clip_langevin_grad", CHAINS, bool, False, "clip the drift of each image to the L2 norm `max_langevin_norm`"),
        Key("max_langevin_norm", CHAINS, number(gt=0), 1.0, "largest L2 norm of an image's drift"),
        Key("num_samples", FID, whole(ge=1) | None, None, "number of samples; None: `num_fid_rounds` x `batch_size`; density: chains from each start, and annealed chains"),
        Key("num_fid_rounds", FID, whole(ge=1) | None, None, "batches of samples, if `num_samples` is None"),
        Key("grad_steps", FID, whole(ge=0), 0, "steps without noise between the chain and the scored sample"),
        Key("segment_steps", FID, whole(ge=1) | None, None,
            "steps between two records of energy and gradient; None: 20 records per chain (density: 100), at most 1,000 steps apart"),
    ),
    "bank": (
        Key("persistent_size", TRAIN, whole(ge=1) | None, None, "images in the bank, over all replicas"),
        Key("persistent_size", LONGRUN, whole(ge=1), REQUIRED, "images in the update bank, over all replicas"),
        Key("burnin_size", LONGRUN, whole(ge=1), REQUIRED, "images in the burn-in bank, over all replicas"),
        Key("persistent_init_scale", LEARN_EBM, number(ge=0), 1.0, "scale of the uniform noise that a bank begins with; longrun: also of its new images"),
        Key("max_mcmc_updates", TRAIN, whole(ge=0), 0, "rejuvenate states drawn more than this many times since they began; 0: no limit"),
    ),
    "learning": (
        Key("num_training_steps", LEARN_EBM, whole(ge=1), REQUIRED, "updates of the EBM", True),
        Key("ebm_optim_type", LEARN_EBM, Literal["adam", "sgd"], REQUIRED, "optimizer of the EBM; `adam` with (0.9, 0.999, 1e-7)"),
        Key("ebm_lr_info", LEARN_EBM, LR_ROWS, REQUIRED, "learning rates of the EBM"),
        Key("ebm_opt_decay", LEARN_EBM, number(ge=0, le=1), 0.0, "decay of the moving average of the EBM's weights; 0: no average"),
        Key("clip_ebm_grad", LEARN_EBM, bool, False, "clip the EBM's gradient, variable by variable, to the L2 norm `max_grad_norm`"),
        Key("update_generator", LEARN_EBM, bool, False, "train the generator on the samples (longrun: only False)"),
        Key("gen_batch_norm", LEARN_EBM, bool, False, "if the generator is trained: use batch statistics in chain starts and in its loss"),
        Key("gen_optim_type", LEARN_EBM, Literal["adam", "sgd"], "adam", "optimizer of the generator, like `ebm_optim_type`"),
        Key("gen_lr_info", LEARN_EBM, LR_ROWS | None, None, "learning rates of the generator"),
        Key("gen_opt_decay", LEARN_EBM, number(ge=0, le=1), 0.0, "decay of the moving average of the generator's weights; 0: no average"),
        Key("clip_gen_grad", TRAIN, bool, False, "clip the generator's gradient in the same way as the EBM's"),
        Key("max_grad_norm", LEARN_EBM, number(gt=0), 1.0, "largest L2 norm of a variable's gradient, on each replica"),
        Key("num_epochs", CLF, whole(ge=1), REQUIRED, "passes over the training split", True),
        Key("epoch_steps_tr", CLF, whole(ge=1) | None, None, "updates per epoch; None: the whole split"),
        Key("lr_list", CLF, list_of(number(ge=0), "list of learning rates"), REQUIRED, "learning rates, one after the other"),
        Key("lr_switch_epochs", CLF, list_of(whole(ge=1), "list of epochs") | None, None,
            "epochs after which the next rate of `lr_list` begins; None: one rate"),
        Key("weight_decay", CLF, number(ge=0), 0.0, "factor of sum v^2 / 2 over the trainable variables in the loss"),
        Key("momentum", CLF, number(ge=0, le=1), 0.9, "momentum of SGD"),
        Key("nesterov", CLF, bool, False, "use Nesterov momentum"),
        Key("class_weights", CLF, list_of(number(ge=0), "list of numbers") | None, None,
            "weight of each class in the loss, in the order of `data_labels`; None: 1 each"),
    ),
    "divergence": (
        Key("on_divergence", LEARN, Literal["rollback", "stop", "ignore"], "rollback",
            "`rollback`: return to the last good state, with new noise; `stop`: exit with status 3; `ignore`: continue", True),
        Key("max_rollbacks", LEARN, whole(ge=0), 5, "rollbacks before the run stops", True),
        Key("max_abs_energy_diff", LEARN_EBM, number(gt=0) | None, None,
            "energy difference beyond which a run counts as diverged; NaN and Inf always count", True),
        Key("max_langevin_grad", LEARN_EBM, number(gt=0) | None, None, "the same for the norm of the Langevin gradient", True),
        Key("max_saturated", LEARN_EBM, number(gt=0, le=1) | None, None,
            "the same for the share of saturated values", True),
    ),
    "scores": (
        Key("exp_type", FID, Literal["single", "folder", "sample", "density"], "single",
            "`single`: score one EBM; `folder`: score each checkpoint of `ckpt_folder`; `sample`: only draw samples; `density`: measure the density"),
        Key("ckpt_folder", FID, PATH, None, "folder: path of `ebm_{step}` and `gen_{step}`, which end in `.weights.h5` or `.ckpt`", True),
        Key("min_step", FID, whole(ge=0), 0, "folder: first checkpoint"),
        Key("max_step", FID, whole(ge=0), 0, "folder: last checkpoint"),
        Key("step_freq", FID, whole(ge=1), 5000, "folder: updates between two checkpoints"),
        Key("fixed_gen", FID, bool, False, "folder: use `gen_weights` for all checkpoints, not `gen_{step}`"),
        Key("use_averages", FID, bool, False, "folder: use the moving averages `ebm_ema_{step}`, and `gen_ema_{step}` if they exist"),
        Key("fid_steps", FID, list_of(whole(ge=0), "list of step counts") | None, None,
            "also score the chains after these steps; 0: their starts, for example the generator's images"),
        Key("feature_net", FID, Literal[*FEATURE_NETS], "inception_keras", "network whose features are compared; every score names it"),
        Key("inception_weights", FID, PATH, None, "weights or graph of the Inception networks; None: downloaded", True),
        Key("feature_sha256", FID, TEXT | None, None,
            "SHA-256 that the weights of `feature_net` must have, as `report.json` records it (`inception_tf1`: of the `.pb`); None: only recorded"),
        Key("quantize", FID, bool, True, "round pixels to whole numbers, as in PNG files; False: as published"),
        Key("reference_samples", FID, whole(ge=2) | None, None, "data images to compare with; None: as many as samples; density: held-out images, and outliers of each kind"),
        Key("reference_stats", FID, PATH, None, "npz file with the statistics of these images; None: `<exp_dir>/reference/`, computed if missing", True),
        Key("heldout_split", FID, TEXT | None, None, "also score as many images of this split, which is never trained on; density: measure their likelihood"),
        Key("nearest_pictures", FID, whole(ge=0) | None, None,
            "pictures of `split` among which the nearest neighbours of samples are searched; None: as many as `reference_samples`; 0: no search"),
        Key("save_images", FID, bool, False, "save samples as PNG files"),
        Key("film", FID, bool, False, "save the first chains of the first batch, step by step, as `images/film.png`"),
        Key("ais_steps", FID, list_of(whole(ge=1), "list of step counts"), [500, 2000, 8000],
            "density: annealing steps, from the base to the model and back"),
        Key("ais_base", FID, Literal["full", "diagonal"], "full", "density: covariance of the Gaussian that annealing starts from"),
        Key("ood", FID, list_of(TEXT, "list of names"), ["uniform", "constant", "rotated", "emoji32"],
            "density: outliers, which are noise, images of one colour, images turned by 90 degrees, or data sets such as `mnist` or `image_folder:PATH`"),
    ),
    "attack": (
        Key("attack", ATTACK, Literal[*ATTACKS, "ensemble"], "pgd",
            "`pgd`: as published; `apgd_ce`, `apgd_dlr`, `apgd_t`: Auto-PGD on cross-entropy, on the ratio of logit differences, on that ratio for the 3 nearest classes; `square`, `nes`: black box, Square attack and estimated gradients; `transfer`: PGD on the bare classifier; `ensemble`: the attacks of `attack_list`, each on the images that the ones before did not break"),
        Key("attack_list", ATTACK, list_of(Literal[*ATTACKS], f"list of {', '.join(ATTACKS)}"), ["apgd_ce", "apgd_dlr", "square"],
            "attacks of an `ensemble`"),
        Key("adv_norm", ATTACK, Literal["linf", "l2"], "linf", "norm of the perturbation"),
        Key("adv_eps", ATTACK, number(ge=0), REQUIRED, "size of the perturbation, in 1/255 of the range [0, 1]"),
        Key("adv_eta", ATTACK, number(ge=0), REQUIRED, "step size, in 1/255 of the range [0, 1]"),
        Key("adv_steps", ATTACK, whole(ge=0), REQUIRED, "steps of each search; Auto-PGD: the last one returns to the peak; `square`: queries after the first"),
        Key("adv_rand_start", ATTACK, bool, True, "start at a random point of the ball"),
        Key("attack_restarts", ATTACK, whole(ge=1), 1, "searches of each attack, each from a start of its own"),
        Key("attack_loss", ATTACK, Literal["cross_entropy", "margin"], "cross_entropy", "loss that `pgd` and `transfer` increase"),
        Key("attack_gradient", ATTACK, Literal["bpda", "none", "full", "smoothed", "surrogate"], "bpda",
            "gradient of a purification. `bpda`: as if it were the identity; `full`: exact, through every Langevin step; `smoothed`: through every step, by differences at the scale of the noise; `surrogate`: exact, through `surrogate_steps`; `none`: the old spelling of attack `transfer`"),
        Key("surrogate_steps", ATTACK, whole(ge=1) | None, None, "`surrogate`: Langevin steps that its gradient goes through, fewer than `langevin_steps` and larger in proportion"),
        Key("eot_attack_reps", ATTACK, whole(ge=1), REQUIRED, "purifications per image and step of the attack; `nes`: half of them in each direction"),
        Key("eot_defense_reps", ATTACK, whole(ge=1), REQUIRED, "purifications per image that decide its class"),
        Key("attack_noise", ATTACK, Literal["fresh", "fixed"], "fresh", "`fixed`: every purification of an image uses noise that the attacker knows"),
        Key("attack_control", ATTACK, bool, True, "also verify random perturbations of full size, equally often"),
        Key("attack_checks", ATTACK, whole(ge=0), 0, "images of the first batch on which to check for masked gradients; takes as long as 4 to 12 attacks on them"),
        Key("attack_packing", ATTACK, bool, True, "leave out broken images and verify candidates together; False: the plain schedule"),
        Key("attack_memory_gb", ATTACK, number(gt=0), 4.0, "`full`, `smoothed`, `surrogate`: GB of memory for the stored chains"),
        Key("chain_batch", ATTACK, whole(ge=1) | None, None,
            "chains that run at once, over all replicas; None: `batch_size`, on GPUs and TPUs times `eot_attack_reps` unless chains are stored"),
        Key("start_batch", ATTACK, whole(ge=1), 1, "first batch of the split, counted from 1"),
        Key("end_batch", ATTACK, whole(ge=1) | None, None, "last batch; None: to the end of the split", True),
        Key("shuffle", ATTACK, bool, False, "take the images in a seeded random order"),
    ),
    "devices": (
        Key("device_type", ALL, Literal["cpu", "gpu", "tpu"], REQUIRED, "device to run on", True),
        Key("num_replicas", ALL, whole(ge=1, le=64), 1, "`cpu` only: replicas, each on a logical device of its own", True),
        Key("threads", ALL, whole(ge=1) | None, None, "`cpu` only: cores that the run may use; None: all that the process is allowed", True),
        Key("pieces", ALL, whole(ge=1) | None, None,
            "pieces of a replica's batch that cores compute side by side; None: chosen for the cores of a CPU, elsewhere 1", True),
        Key("deterministic", ALL, bool | None, None,
            "refuse operations that may sum in another order in each run; None: True on CPUs", True),
        Key("precision", LEARN, Literal["float32", "bfloat16", "float64"], "float32",
            "arithmetic of the networks; weights, energies, chain states and noise stay float32 (`float64`, for tests: all are float64)"),
        Key("precision", (*FID, *ATTACK), Literal["float32", "bfloat16"], "float32",
            "arithmetic of the networks; weights, energies, chain states and noise stay float32"),
        Key("conv", ALL, Literal["plain", "fused"] | None, None,
            "`plain`: convolutions of TensorFlow; `fused`: the same function, formulated for CPUs; None: `fused` on `cpu` and with `jit`", True),
        Key("jit", ALL, bool, False, "compile the device's work by XLA; for one replica only", True),
    ),
    "run folder and records": (
        Key("exp_name", ALL, FILE_NAME, REQUIRED, "name of the run folder, `<exp_dir>/<exp_name>_<time>/`"),
        Key("exp_dir", ALL, FOLDER, REQUIRED, "folder of all run folders"),
        Key("gs_path", ALL, BUCKET | None, None, "bucket: data are read from `gs://<gs_path>/`, and runs are written there"),
        Key("seed", ALL, whole(ge=0, le=2**31 - 1), 0, "seed of all random draws"),
        Key("info_freq", LEARN_EBM, whole(ge=1), 500, "updates between console lines, and between TensorBoard points", True),
        Key("log_freq", LEARN_EBM, whole(ge=1), 5000, "updates between pictures, plots and weights", True),
        Key("state_freq", LEARN_EBM, whole(ge=1), 500, "updates between training states", True),
        Key("info_freq", CLF, whole(ge=1), 1, "epochs between console lines, and between TensorBoard points", True),
        Key("test_and_log_freq", CLF, whole(ge=1), 5, "epochs between tests, curves and weights", True),
        Key("state_freq", CLF, whole(ge=1), 1, "epochs between training states", True),
        Key("state_freq", FID, whole(ge=1), 1, "segments between states", True),
        Key("log_freq", ATTACK, whole(ge=1), 1, "rounds between console lines", True),
        Key("save_networks", LEARN, bool, True, "save weights whenever pictures or curves are plotted", True),
        Key("keep_states", (*LEARN, *FID), whole(ge=1), 2, "newest states that are kept", True),
        Key("record_image_states", ATTACK, bool, False, "keep original and adversarial images in `results.npz`"),
    ),
}  # fmt: skip
KEYS = tuple(key for group in GROUPS.values() for key in group)

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
