"""Loading weights into networks: the project's files, and its published checkpoints."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping

import h5py
import keras
import numpy as np
import tensorflow as tf

from utils.errors import UserError, first_line
from utils.weights.foreign import VALUE, checkpoint_prefix, refuse_foreign

SPECTRAL_VECTOR = "/sn_u"  # a layer with spectral norm has it beside `w` and `layer/bias`
NOT_WEIGHTS = ("save_counter", SPECTRAL_VECTOR)


def load_weights(model: keras.Model, path: str) -> None:
    """Load a `.weights.h5`, or a published TensorFlow checkpoint by its prefix, into a model.

    The file must hold every variable of the model, with its shape, and nothing else. Raises
    UserError, which lists the differences by name; do not use the model then.
    """
    refuse_foreign(path)
    if path.endswith(".h5"):
        _load_h5(model, path)
    else:
        assign(model, read_checkpoint(path), path)


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Assign arrays, by published name, to all variables of a model; raises UserError as above."""
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

    Published EBMs were saved inside a wrapper (`layer_with_weights-0/`). Layers with spectral norm
    stored their kernel as `w` and their bias as `layer/bias`; their vector `sn_u` is dropped.
    """
    prefix = checkpoint_prefix(prefix)
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
        # Keras ignores additional arrays in a file, so that its own check is not enough.
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
                raise UserError(f"weights {path} are damaged: {name} holds {item.dtype}")
            shapes[name] = tuple(item.shape)

    try:
        with h5py.File(file, "r") as stored:
            stored.visititems(visit)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"weights {path} are damaged: {first_line(error)}") from error
    return shapes


@contextlib.contextmanager
def _local_copy(path: str) -> Iterator[str]:
    """Yield the name of a local file with the content of `path`, which may be a `gs://` URL."""
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
