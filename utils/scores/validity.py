"""Is a learned potential a valid density? What its long chains say, beside the scores of images.

Chains that have reached the steady state of a density drift no more: their mean energy stays, as do
their images. The Metropolis-Hastings acceptance tells how far the Langevin step is from exact.
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

SETTLED = 0.5  # share of a chain, its end, over which drift is measured


class Trace(NamedTuple):
    """What n chains showed at their looks: (looks,) steps, and (n, looks) arrays.

    energies: the whole U; grad_norms: |(eps^2/2) grad U| after clipping; saturated: share of values
    that lie far outside [-1, 1]; acceptance: probability of a Metropolis-Hastings step. What a look
    before the first step cannot tell is NaN.
    """

    steps: np.ndarray
    energies: np.ndarray
    grad_norms: np.ndarray
    saturated: np.ndarray
    acceptance: np.ndarray


COLUMNS = Trace._fields[1:]  # of each look at an image


def acceptance(
    images: tf.Tensor, potential: Potential, epsilon: float, noise: tf.Tensor
) -> tf.Tensor:
    """Return the (b,) probabilities with which Metropolis-Hastings accepts a step from `images`.

    The Langevin step with `noise` (b, h, w, c) is the proposal q of the Metropolis-adjusted
    Langevin algorithm (Roberts and Tweedie 1996): min(1, exp(U(x) - U(y)) q(x|y) / q(y|x)). The
    proposal is without clipping of the drift. Where `epsilon` is 0 nothing moves and all is
    accepted.
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


def make_look(potential: Potential, epsilon: float) -> Callable[..., tf.Tensor]:
    """Return (images, grad_norms (b,), noise) -> the (b, 4) columns of a trace at these images."""

    def look(images: tf.Tensor, grad_norms: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        columns = [potential(images), grad_norms, share_saturated(images)]
        return tf.stack([*columns, acceptance(images, potential, epsilon, noise)], axis=1)

    return look


def data_energies(
    potential: Potential, dataset: Dataset, count: int, *, noise: float, seed: int, batch: int
) -> np.ndarray:
    """Return the (n,) energies U of `count` images of a data set (or of all it has).

    They are the first of the order that reference statistics are of, and carry Gaussian noise of
    standard deviation `noise`, as the data that the EBM learned on.
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
    """Return the slope of the energies (n, looks) of n independent chains, a 1,000 steps.

    Each chain's least-squares slope over the last half of its steps; mean and standard error over
    chains. None where there are fewer than 3 looks or 2 chains to tell.
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
    """Return the validity of a potential for `report.json`: at each scored step, and the drift."""
    looks = [int(np.flatnonzero(trace.steps == step)[0]) for step in scored]
    return {
        "data_noise": noise,
        "energy_of_data": _mean(of_data),
        "energy_drift": drift(trace.steps, trace.energies),
        "at": {
            int(trace.steps[look]): {
                "energy": _mean(trace.energies[:, look]),
                "saturated": float(trace.saturated[:, look].mean()),
                "acceptance": float(trace.acceptance[:, look].mean()),
            }
            for look in looks
        },
    }


def line(validity: Mapping[str, Any]) -> str:
    """Return the line that tells a validity on the console."""
    last = list(validity["at"].values())[-1]
    text = f"energy {last['energy']['mean']:.5g} (data {validity['energy_of_data']['mean']:.5g})"
    if (slope := validity["energy_drift"]) is not None:
        text += f", drift {slope['per_1000_steps']:+.3g} +- {slope['standard_error']:.2g}"
        text += " a 1,000 steps"
    return f"{text}, acceptance {last['acceptance']:.3f}, saturated {last['saturated']:.4f}"


def save_trace(trace: Trace, of_data: np.ndarray | None, path: str) -> None:
    """Draw what n chains showed along their steps; the energies of data (n,) as a band."""
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
