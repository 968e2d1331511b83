"""What a training run counts, records, guards, shows and plots."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from utils.files.whole import join
from utils.run import plots
from utils.run.guard import LIMITS
from utils.run.records import SHOWN, Metrics


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run counts (`unit`) and by which config keys, what it records, guards, shows, plots.

    `columns` are those of `metrics.csv`. `limits` gives the guarded metrics and the config keys of
    their thresholds, `shown` the metrics of a console line as (label, name, format).
    `plot(metrics, folder)` plots the curves; `pictures(samples)` returns the images to plot, by
    name. The first `free_rollbacks` leave the learning rates unchanged. `measures_result` says that
    plotted updates measure the weights after their step, too, not only those before it.
    """

    unit: str
    length_key: str
    info_key: str
    log_key: str
    columns: Sequence[str]
    limits: Mapping[str, str | None]
    shown: Sequence[tuple[str, str, str]]
    plot: Callable[[Metrics, str], None]
    pictures: Callable[[np.ndarray], Mapping[str, np.ndarray]] = lambda _: {}
    free_rollbacks: int = 1
    measures_result: bool = False


def _plot_diagnostics(metrics: Metrics, folder: str) -> None:
    energy_diff, grad_norm = metrics.series("energy_diff"), metrics.series("grad_norm")
    plots.save_diagnostics(energy_diff, grad_norm, join(folder, "diagnostics.png"))


EBM_PLAN = Plan(
    unit="update",
    length_key="num_training_steps",
    info_key="info_freq",
    log_key="log_freq",
    columns=(
        "update", "energy_diff", "grad_norm", "gen_loss", "ebm_lr", "gen_lr", "saturated",
        "seconds", "retry",
    ),
    limits={**LIMITS, "gen_loss": None},
    shown=SHOWN,
    plot=_plot_diagnostics,
)  # fmt: skip
