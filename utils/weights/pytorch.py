"""Weights of PyTorch generators, with the names and layouts of our networks.

It reads SNGAN generators of Mimicry (a `.pth` with `model_state_dict`; Lee and Town 2020) and
BigGAN-deep of pytorch-pretrained-biggan (`pytorch_model.bin`). It needs PyTorch
(requirements_convert.txt), but neither of these packages.
"""

import io
import pickle
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from utils.errors import UserError, first_line

MIMICRY_KINDS = {"l": "lin", "c": "conv", "b": "bn"}
NORM_LEAVES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
# Our batch norm adds 1e-3 to the variance, theirs 1e-5: the stored variance absorbs the difference.
VARIANCE_SHIFT = 1e-5 - 1e-3

BIGGAN_LEAVES = {
    "weight": "kernel",
    "weight_orig": "kernel",
    "running_means": "mean",
    "running_vars": "var",
}
LAST_NORM_LEAVES = {**BIGGAN_LEAVES, "weight": "w", "bias": "b"}


def read_torch(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of a PyTorch generator by published name, in our layout.

    Spectral norms are folded into the kernels. Raises UserError if the file is missing, damaged or
    of another generator, and if PyTorch is not installed.
    """
    state = _load(path)
    try:
        if "model_state_dict" in state:
            return from_mimicry(_arrays(state["model_state_dict"]))
        if "generator.gen_z.weight_orig" in state:
            return from_biggan(_arrays(state))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"weights {path} are of an unknown generator: {first_line(error)}"
        ) from error
    raise UserError(
        f"{path} is neither a Mimicry checkpoint (no 'model_state_dict') nor a "
        "pytorch-pretrained-biggan model (no 'generator.gen_z.weight_orig')"
    )


def from_mimicry(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Translate the state of a Mimicry SNGAN generator: `block2.c1.weight`, `b5.running_var`."""
    arrays = {}
    for name, array in state.items():
        layer, _, leaf = name.rpartition(".")
        layer = re.sub(r"\b([lcb])(\d+)$", lambda m: f"{MIMICRY_KINDS[m[1]]}_{m[2]}", layer)
        layer = layer.replace("c_sc", "sc").replace(".", "/")
        if leaf == "num_batches_tracked":
            continue
        if layer.rpartition("/")[2].startswith("bn"):
            array = array + VARIANCE_SHIFT if leaf == "running_var" else array
            arrays[f"{layer}/{NORM_LEAVES.get(leaf, leaf)}"] = array
        else:
            leaf = leaf.replace("weight", "kernel")
            arrays[f"{layer}/{leaf}"] = _kernel_layout(array)
    return arrays


def from_biggan(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Translate the state of a BigGAN-deep generator: `generator.layers.0.conv_0.weight_orig`.

    The kernel of a layer with spectral norm is its weight divided by sigma = u^T W v.
    """
    arrays = {}
    for name, array in state.items():
        layer, _, leaf = name.rpartition(".")
        if leaf in ("weight_u", "weight_v"):
            continue
        if leaf == "weight_orig":
            u, v = state[f"{layer}.weight_u"], state[f"{layer}.weight_v"]
            array = array / (u @ array.reshape(len(array), -1) @ v)
        layer = re.sub(r"^layers\b", "layers_out", layer.removeprefix("generator."))
        leaf = (LAST_NORM_LEAVES if layer == "bn" else BIGGAN_LEAVES).get(leaf, leaf)
        array = _kernel_layout(array) if leaf == "kernel" else array
        arrays[f"{layer.replace('.', '/')}/{leaf}"] = array
    return arrays


def _kernel_layout(array: np.ndarray) -> np.ndarray:
    """Transpose (o, i, h, w) to (h, w, i, o) and (o, i) to (i, o); a bias stays as it is."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _load(path: str) -> Mapping[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"reading {path} needs PyTorch: pip install -r requirements_convert.txt"
        ) from error
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            state = torch.load(io.BytesIO(file.read()), map_location="cpu", weights_only=True)
    except tf.errors.NotFoundError as error:
        raise UserError(f"weights {path} not found") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"weights {path} hold more than arrays, or are damaged: save a state, as in "
            "torch.save({'model_state_dict': network.state_dict()}, FILE)"
        ) from error
    except Exception as error:  # PyTorch raises many types of errors for other files
        raise UserError(f"weights {path} are damaged: {first_line(error)}") from error
    if not isinstance(state, Mapping):
        raise UserError(f"weights {path} hold a {type(state).__name__}, not the state of a network")
    return state


def _arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    # NumPy has no bfloat16; parameters, unlike a state, have gradients.
    floats = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    return {name: tensor.detach().numpy() for name, tensor in floats.items()}
