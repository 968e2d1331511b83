"""Weights from files: ours, and those published for this project or for PyTorch generators.

    python3 -m utils.import_weights SOURCE TARGET.weights.h5 --net gen_sngan_32

writes SOURCE once and for all as a weights file of ours. SOURCE is the prefix of a published
TensorFlow checkpoint (`ebm_140000.ckpt`) or a PyTorch file (`utils.import_torch`). The scripts
take such a prefix wherever a config names weights; PyTorch files have to be converted.
"""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from nets import EBMS, GENERATORS, create_clf, create_ebm, create_gen
from utils.checkpoint import save_weights
from utils.command_line import Parser, whole_number
from utils.errors import UserError, first_line, one_line_errors
from utils.foreign_weights import TORCH_ENDINGS, VALUE, refuse_foreign
from utils.import_torch import read_torch

SPECTRAL_VECTOR = "/sn_u"  # beside the kernel `w` and `layer/bias` of a layer that had one
NOT_WEIGHTS = ("save_counter", SPECTRAL_VECTOR)


def load_weights(model: keras.Model, path: str) -> None:
    """Load a `.weights.h5`, or the prefix of a published TensorFlow checkpoint, into a model.

    Every variable of the model must be in the file with its shape, and nothing else; what is not
    so is listed by name in a UserError, and the model is then not to be used.
    """
    refuse_foreign(path)
    if path.endswith(".h5"):
        _load_h5(model, path)
    else:
        assign(model, read_checkpoint(path), path)


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Give every variable of a model its array, by published name; raises UserError, as above."""
    variables = {published_name(variable): variable for variable in model.weights}
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    _check(expected, {name: array.shape for name, array in arrays.items()}, source, model)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def published_name(variable: keras.Variable) -> str:
    """Return a variable's name in the published checkpoints: `layers_out/3/conv_0/kernel`."""
    return variable.path.split("/", 1)[1].replace(".", "/")


