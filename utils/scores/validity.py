"""Validity of a learned potential as a density, measured on its long chains.

Chains in the steady state of a density do not drift: their mean energy and the quality of their
images stay constant. The Metropolis-Hastings acceptance measures how exact the Langevin step is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from utils.data.streams import ORDER_SEED, Dataset, evaluation_batches
from utils.mcmc.langevin import Dynamics, langevin, share_saturated
from utils.mcmc.potential import Potential
from utils.run.plots import save_figure
from utils.seeds import Purpose, host_rng

SETTLED = 0.5  # the last share of a chain, over which drift is measured


class Trace(NamedTuple):
    """The records of n chains: steps (records,), and arrays (n, records).

    energies: the potential U, with all its terms; grad_norms: |(eps^2/2) grad U| after clipping;
    saturated: share of values far outside [-1, 1]; acceptance: probability of a Metropolis-Hastings
    step. Values that are undefined before the first step are NaN.
    """

    steps: np.ndarray
    energies: np.ndarray
    grad_norms: np.ndarray
    saturated: np.ndarray
    acceptance: np.ndarray


COLUMNS = Trace._fields[1:]  # of a record of an image


def acceptance(
    images: tf.Tensor, potential: Potential, epsilon: float, noise: tf.Tensor
) -> tf.Tensor:
    """Return the probabilities (b,) that Metropolis-Hastings accepts a step from `images`.

    The Langevin step with `noise` (b, h, w, c) is the proposal q of the Metropolis-adjusted
    Langevin algorithm (Roberts and Tweedie 1996): min(1, exp(U(x) - U(y)) q(x|y) / q(y|x)). Its
    drift is not clipped. If `epsilon` is 0 nothing moves, and every step is accepted.
    """

    dynamics = Dynamics(potential, epsilon)

    def step(x: tf.Tensor, noise: tf.Tensor | None) -> tf.Tensor:
        draw = None if noise is None else lambda _: noise
        return langevin(x, dynamics, num_steps=1, noise=draw).images

    def log_proposal(change: tf.Tensor) -> tf.Tensor:
        return -tf.reduce_sum(tf.square(change), axis=(1, 2, 3)) / (2 * max(epsilon, 1e-15) ** 2)

    proposed = step(images, noise)
    backward = log_proposal(images - step(proposed, None))
    forward = -tf.reduce_sum(tf.square(noise), axis=(1, 2, 3)) / 2
    log_ratio = potential(images) - potential(proposed) + backward - forward
    return tf.exp(tf.minimum(log_ratio, 0.0))


def make_record(potential: Potential, epsilon: float) -> Callable[..., tf.Tensor]:
    """Return (images, grad_norms (b,), noise) -> the record of these images, `COLUMNS` (b, 4)."""

    def record(images: tf.Tensor, grad_norms: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        columns = [potential(images), grad_norms, share_saturated(images)]
        return tf.stack([*columns, acceptance(images, potential, epsilon, noise)], axis=1)

    return record


def data_energies(
    potential: Potential, dataset: Dataset, count: int, *, noise: float, seed: int, batch: int
) -> np.ndarray:
    """Return the energies U (n,) of `count` images of a data set, or of all if it has fewer.

    They are the first images of the order of reference statistics, plus Gaussian noise of standard
    deviation `noise`, like the training data of the EBM.
    """
    energies = tf.function(potential)
    found = []
    for images, _, indices in evaluation_batches(dataset, batch, seed=ORDER_SEED):
        drawn = [
            host_rng(seed, Purpose.DATA_NOISE, index).standard_normal(images.shape[1:], np.float32)
            for index in indices
        ]
        found.append(energies(images + np.float32(noise) * np.stack(drawn)).numpy())
        if sum(map(len, found)) >= count:
            break
    return np.concatenate(found)[:count]


def drift(steps: np.ndarray | Sequence[int], energies: np.ndarray) -> dict[str, float] | None:
    """Return the slope per 1,000 steps of the energies (n, records) of n independent chains.

    It is the mean over chains of the least-squares slope over the last half of the steps, with its
    standard error. None for fewer than 3 records or 2 chains.
    """
    times = np.asarray(steps, np.float64)
    late = times >= SETTLED * times[-1]
    if late.sum() < 3 or len(energies) < 2:
        return None
    centered = times[late] - times[late].mean()
    slopes = energies[:, late].astype(np.float64) @ centered / np.sum(centered**2) * 1000
    return {
        "per_1000_steps": float(slopes.mean()),
        "standard_error": float(slopes.std(ddof=1) / np.sqrt(len(slopes))),
    }


def describe(
    trace: Trace, of_data: np.ndarray, scored: Sequence[int], noise: float
) -> dict[str, Any]:
    """Return the validity for `report.json`: means at each scored step, and the drift."""
    columns = [int(np.flatnonzero(trace.steps == step)[0]) for step in scored]
    return {
        "data_noise": noise,
        "energy_of_data": _mean(of_data),
        "energy_drift": drift(trace.steps, trace.energies),
        "at": {
            int(trace.steps[own]): {
                "energy": _mean(trace.energies[:, own]),
                "saturated": float(trace.saturated[:, own].mean()),
                "acceptance": float(trace.acceptance[:, own].mean()),
            }
            for own in columns
        },
    }


def message(validity: Mapping[str, Any]) -> str:
    """Return the message of a validity."""
    last = list(validity["at"].values())[-1]
    text = f"energy {last['energy']['mean']:.5g} (data {validity['energy_of_data']['mean']:.5g})"
    if (slope := validity["energy_drift"]) is not None:
        text += f", drift {slope['per_1000_steps']:+.3g} +- {slope['standard_error']:.2g}"
        text += " per 1,000 steps"
    return f"{text}, acceptance {last['acceptance']:.3f}, saturated {last['saturated']:.4f}"


def save_trace(trace: Trace, of_data: np.ndarray | None, path: str) -> None:
    """Plot the records of n chains over their steps, and the energies of data (m,) as a band."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    titles = {
        "energies": "potential energy: median, middle 80%",
        "grad_norms": "Langevin gradient magnitude",
        "saturated": "share of saturated values",
        "acceptance": "Metropolis-Hastings acceptance",
    }
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, titles.items(), strict=True):
        low, middle, high = np.quantile(getattr(trace, name), (0.1, 0.5, 0.9), axis=0)
        axes.plot(trace.steps, middle)
        axes.fill_between(trace.steps, low, high, alpha=0.3)
        if name == "energies" and of_data is not None:
            axes.axhspan(*np.quantile(of_data, (0.1, 0.9)), color="grey", alpha=0.3, label="data")
            axes.legend()
        axes.set(title=title, xlabel="Langevin step")
    save_figure(figure, path)


def _mean(values: np.ndarray) -> dict[str, float]:
    deviation = values.std(ddof=1) if len(values) > 1 else float("nan")
    return {
        "mean": float(values.mean()),
        "standard_deviation": float(deviation),
        "standard_error": float(deviation / np.sqrt(len(values))),
    }
