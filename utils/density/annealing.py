"""Annealed importance sampling: log Z, the log of the integral of exp(-U).

Chains move from one density to another along the geometric path U_b = (1 - b) U_0 + b U, with one
Metropolis-adjusted Langevin step at each b (Neal 2001). The mean of their weights is an unbiased
estimate of the ratio of the two integrals. With exact draws from the base, the log of that mean is
a lower bound of log Z in expectation. In reverse, from exact samples of exp(-U), it gives an upper
bound (Grosse, Ghahramani and Adams 2015).
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

LEVELS = 127.5  # 8-bit levels per unit of [-1, 1]

StepDraw = Callable[[tf.Tensor], tf.Tensor]  # the number of a step -> its random numbers


class State(NamedTuple):
    """The state of chains: images (b, h, w, c), U_0 and U (b,) float64, and their gradients."""

    images: tf.Tensor
    base: tf.Tensor
    base_slope: tf.Tensor
    target: tf.Tensor
    target_slope: tf.Tensor

    def energy(self, beta: tf.Tensor) -> tf.Tensor:
        """Return U_b (b,) float64."""
        return (1 - beta) * self.base + beta * self.target

    def slope(self, beta: tf.Tensor) -> tf.Tensor:
        """Return grad U_b, shaped like the images."""
        beta = tf.cast(beta, self.images.dtype)
        return (1 - beta) * self.base_slope + beta * self.target_slope


StateOf = Callable[[tf.Tensor], State]


class Annealed(NamedTuple):
    """Chains after some steps: state, growth of the log weights (b,), acceptance rates (b,)."""

    state: State
    log_weights: tf.Tensor
    acceptance: tf.Tensor


def make_state_of(base: Potential, target: Potential) -> StateOf:
    """Return images -> `State`: both potentials and their gradients."""

    def state_of(images: tf.Tensor) -> State:
        return State(images, *_value_and_slope(base, images), *_value_and_slope(target, images))

    return state_of


def _value_and_slope(potential: Potential, images: tf.Tensor) -> tuple[tf.Tensor, Any]:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        energies = potential(images)
    return tf.cast(energies, tf.float64), tape.gradient(energies, images)


def metropolis_step(
    here: State,
    state_of: StateOf,
    *,
    beta: tf.Tensor,
    epsilon: tf.Tensor,
    noise: tf.Tensor,
    uniform: tf.Tensor,
) -> tuple[State, tf.Tensor]:
    """Return the state after one Metropolis-adjusted Langevin step in U_b, and who moved (b,) bool.

    The proposal is a Langevin step in the tangent of U_b. Its gradient is known from the step
    before, so that a step costs one gradient. `uniform` (b,) float64 in [0, 1) decides acceptance.
    Proposals without finite energy are rejected (Roberts and Tweedie 1996).
    """
    images, slope = here.images, here.slope(beta)
    size = tf.cast(epsilon, images.dtype)
    tangent = Dynamics(lambda x: tf.reduce_sum(slope * x, axis=(1, 2, 3)), size)
    there = state_of(langevin(images, tangent, num_steps=1, noise=lambda _: noise).images)
    change, drift = there.images - images, size**2 / 2
    forth = _square(change + drift * slope)
    back = _square(drift * there.slope(beta) - change)
    log_ratio = here.energy(beta) - there.energy(beta) + (forth - back) / (2 * epsilon**2)
    moved = tf.math.log(uniform) < log_ratio
    chosen = [
        tf.where(tf.reshape(moved, [-1] + [1] * (len(new.shape) - 1)), new, old)
        for new, old in zip(there, here, strict=True)
    ]
    return State(*chosen), moved


def anneal(
    images: tf.Tensor,
    state_of: StateOf,
    path: tuple[tf.Tensor, tf.Tensor],
    *,
    num_steps: int | tf.Tensor,
    draws: tuple[StepDraw, StepDraw],
    first_step: int | tf.Tensor = 0,
) -> Annealed:
    """Run chains along a `path` and return their last state.

    A path is values of b (n + 1,) and step sizes (n,), float64; step k takes b from entry k to
    entry k + 1. `draws` return a step's noise, shaped like the images, and uniform numbers (b,)
    float64. Steps count from `first_step`, so that a path in segments gives the same chains. Before
    each step the log weights grow by (b' - b)(U_0 - U).
    """
    betas, epsilons = path
    first_step, num_steps = tf.cast(first_step, tf.int32), tf.cast(num_steps, tf.int32)
    here = state_of(images)
    noise, uniform = draws

    def step(k, here, log_weights, moves):
        log_weights += (betas[k + 1] - betas[k]) * (here.base - here.target)
        here, moved = metropolis_step(
            here, state_of, beta=betas[k + 1], epsilon=epsilons[k],
            noise=noise(first_step + k), uniform=uniform(first_step + k),
        )  # fmt: skip
        return k + 1, here, log_weights, moves + tf.cast(moved, tf.float64)

    none = tf.zeros_like(here.base)
    _, here, log_weights, moves = tf.while_loop(
        lambda k, *_: k < num_steps, step, (tf.constant(0), here, none, none), parallel_iterations=1
    )
    return Annealed(here, log_weights, moves / tf.cast(tf.maximum(num_steps, 1), tf.float64))


def make_uniforms(keys: tf.Tensor) -> StepDraw:
    """Return step -> uniform numbers (b,) float64, from the chains' seeds `keys` (b, 2)."""
    streams = draw_each(folding_draw, keys, [], tf.int64)

    draw = functools.partial(tf.random.stateless_uniform, [], dtype=tf.float64, alg="philox")
    return lambda step: draw_each(
        lambda stream: draw(seed=folded(stream, step)), streams, [], tf.float64
    )


def summarise(log_weights: np.ndarray) -> dict[str, float]:
    """Return the estimate of annealing from the log weights (n,) of independent chains.

    `log_mean_weight` is the estimate. `mean_log_weight` is a looser bound, below it in expectation,
    with a reliable `standard_error`. `effective_size` is that of importance weights: it is far
    below n if few chains carry the estimate.
    """
    count = len(log_weights)
    with np.errstate(invalid="ignore"):  # a chain of weight 0 has the log weight -inf
        deviation = float(log_weights.std(ddof=1))
    # By its type, `logsumexp` may return a pair.
    total, square = (float(logsumexp(k * log_weights)) for k in (1, 2))  # pyright: ignore[reportArgumentType]
    return {
        "log_mean_weight": float(total - np.log(count)),
        "mean_log_weight": float(log_weights.mean()),
        "standard_error": deviation / float(np.sqrt(count)),
        "effective_size": float(np.exp(2 * total - square)),
    }


def bits_per_dim(nats: float, dims: int) -> float:
    """Convert -log p of a density on [-1, 1]^dims from nats to bits per value of 8-bit pixels."""
    return float(nats / (dims * np.log(2)) + np.log2(LEVELS))


def steps_for(gap: float, steps: np.ndarray, gaps: np.ndarray) -> float | None:
    """Extrapolate the number of annealing steps for a `gap` by the power law of the last two gaps.

    Returns None if fewer than two were measured, if they do not fall, or if the last is that small.
    """
    if len(steps) < 2 or not gaps[-2] > gaps[-1] > gap:
        return None
    slope = np.log(gaps[-1] / gaps[-2]) / np.log(steps[-1] / steps[-2])
    return float(steps[-1] * (gap / gaps[-1]) ** (1 / slope))


def _square(images: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(tf.cast(images, tf.float64)), axis=(1, 2, 3))
