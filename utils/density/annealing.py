"""Annealed importance sampling: how much exp(-U) integrates to, log Z.

Chains go from one density to another along the geometric path U_b = (1 - b) U_0 + b U, and take a
Metropolis-adjusted Langevin step at each b (Neal 2001). The mean of their weights estimates the
ratio of the two integrals without bias. So from a base that is drawn exactly, the log of that mean
is a lower bound of log Z in expectation; backwards, from exact samples of exp(-U), it gives an
upper one (Grosse, Ghahramani and Adams 2015).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.special import logsumexp

from utils.mcmc.langevin import Dynamics, langevin
from utils.mcmc.potential import Potential
from utils.seeds import draw_each, folded, folding_draw

LEVELS = 127.5  # of 8-bit pixels in a unit of [-1, 1]

StepDraw = Callable[[tf.Tensor], tf.Tensor]  # the number of a step -> what is drawn for it


class Place(NamedTuple):
    """Where chains are: images (b, h, w, c), and U_0 and U there, (b,) float64, with gradients."""

    images: tf.Tensor
    base: tf.Tensor
    base_slope: tf.Tensor
    target: tf.Tensor
    target_slope: tf.Tensor

    def energy(self, beta: tf.Tensor) -> tf.Tensor:
        """Return U_b, (b,) float64."""
        return (1 - beta) * self.base + beta * self.target

    def slope(self, beta: tf.Tensor) -> tf.Tensor:
        """Return grad U_b, like the images."""
        beta = tf.cast(beta, self.images.dtype)
        return (1 - beta) * self.base_slope + beta * self.target_slope


Locate = Callable[[tf.Tensor], Place]


class Annealed(NamedTuple):
    """Chains after some steps: where they are, their log weights' growth and acceptance, (b,)."""

    place: Place
    log_weights: tf.Tensor
    acceptance: tf.Tensor


def make_locate(base: Potential, target: Potential) -> Locate:
    """Return images -> both potentials and their gradients there."""

    def locate(images: tf.Tensor) -> Place:
        return Place(images, *_value_and_slope(base, images), *_value_and_slope(target, images))

    return locate


def _value_and_slope(potential: Potential, images: tf.Tensor) -> tuple[tf.Tensor, Any]:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        energies = potential(images)
    return tf.cast(energies, tf.float64), tape.gradient(energies, images)


def metropolis_step(
    here: Place,
    locate: Locate,
    *,
    beta: tf.Tensor,
    epsilon: tf.Tensor,
    noise: tf.Tensor,
    uniform: tf.Tensor,
) -> tuple[Place, tf.Tensor]:
    """Return where a Metropolis-adjusted Langevin step in U_b leads, and which chains moved, (b,).

    The proposal is a Langevin step in the tangent of U_b, whose gradient is known from the step
    before: so a step costs one gradient. `uniform` (b,) float64 in [0, 1) decides. Proposals of no
    finite energy are refused (Roberts and Tweedie 1996).
    """
    images, slope = here.images, here.slope(beta)
    size = tf.cast(epsilon, images.dtype)
    tangent = Dynamics(lambda x: tf.reduce_sum(slope * x, axis=(1, 2, 3)), size)
    there = locate(langevin(images, tangent, num_steps=1, noise=lambda _: noise).images)
    change, drift = there.images - images, size**2 / 2
    forth = _square(change + drift * slope)
    back = _square(drift * there.slope(beta) - change)
    log_ratio = here.energy(beta) - there.energy(beta) + (forth - back) / (2 * epsilon**2)
    moved = tf.math.log(uniform) < log_ratio
    chosen = [
        tf.where(tf.reshape(moved, [-1] + [1] * (len(new.shape) - 1)), new, old)
        for new, old in zip(there, here, strict=True)
    ]
    return Place(*chosen), moved


def anneal(
    images: tf.Tensor,
    locate: Locate,
    path: tuple[tf.Tensor, tf.Tensor],
    *,
    num_steps: int | tf.Tensor,
    draws: tuple[StepDraw, StepDraw],
    first_step: int | tf.Tensor = 0,
) -> Annealed:
    """Take chains along a `path`: b of step k from its place k to k + 1, step sizes (n,) float64.

    `draws` give noise like the images and uniform numbers (b,) float64 of a step, counted from
    `first_step`, so that a path cut into segments is the same path. The log weights grow by
    (b' - b)(U_0 - U) before each step.
    """
    betas, epsilons = path
    first_step, num_steps = tf.cast(first_step, tf.int32), tf.cast(num_steps, tf.int32)
    here = locate(images)
    noise, uniform = draws

    def step(k, here, log_weights, moves):
        log_weights += (betas[k + 1] - betas[k]) * (here.base - here.target)
        here, moved = metropolis_step(
            here, locate, beta=betas[k + 1], epsilon=epsilons[k],
            noise=noise(first_step + k), uniform=uniform(first_step + k),
        )  # fmt: skip
        return k + 1, here, log_weights, moves + tf.cast(moved, tf.float64)

    none = tf.zeros_like(here.base)
    _, here, log_weights, moves = tf.while_loop(
        lambda k, *_: k < num_steps, step, (tf.constant(0), here, none, none), parallel_iterations=1
    )
    return Annealed(here, log_weights, moves / tf.cast(tf.maximum(num_steps, 1), tf.float64))


def make_uniforms(keys: tf.Tensor) -> StepDraw:
    """Return step -> uniform numbers (b,) float64, of chains' (b, 2) seeds."""
    streams = draw_each(folding_draw, keys, [], tf.int64)

    draw = functools.partial(tf.random.stateless_uniform, [], dtype=tf.float64, alg="philox")
    return lambda step: draw_each(
        lambda stream: draw(seed=folded(stream, step)), streams, [], tf.float64
    )


def summarise(log_weights: np.ndarray) -> dict[str, float]:
    """Return what (n,) log weights of independent chains say of the log of their mean.

    `log_mean_weight` is that estimate; `mean_log_weight` lies further below it in expectation and
    has a standard error that can be trusted; `effective_size` of n is the weights' own, low where
    few chains carry the estimate.
    """
    count = len(log_weights)
    with np.errstate(invalid="ignore"):  # of chains that weigh nothing, whose log weight is -inf
        deviation = float(log_weights.std(ddof=1))
    # To the stubs it may be a pair.
    total, square = (float(logsumexp(k * log_weights)) for k in (1, 2))  # pyright: ignore[reportArgumentType]
    return {
        "log_mean_weight": float(total - np.log(count)),
        "mean_log_weight": float(log_weights.mean()),
        "standard_error": deviation / float(np.sqrt(count)),
        "effective_size": float(np.exp(2 * total - square)),
    }


def bits_per_dim(nats: float, dims: int) -> float:
    """Return -log p of a density in [-1, 1], in bits per value of 8-bit pixels."""
    return float(nats / (dims * np.log(2)) + np.log2(LEVELS))


def steps_for(gap: float, steps: np.ndarray, gaps: np.ndarray) -> float | None:
    """Return how many steps a `gap` asks for, by the power law through the last two measured.

    None where there are no two, or they do not fall.
    """
    if len(steps) < 2 or not gaps[-2] > gaps[-1] > 0:
        return None
    slope = np.log(gaps[-1] / gaps[-2]) / np.log(steps[-1] / steps[-2])
    return float(steps[-1] * (gap / gaps[-1]) ** (1 / slope))


def _square(images: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(tf.cast(images, tf.float64)), axis=(1, 2, 3))
