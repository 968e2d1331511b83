"""The one table of config keys: defaults, checks, command line and the README's table come from it."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

REQUIRED = "required"

TRAIN = ("train",)
ALL = TRAIN  # every script; grows with them

EBM_SIZES = {"ebm_sngan": (32, 64, 128), "ebm_biggan": (64, 128, 224, 256)}
GENERATOR_SIZES = {
    "gen_sngan": (32, 64, 128),
    "gen_biggan": (64, 128),
    "gen_biggan_cond": (64, 128, 224, 256),
}
BANK_INITS = ("persistent", "data_persistent", "coop_persistent")
MCMC_INITS = (*BANK_INITS, "coop", "data", "noise")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What values a key takes: how a reader is told, and how a value is read.

    `read` returns the value as the program uses it and raises ValueError for one that it refuses.
    """

    label: str
    read: Callable[[Any], Any]


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


def _real(value: Any) -> float:
    _require(isinstance(value, int | float) and not isinstance(value, bool))
    _require(math.isfinite(value))
    return float(value)


def _whole(value: Any) -> int:
    number = _real(value)
    _require(number == int(number))
    return int(number)


def integer(minimum: int, maximum: int | None = None) -> Kind:
    """Return the kind of whole numbers from `minimum` (to `maximum`); 1000.0 counts as 1000."""

    def read(value: Any) -> int:
        number = _whole(value)
        _require(number >= minimum and (maximum is None or number <= maximum))
        return number

    return Kind(f"int >= {minimum}" + (f", <= {maximum}" if maximum is not None else ""), read)


def real(minimum: float, *, above: bool = False, maximum: float = math.inf) -> Kind:
    """Return the kind of numbers from `minimum` (or `above` it) to `maximum`."""

    def read(value: Any) -> float:
        number = _real(value)
        _require((number > minimum if above else number >= minimum) and number <= maximum)
        return number

    upper = f", <= {maximum:g}" if maximum < math.inf else ""
    return Kind(f"number {'>' if above else '>='} {minimum:g}{upper}", read)


def choice(*names: str) -> Kind:
    """Return the kind of one of these words."""

    def read(value: Any) -> str:
        _require(isinstance(value, str) and value in names)
        return value

    return Kind(" | ".join(f"`{name}`" for name in names), read)


def list_of(kind: Kind, label: str, length: int | None = None) -> Kind:
    """Return the kind of lists (or tuples) of one kind, of a given length if any."""

    def read(value: Any) -> list:
        _require(isinstance(value, list | tuple) and len(value) > 0)
        _require(length is None or len(value) == length)
        return [kind.read(item) for item in value]

    return Kind(label, read)


def schedule(label: str, *columns: Kind) -> Kind:
    """Return the kind of schedules: rows of `columns` and the update, from 0, that each holds from."""

    def read(value: Any) -> list[list]:
        _require(isinstance(value, list | tuple) and len(value) > 0)
        rows = []
        for row in value:
            _require(isinstance(row, list | tuple) and len(row) == len(columns) + 1)
            entries = [column.read(entry) for column, entry in zip(columns, row, strict=False)]
            rows.append([*entries, integer(0).read(row[-1])])
        starts = [row[-1] for row in rows]
        _require(starts[0] == 0 and all(a < b for a, b in itertools.pairwise(starts)))
        return rows

    return Kind(f"{label}; first row from 0, rows sorted", read)


def optional(kind: Kind) -> Kind:
    """Return the kind that also takes None."""
    return Kind(f"{kind.label} or None", lambda value: None if value is None else kind.read(value))


