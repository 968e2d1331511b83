"""Plots of training: diagnostics, learning curves, counts of a bank."""

import numpy as np
from matplotlib.figure import Figure

from utils.files.whole import whole_file

WINDOW = 5000  # last updates, from which correlations are computed
MAX_LAG = 15


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure as PNG."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=100)


def correlation(first: np.ndarray, second: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Return mean(first[t] second[t + lag]) for each lag, over all pairs inside the arrays."""
    count = len(first)
    starts = [(max(0, -lag), max(0, lag)) for lag in lags]
    return np.array([np.mean(first[a : count - b] * second[b : count - a]) for a, b in starts])


def save_diagnostics(energy_diff: np.ndarray, grad_norm: np.ndarray, path: str) -> None:
    """Plot energy difference and Langevin gradient magnitude over training, and their correlations.

    Correlations are those of the last 5,000 updates. Energy differences are divided by their root
    mean square and not centred, because their sign shows expansion or contraction; gradient
    magnitudes are standardised. Nijkamp et al. 2019, section 3, shows how stable learning looks.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 3)
    updates = np.arange(1, len(energy_diff) + 1)
    axes[0, 0].plot(updates, energy_diff, linewidth=0.6)
    axes[0, 0].axhline(0, color="black", linewidth=0.6)
    axes[0, 0].set(title="energy difference, data - samples", xlabel="update")
    axes[1, 0].plot(updates, grad_norm, linewidth=0.6)
    axes[1, 0].set(title="Langevin gradient magnitude", xlabel="update")
    diff, grad = energy_diff[-WINDOW:], grad_norm[-WINDOW:]
    diff = diff / max(np.sqrt(np.mean(diff**2)), 1e-30)
    grad = (grad - grad.mean()) / max(grad.std(), 1e-30)
    max_lag = min(MAX_LAG, len(diff) - 1)
    _bars(axes[0, 1], diff, diff, np.arange(max_lag + 1), "energy difference, autocorrelation")
    _bars(axes[1, 1], grad, grad, np.arange(max_lag + 1), "gradient magnitude, autocorrelation")
    both = np.arange(-max_lag, max_lag + 1)
    _bars(axes[0, 2], diff, grad, both, "cross-correlation of the two")
    _scatter(axes[1, 2], diff, grad)
    save_figure(figure, path)


def save_learning(train: dict[str, np.ndarray], test: dict[str, np.ndarray], path: str) -> None:
    """Plot loss and accuracy of a classifier, one value per epoch; NaN means not tested."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), train, strict=True):
        epochs = np.arange(1, len(train[name]) + 1)
        tested = np.isfinite(test[name])
        axes.plot(epochs, train[name], label="training", linewidth=0.8)
        axes.plot(epochs[tested], test[name][tested], label="test", marker=".")
        axes.set(title=name, xlabel="epoch")
        axes.legend()
    save_figure(figure, path)


def save_counts(counts: np.ndarray, threshold: int, path: str) -> None:
    """Plot a histogram of the draws of images in a burn-in bank; images leave it at `threshold`."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(-0.5, threshold + 0.5, min(threshold + 1, 50) + 1)
    axes.hist(counts, bins=edges.tolist())
    axes.axvline(threshold, color="black", linewidth=0.6)
    axes.set(title="burn-in bank", xlabel="draws so far", ylabel="images")
    save_figure(figure, path)


def _bars(axes, first: np.ndarray, second: np.ndarray, lags: np.ndarray, title: str) -> None:
    axes.bar(lags, correlation(first, second, lags))
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(title=title, xlabel="lag (updates)", ylim=(-1.05, 1.05))


def _scatter(axes, diff: np.ndarray, grad: np.ndarray) -> None:
    axes.scatter(diff, grad, s=2)
    axes.set(
        title="both, last updates",
        xlabel="energy difference / rms",
        ylabel="gradient, standardised",
    )
