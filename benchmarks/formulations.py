"""One Langevin chain in several formulations, which `benchmarks.langevin` compares.

All compute the same function, an SNGAN energy at a temperature, with the same seeded weights and
from the same start images.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from benchmarks.networks import as_published
from nets import create_ebm, sngan
from utils.devices.pieces import choose_pieces
from utils.devices.strategy import CORES
from utils.mcmc.noise import make_noise
from utils.mcmc.sampling import Sampling
from utils.seeds import Purpose, fold

HAS_TORCH = importlib.util.find_spec("torch") is not None
SEED, EPSILON, TEMPERATURE = 0, 0.01, 1e-3


class Case(NamedTuple):
    """A network and a number of chains: side of the images, width, batch."""

    size: int
    width: int
    batch: int


class Formulation(NamedTuple):
    """`energies()` returns the (b,) energies of the start images, `run(n)` runs n steps."""

    energies: Callable[[], np.ndarray]
    run: Callable[[int], None]


def create_network(case: Case, precision: str, conv: str | None = None) -> keras.Model:
    """Return the EBM of a case, with biases other than 0, so that energies depend on them."""
    config = {"net_type": "ebm_sngan", "image_dims": [case.size, case.size, 3], "seed": SEED}
    ebm = create_ebm({**config, "ebm_width": case.width, "precision": precision, "conv": conv})
    for number, variable in enumerate(ebm.variables):
        if variable.path.endswith("bias"):
            variable.assign(0.1 * tf.random.stateless_normal(variable.shape, [SEED, number]))
    return ebm


def start_images(case: Case) -> tf.Tensor:
    """Return the (b, size, size, 3) float32 images in [-1, 1] that chains start from."""
    shape = [case.batch, case.size, case.size, 3]
    return tf.random.stateless_uniform(shape, [SEED, 1], -1, 1)


def plain(case: Case) -> Formulation:
    """Return the published loop in TensorFlow: nothing fused, means after the convolutions.

    Its noise is `tf.random.normal`, which has a hidden state, as in the published scripts: the time
    of these draws is part of the comparison.
    """
    ebm, images = create_network(case, "float32"), start_images(case)

    def step(k, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            energy = tf.reduce_sum(ebm(x)) / TEMPERATURE
        x = x - EPSILON**2 / 2 * tape.gradient(energy, x)
        return k + 1, x + EPSILON * tf.random.normal(tf.shape(x))

    def chain(num_steps: tf.Tensor) -> tf.Tensor:
        start = (tf.constant(0), images)
        return tf.while_loop(lambda k, x: k < num_steps, step, start)[1]

    with as_published():
        return traced(lambda: ebm(images)[:, 0], chain)


def ours(
    case: Case, precision: str = "float32", conv: str | None = None, jit: bool = False
) -> Formulation:
    """Return the chain of this project, as in training; images and sums stay in float32."""
    ebm, images = create_network(case, precision, conv), start_images(case)
    sampling = Sampling(epsilon=EPSILON, temperature=TEMPERATURE)
    on_cpu = not tf.config.list_logical_devices("GPU")
    pieces = choose_pieces(case.batch, CORES) if on_cpu and not jit else 1
    chains = sampling.chains(sampling.potential(ebm), pieces)

    def chain(num_steps: tf.Tensor) -> tf.Tensor:
        noise = make_noise(fold(SEED, Purpose.CHAIN), images)
        return chains(images, num_steps=num_steps, noise=noise).images

    return traced(lambda: ebm(images)[:, 0], chain, jit)


def traced(
    energies: Callable[[], tf.Tensor], chain: Callable[[tf.Tensor], tf.Tensor], jit: bool = False
) -> Formulation:
    """Return a formulation in TensorFlow whose functions were traced and run once."""
    graph = functools.partial(tf.function, jit_compile=jit or None)
    energies, chain = graph(energies), graph(chain)
    energies(), chain(tf.constant(1))
    return Formulation(lambda: energies().numpy(), lambda n: chain(tf.constant(n)).numpy())


def torch_eager(case: Case) -> Formulation:
    """Return the published order of operations in PyTorch, channels last."""
    return in_torch(case, compiled=False)


def torch_compiled(case: Case) -> Formulation:
    """Return the same with `torch.compile`."""
    return in_torch(case, compiled=True)


def in_torch(case: Case, *, compiled: bool) -> Formulation:
    """Return the chain in PyTorch, with gradients of the images only."""
    import torch

    ebm = create_network(case, "float32")
    weights = {
        variable.path.split("/", 1)[1]: torch_weight(variable.numpy()) for variable in ebm.variables
    }
    images = torch.from_numpy(start_images(case).numpy().transpose(0, 3, 1, 2))
    images = images.to(memory_format=torch.channels_last)
    torch.manual_seed(SEED)

    def energies(x):
        return torch_energies(weights, case.size, x)

    if compiled:
        torch.compiler.reset()  # every case compiles anew
        energies = torch.compile(energies, dynamic=False)

    def run(num_steps: int) -> None:
        x = images
        for _ in range(num_steps):
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(energies(x).sum() / TEMPERATURE, x)
            x = x.detach() - EPSILON**2 / 2 * gradient
            x = x + EPSILON * torch.randn_like(x)

    run(1)  # compiles forward and backward passes
    return Formulation(lambda: energies(images).numpy(), run)


def torch_weight(value: np.ndarray):
    """Return a kernel (h, w, i, o) as PyTorch's (o, i, h, w), channels last; others unchanged."""
    import torch

    if value.ndim < 4:
        return torch.from_numpy(value.copy())
    kernel = torch.from_numpy(value.transpose(3, 2, 0, 1).copy())
    return kernel.contiguous(memory_format=torch.channels_last)