def _read_type(expected: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        _require(isinstance(value, expected))
        return value

    return read


def _read_name(value: Any) -> str:
    _require(isinstance(value, str) and value.strip() != "")
    return value


def _refuse(value: Any) -> None:
    _require(value is None)


BOOL = Kind("bool", _read_type(bool))
STRING = Kind("string", _read_name)
PATH = Kind("path or None", lambda value: None if value is None else _read_type(str)(value))
REPLACED = Kind("None: replaced by `--resume RUN_DIR`", _refuse)
LR_ROWS = schedule("rows [learning rate, from update]", real(0))
MCMC_ROWS = schedule(
    "rows [K, burn-in steps, p, from update]", integer(1), integer(0), real(0, maximum=1)
)


@dataclasses.dataclass(frozen=True)
class Key:
    """One config key: its name, scripts, kind, default (or REQUIRED) and meaning.

    `resumable` keys may be changed with `--set` when a run is resumed: length, logging, saving, devices.
    """

    name: str
    scripts: tuple[str, ...]
    kind: Kind
    default: Any
    help: str
    resumable: bool = False


KEYS = (
    # The run
    Key("exp_name", ALL, STRING, REQUIRED, "run folder: `<exp_dir>/<exp_name>_<time>/`"),
    Key("exp_dir", ALL, STRING, REQUIRED, "folder of run folders"),
    Key("root_path", ALL, PATH, None, "accepted and not needed"),
    Key("gs_path", ALL, PATH, None, "bucket: data are read from, and runs written under, `gs://<gs_path>/`"),
    Key("seed", ALL, integer(0, 2**31 - 1), 0, "seed of every random draw of the run"),
    Key("num_training_steps", TRAIN, integer(1), REQUIRED, "updates of the EBM", True),
    # Devices
    Key("device_type", ALL, choice("cpu", "gpu", "tpu"), REQUIRED, "where to run", True),
    Key("num_replicas", ALL, integer(1, 64), 1, "`cpu` only: replicas on as many logical devices", True),
    Key("precision", ALL, choice("float32", "bfloat16"), "float32",
        "arithmetic of the networks; weights, energies, chain states and noise stay float32"),
    # Data
    Key("data_type", ALL, STRING, REQUIRED, "`emoji32`, a TFDS name, or `generator`: learn on G(z)"),
    Key("data_dir", ALL, PATH, None, "folder of the data set; None: `<data_type>_tfds` beside where you start"),
    Key("data_download", ALL, BOOL, False, "may TFDS download the data set"),
    Key("data_labels", ALL, optional(list_of(STRING, "list of class names")), None, "keep these classes only"),
    Key("label_attribute", ALL, optional(STRING), None, "take labels from this attribute, as `Smiling` of `celeb_a`"),
    Key("data_flip", ALL, BOOL, False, "training split: mirror pictures left to right, half of them"),
    Key("data_corrupt", ALL, choice("skip", "stop"), "skip", "a damaged picture is named and left out, or ends the run"),
    Key("data_memory", ALL, integer(0), 1024, "MB of decoded pictures kept in memory; larger sets are decoded as they are read"),
    Key("split", TRAIN, STRING, "train", "TFDS split"),
    Key("random_crop", ALL, BOOL, False,
        "training split: short side resized, random crop; `cifar10`, `emoji32`: pad 4, crop, flip"),
    Key("image_dims", ALL, list_of(integer(1), "[height, width, 3]", length=3), REQUIRED, "image size"),
    Key("batch_size", ALL, integer(1), REQUIRED, "images an update, over all replicas"),
    Key("data_epsilon", TRAIN, real(0), REQUIRED, "standard deviation of the noise on data the EBM learns on"),
    # The EBM
    Key("net_type", TRAIN, choice(*EBM_SIZES), REQUIRED, "EBM network"),
    Key("ebm_width", TRAIN, optional(integer(1)), None, "None: that of `ebm_weights`, else the published width"),
    Key("ebm_weights", TRAIN, PATH, None, "weights to start from; None: random start"),
    Key("ebm_optim_type", TRAIN, choice("adam", "sgd"), REQUIRED, "adam (0.9, 0.999, 1e-7) or sgd"),
    Key("ebm_lr_type", TRAIN, choice("step"), "step", "how rows of `ebm_lr_info` follow each other"),
    Key("ebm_lr_info", TRAIN, LR_ROWS, REQUIRED, "learning rates of the EBM"),
    Key("ebm_opt_decay", TRAIN, real(0, maximum=1), 0.0, "decay of the moving average of the EBM; 0: none kept"),
    Key("ebm_optim_weights", TRAIN, REPLACED, None, "replaced by `--resume`"),
    Key("clip_ebm_grad", TRAIN, BOOL, False, "clip each variable's gradient of the EBM to `max_grad_norm`"),
    Key("clip_gen_grad", TRAIN, BOOL, False, "the same for the generator"),
    Key("max_grad_norm", TRAIN, real(0, above=True), 1.0, "L2 norm for the two keys above"),
    # The chains
    Key("mcmc_init", TRAIN, choice(*MCMC_INITS), REQUIRED, "where chains start"),
    Key("mcmc_step_info", TRAIN, MCMC_ROWS, REQUIRED, "steps, burn-in, rejuvenation probability"),
    Key("epsilon", TRAIN, real(0), REQUIRED, "Langevin step size"),
    Key("mcmc_temp", TRAIN, real(0, above=True), REQUIRED, "temperature of the EBM"),
    Key("tau", TRAIN, optional(real(0, above=True)), None, "adds |x|^2 / (2 tau^2) to the potential"),
    Key("prior_weights", TRAIN, PATH, None, "frozen prior EBM added to the potential; None: no prior"),
    Key("prior_temp", TRAIN, optional(real(0, above=True)), None, "temperature of the prior"),
    Key("clip_langevin_grad", TRAIN, BOOL, False, "clip each image's drift to `max_langevin_norm`"),
    Key("max_langevin_norm", TRAIN, real(0, above=True), 1.0, "L2 norm of an image's drift"),
    Key("persistent_size", TRAIN, optional(integer(1)), None, "images in the bank, over all replicas"),
    Key("persistent_init_scale", TRAIN, real(0), 1.0, "scale of the uniform first bank"),
    Key("max_mcmc_updates", TRAIN, integer(0), 0, "states older than this many updates are rejuvenated; 0: no limit"),
    Key("im_persistent_path", TRAIN, REPLACED, None, "replaced by `--resume`"),
    Key("z_persistent_path", TRAIN, REPLACED, None, "replaced by `--resume`"),
    # The generator
    Key("gen_type", TRAIN, optional(choice(*GENERATOR_SIZES)), None, "generator network"),
    Key("gen_width", TRAIN, optional(integer(1)), None, "None: that of `gen_weights`, else the published width"),
    Key("z_sz", TRAIN, integer(1), 128, "size of a latent"),
    Key("gen_weights", TRAIN, PATH, None, "weights to start from; None: random start"),
    Key("update_generator", TRAIN, BOOL, False, "train the generator on the samples"),
    Key("gen_batch_norm", TRAIN, BOOL, False, "batch statistics in chain starts and in the generator's loss"),
    Key("gen_optim_type", TRAIN, choice("adam", "sgd"), "adam", "as `ebm_optim_type`"),
    Key("gen_lr_info", TRAIN, optional(LR_ROWS), None, "learning rates of the generator"),
    Key("gen_opt_decay", TRAIN, real(0, maximum=1), 0.0, "as `ebm_opt_decay`"),
    Key("gen_optim_weights", TRAIN, REPLACED, None, "replaced by `--resume`"),
    # Records
    Key("info_freq", TRAIN, integer(1), 500, "updates between console lines and TensorBoard points", True),
    Key("log_freq", TRAIN, integer(1), 5000, "updates between pictures, plots and weights", True),
    Key("save_networks", TRAIN, BOOL, True, "save weights every `log_freq` updates", True),
    Key("state_freq", ALL, integer(1), 500, "updates between full training states", True),
    Key("keep_states", ALL, integer(1), 2, "training states kept", True),
    # The divergence guard
    Key("on_divergence", TRAIN, choice("rollback", "stop", "ignore"), "rollback",
        "return to the last good state with new noise, save and exit 3, or go on", True),
    Key("max_rollbacks", TRAIN, integer(0), 5, "rollbacks before the run stops", True),
    Key("max_abs_energy_diff", TRAIN, optional(real(0, above=True)), None,
        "energy difference that counts as divergence; NaN and Inf always do", True),
    Key("max_langevin_grad", TRAIN, optional(real(0, above=True)), None, "the same for the Langevin gradient", True),
    Key("max_saturated", TRAIN, optional(real(0, above=True, maximum=1)), None,
        "the same for the share of saturated pixels", True),
)  # fmt: skip


def keys_of(script: str) -> dict[str, Key]:
    """Return the keys that a script understands, by name."""
    return {key.name: key for key in KEYS if script in key.scripts}


def markdown_table() -> str:
    """Return the README's table of keys."""
    lines = ["| key | scripts | values | default | meaning |", "|---|---|---|---|---|"]
    for key in KEYS:
        default = "required" if key.default is REQUIRED else f"`{key.default!r}`"
        values = key.kind.label.replace("|", "\\|")
        meaning = key.help.replace("|", "\\|")
        lines.append(
            f"| `{key.name}`{'*' if key.resumable else ''} | {', '.join(key.scripts)} | {values} | {default} | {meaning} |"
        )
    return "\n".join(lines)
