"""Weights in other formats: sizes from published checkpoints, and advice for the rest."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from nets import EBMS, GENERATORS
from utils.errors import UserError, first_line

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"  # TensorFlow's suffix of a variable's name
TORCH_ENDINGS = (".pth", ".pt", ".bin")
SHARD = re.compile(r"\.data-\d{5}-of-\d{5}$")
NAMED = 5  # files listed in an error message


def refuse_foreign(path: str) -> None:
    """Raise UserError for weights in a format that the scripts do not read.

    The message names the format and the way to convert it. Prefixes of checkpoints, `.h5` files and
    missing paths pass.
    """
    prefix, target = SHARD.sub("", path), f"{path.rpartition('.')[0]}.weights.h5"
    if tf.io.gfile.isdir(path):
        raise UserError(f"weights {path} are a folder: name a file in it" + _inside(path))
    if prefix != path:
        raise UserError(
            f"weights {path} are one file of a TensorFlow checkpoint: name its prefix {prefix}"
        )
    if path.endswith((".h5", ".index")) or not tf.io.gfile.exists(path):
        return
    if path.endswith(TORCH_ENDINGS):
        raise UserError(
            f"weights {path} are a PyTorch file: convert a generator of Mimicry or "
            f"pytorch-pretrained-biggan by `python3 -m utils.import_weights {path} {target} "
            "--net NET` (--help lists NET)"
        )
    if path.endswith(".keras"):
        raise UserError(
            f'weights {path} are a whole Keras model: save its weights by `python3 -c "import '
            f"keras; keras.saving.load_model('{path}').save_weights('{target}')\"`"
        )
    if not tf.io.gfile.exists(path + ".index"):
        raise UserError(
            f"weights {path} are neither a .weights.h5 file nor the prefix of a TensorFlow "
            f"checkpoint ({path}.index): name one of these"
        )


def _inside(folder: str) -> str:
    names = sorted(tf.io.gfile.listdir(folder))
    names = [n.removesuffix(".index") for n in names if n.endswith((".weights.h5", ".index"))]
    more = ", ..." if len(names) > NAMED else ""
    return f" (there are {', '.join(names[:NAMED])}{more})" if names else " (it holds none)"


def checkpoint_prefix(path: str) -> str:
    """Return the prefix of a TensorFlow checkpoint; raises UserError if there is none."""
    prefix = path.removesuffix(".index")
    if not tf.io.gfile.exists(prefix + ".index"):
        raise UserError(
            f"weights {prefix} not found: neither a .weights.h5 file nor the prefix of a "
            f"TensorFlow checkpoint ({prefix}.index)"
        )
    return prefix


def checkpoint_sizes(path: str) -> dict[str, int]:
    """Return the sizes of a network in its published checkpoint, by the names of `NetworkInfo`.

    These are `width`, for an SNGAN generator also `z_sz`, and for a classifier `depth` and
    `classes`. Raises UserError for a missing or damaged one.
    """
    prefix = checkpoint_prefix(path)
    try:
        stored = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"weights {prefix} are damaged: {first_line(error)}") from error
    shapes = {
        name.removesuffix(VALUE)
        .removeprefix("layer_with_weights-0/")
        .replace("/layer/", "/"): shape
        for name, shape in stored.items()
    }
    blocks = {name.split("/")[1] for name in shapes if name.startswith("layer3/")}
    for name, shape in shapes.items():
        match name.rpartition("/")[0], shape:
            case "rgb_conv" | "conv_to_rgb", [width]:  # the bias
                return {"width": width}
            case "lin_1", [z_sz, outputs]:
                return {"width": outputs // 16, "z_sz": z_sz}
            case "lin_5" | "lin_6" | "lin_7", [width, 1]:
                return {"width": width}
            case "linear", [inputs, classes]:
                return {"width": inputs // 64, "depth": 6 * len(blocks) + 4, "classes": classes}
    return {}


def serves(image_dims: Sequence[int], info: Mapping[str, Any], kind: str) -> bool:
    """Return whether a stored network fits images of a size; some networks fit several sizes."""
    found, rows = info.get("image_dims", image_dims), {**EBMS, **GENERATORS}.get(kind)
    return found[2] == image_dims[2] and (
        rows is None or rows[1].get(found[0]) == rows[1].get(image_dims[0])
    )