def torch_energies(weights: dict, size: int, x):
    """Return the (b,) energies of (b, 3, size, size) images, as the published EBM-SNGAN does."""
    from torch.nn.functional import avg_pool2d, conv2d, relu

    def conv(name, x):
        return conv2d(x, weights[f"{name}/kernel"], weights[f"{name}/bias"], padding="same")

    _, rows = sngan.EBM_BLOCKS[size]
    for number, (_, down) in enumerate(rows, start=1):
        name = "conv_1" if number == 1 else f"block{number}"
        y = conv(f"{name}/conv_1", x if number == 1 else relu(x))
        y = conv(f"{name}/conv_2", relu(y))
        y = avg_pool2d(y, 2) if down else y
        if number == 1:
            x = conv(f"{name}/sc", avg_pool2d(x, 2))
        elif f"{name}/sc/kernel" in weights:
            x = conv(f"{name}/sc", x)
            x = avg_pool2d(x, 2) if down else x
        x = x + y
    return (relu(x).mean((2, 3)) @ weights[f"lin_{len(rows) + 1}/kernel"])[:, 0]


FORMULATIONS = {
    "plain": plain,
    "float32": ours,
    "bfloat16": functools.partial(ours, precision="bfloat16"),
    "torch": torch_eager,
    "torch-compile": torch_compiled,
}
ON_ACCELERATORS = {"plain": plain} | {
    f"{conv}-{precision}{'-jit' * jit}": functools.partial(
        ours, precision=precision, conv=conv, jit=jit
    )
    for precision in ("float32", "bfloat16")
    for jit in (False, True)
    for conv in ("plain", "fused")
}


def multiply_adds(case: Case, *, reduced: bool) -> int:
    """Return the multiply-adds of an image-step: a forward pass, and as many for its gradient.

    `reduced` counts mean pooling as part of the convolution before it (9 products per output
    instead of 36) and 1x1 shortcuts after pooling; otherwise as published.
    """
    _, rows = sngan.EBM_BLOCKS[case.size]
    side, inputs, total = case.size, 3, 0
    for number, (share, down) in enumerate(rows, start=1):
        outputs, smaller = int(share * case.width), side // 2 if down else side
        total += 9 * side**2 * inputs * outputs
        total += 9 * (smaller if reduced else side) ** 2 * outputs**2
        if down or inputs != outputs:
            total += (smaller if reduced or number == 1 else side) ** 2 * inputs * outputs
        side, inputs = smaller, outputs
    return 2 * (total + inputs)