def read_checkpoint(prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays of a published TensorFlow checkpoint, by `published_name`.

    Published EBMs were saved inside a wrapper (`layer_with_weights-0/`). Layers with a spectral
    norm kept their kernel as `w` and their bias as `layer/bias`; their vector is dropped.
    """
    prefix = prefix.removesuffix(".index")
    if not tf.io.gfile.exists(prefix + ".index"):
        raise UserError(
            f"weights {prefix} not found: neither a .weights.h5 file nor the prefix of a "
            f"TensorFlow checkpoint ({prefix}.index)"
        )
    try:
        reader = tf.train.load_checkpoint(prefix)
        stored = [n.removesuffix(VALUE) for n in reader.get_variable_to_shape_map() if VALUE in n]
        spectral = {n.removesuffix(SPECTRAL_VECTOR) for n in stored if n.endswith(SPECTRAL_VECTOR)}
        return {
            _our_name(name, spectral): reader.get_tensor(name + VALUE)
            for name in stored
            if not name.endswith(NOT_WEIGHTS)
        }
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"weights {prefix} are damaged: {first_line(error)}") from error


def _our_name(name: str, spectral: set[str]) -> str:
    layer, _, leaf = name.rpartition("/")
    if layer in spectral and leaf == "w":
        name = f"{layer}/kernel"
    elif layer.removesuffix("/layer") in spectral:
        name = f"{layer.removesuffix('/layer')}/{leaf}"
    return name.removeprefix("layer_with_weights-0/")


def _load_h5(model: keras.Model, path: str) -> None:
    with _local_copy(path) as file:
        found = _h5_shapes(file, path)
        # Keras overlooks what is left over in a file, so that its own check is half of it.
        if len(found) == len(model.weights):
            try:
                with contextlib.suppress(ValueError, KeyError):
                    model.load_weights(file)
                    return
            except (OSError, RuntimeError, TypeError) as error:
                raise UserError(f"weights {path} are damaged: {first_line(error)}") from error
    with tempfile.TemporaryDirectory() as folder:
        own = os.path.join(folder, "own.weights.h5")
        model.save_weights(own)
        _check(_h5_shapes(own, own), found, path, model)
    raise UserError(f"weights {path} do not fit {model.name}")


def _h5_shapes(file: str, path: str) -> dict[str, tuple[int, ...]]:
    shapes = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            if item.dtype.kind not in "fiu":
                raise UserError(f"weights {path} hold no numbers in {name} but {item.dtype}")
            shapes[name] = tuple(item.shape)

    try:
        with h5py.File(file, "r") as stored:
            stored.visititems(visit)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"weights {path} are damaged: {first_line(error)}") from error
    return shapes


@contextlib.contextmanager
def _local_copy(path: str) -> Iterator[str]:
    """Give the name of a local file with the content of `path`, which may be a `gs://` URL."""
    if not tf.io.gfile.exists(path):
        raise UserError(f"weights {path} not found")
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, os.path.basename(path)) if "://" in path else path
        if local != path:
            tf.io.gfile.copy(path, local)
        yield local


def _check(
    expected: Mapping[str, tuple], found: Mapping[str, tuple], source: str, model: keras.Model
) -> None:
    shared = sorted(expected.keys() & found.keys())
    shapes = [f"{n} {found[n]} for {expected[n]}" for n in shared if found[n] != expected[n]]
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "left over": sorted(found.keys() - expected.keys()),
        "of another shape": shapes,
    }
    told = [f"{what}: {', '.join(names)}" for what, names in problems.items() if names]
    if told:
        raise UserError(f"weights {source} do not fit {model.name}: {'; '.join(told)}")


def network_names() -> list[str]:
    """Return what `--net` may be: every type with every size, and `wrn`."""
    networks = {**EBMS, **GENERATORS}
    return [f"{kind}_{size}" for kind, (_, sizes) in networks.items() for size in sizes] + ["wrn"]


def create_named(name: str, sizes: Mapping[str, Any]) -> tuple[keras.Model, dict[str, Any]]:
    """Return the network that `--net` names, and what its weights file will say of it."""
    if name == "wrn":
        dims = [32, 32, sizes["channels"]]
        info = {"type": "wrn", "image_dims": dims, "classes": sizes["classes"]}
        own = {"clf_depth": sizes["depth"], "clf_width": sizes["width"]}
        model = create_clf({**info, **own, "num_classes": sizes["classes"]})
        return model, {**info, "depth": model.depth, "width": model.width}
    kind, size = name.rsplit("_", 1)
    info = {"type": kind, "image_dims": [int(size), int(size), sizes["channels"]]}
    if kind in EBMS:
        model = create_ebm({**info, "net_type": kind, "ebm_width": sizes["width"]})
        return model, {**info, "width": model.width}
    gen = {"gen_type": kind, "gen_width": sizes["width"], "z_sz": sizes["z_sz"]}
    model = create_gen({**info, **gen})
    return model, {**info, "width": model.width, "z_sz": model.z_sz}


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Convert one file."""
    parser = Parser(
        prog="python3 -m utils.import_weights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="prefix of a TensorFlow checkpoint, or a PyTorch file")
    parser.add_argument("target", help="the file to write, ending in .weights.h5")
    parser.add_argument("--net", required=True, choices=network_names())
    parser.add_argument(
        "--width", type=whole_number(1), help="of the network, if not the published one"
    )
    parser.add_argument("--depth", type=whole_number(10), help="of a wrn, if not the published one")
    parser.add_argument(
        "--z_sz", type=whole_number(1), default=128, help="latent size of a generator"
    )
    parser.add_argument("--classes", type=whole_number(2), default=10, help="of a wrn")
    parser.add_argument("--channels", type=int, default=3, choices=(1, 3), help="of images")
    arguments = parser.parse_args(argv)
    convert(arguments.source, arguments.target, arguments.net, vars(arguments))


def convert(source: str, target: str, net: str, sizes: Mapping[str, Any]) -> None:
    """Write the weights at `source` as `target`; raises UserError."""
    if not target.endswith(".weights.h5"):
        raise UserError(f"the target {target} must end in .weights.h5")
    try:
        model, info = create_named(net, sizes)
    except ValueError as error:
        raise UserError(str(error)) from error
    if source.endswith(TORCH_ENDINGS):
        assign(model, read_torch(source), source)
    else:
        load_weights(model, source)
    save_weights(model, target, info)
    print(f"{target}: {model.name}, {model.count_params():,} parameters")


if __name__ == "__main__":
    main()
