"""From the arrays of a density run's stages to its report: numbers, messages, plots."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.console import print_line
from utils.density.annealing import bits_per_dim, steps_for, summarise
from utils.density.convergence import compare_starts, diagnose, settled
from utils.density.modes import count_modes, save_modes
from utils.density.outliers import HELD_OUT, separation
from utils.density.report import DensityReport, save_bounds, save_chains, save_energies
from utils.density.stages import FORWARD, REVERSE, walk_steps
from utils.density.statistics import NO_CLASS, STATISTICS
from utils.files.npz import write_npz
from utils.run.run import Run
from utils.scores.validity import COLUMNS, Trace, describe, message
from utils.seeds import Purpose, host_rng

MEASURED = ("energy", "gradient norm", "base", "per-pixel Gaussian", "maximal softmax", "class")
TARGET = 0.1  # the difference of forward and reverse to extrapolate to, in bits per dimension


def report_images(
    run: Run, report: DensityReport, columns: Mapping[str, np.ndarray], classified: bool
) -> None:
    """Report how well each score separates outliers from held-out data.

    `columns` holds, by set of images, the columns `MEASURED` (n, 6). Higher scores mean outliers:
    the potential, its gradient norm, and two baselines.
    """
    inside, found = columns[HELD_OUT], {}
    scores = ["energy", "gradient norm", "per-pixel Gaussian"]
    scores += ["maximal softmax"] if classified else []
    for number, (name, outside) in enumerate(columns.items()):
        if name == HELD_OUT:
            continue
        found[name] = {"images": len(outside)}
        for column, score in enumerate(scores):
            own = MEASURED.index(score)
            rng = host_rng(run.config["seed"], Purpose.BOOTSTRAP, number, column)
            found[name][score] = separation(inside[:, own], outside[:, own], rng)
        told = ", ".join(f"{score} {found[name][score]['auroc']:.3f}" for score in scores)
        print_line(f"AUROC against {name} ({len(outside)} images): {told}")
    report.put("outliers", {"images": len(inside), **found})
    energies = {name: rows[:, 0] for name, rows in columns.items()}
    save_energies(energies, run.path("plots", "outliers.png"))


def report_chains(
    run: Run,
    report: DensityReport,
    traces: Mapping[str, np.ndarray],
    features: Mapping[str, np.ndarray],
    of_data: np.ndarray,
) -> None:
    """Report whether chains from several starts have converged.

    `traces` (n, records, columns) and the `features` (n, d) of the last images are given per start;
    `of_data` (m,) are the energies of held-out data.
    """
    config, steps = run.config, walk_steps(run.config)
    names = [*COLUMNS, *STATISTICS]
    validity: dict[str, Any] = {"steps": steps[-1], "chains_per_start": config["num_samples"]}
    for start, rows in traces.items():
        trace = Trace(np.array(steps), *np.moveaxis(rows[..., : len(COLUMNS)], -1, 0))
        trace.grad_norms[:, 0] = np.nan  # before the first step
        validity[f"from {start}"] = describe(trace, of_data, steps[-1:], config["data_epsilon"])
        print_line(f"chains from {start}: {message(validity[f'from {start}'])}")
        columns = dict(zip(names, np.moveaxis(rows, -1, 0), strict=True))
        _save(run, f"chains_{start}", {"steps": steps, **columns})
    statistics = {
        name: {start: rows[..., names.index(name)] for start, rows in traces.items()}
        for name in names[:-1]
    }
    late, watched = settled(len(steps)), (COLUMNS[0], *STATISTICS[:-1])
    pooled = {name: np.concatenate([*statistics[name].values()])[:, late] for name in watched}
    every = float(np.mean(np.diff(steps)[late]))
    validity |= diagnose(pooled, every)
    validity["between_starts"] = compare_starts(features, config["seed"])
    report.put("validity", validity)
    save_chains(steps, statistics, validity["r_hat"], of_data, run.path("plots", "chains.png"))
    told = [f"{n} {r:.3f}" for n, r in validity["r_hat"].items() if r is not None]
    print_line(f"R-hat: {', '.join(told)}")
    for pair, test in validity["between_starts"].items():
        print_line(
            f"chains from {pair}: energy distance {test['energy_distance']:.4g}, "
            f"p {test['p_value']:.3g}"
        )


def report_modes(
    run: Run,
    report: DensityReport,
    traces: Mapping[str, np.ndarray],
    of_data: np.ndarray,
    names: Sequence[str],
) -> None:
    """Report the classes that chains visit, beside those of held-out data (n,)."""
    if (of_data == NO_CLASS).any():
        report.put("modes", {"left_out": "no classifier: 'clf_weights' is None"})
        print_line("classes of chains: none; to report them set clf_weights")
        return
    column, found = len(COLUMNS) + STATISTICS.index("class"), {}
    for start, rows in traces.items():
        found[f"from {start}"] = count_modes(
            rows[..., column].astype(int), of_data.astype(int), names
        )
        modes = found[f"from {start}"]
        save_modes(modes, run.path("plots", f"modes_{start}.png"))
        print_line(
            f"chains from {start}: {modes['visited_per_chain']:.2f} classes per chain, "
            f"{modes['visited']} of {len(names)} in all, {modes['stays']:.1%} of transitions stay "
            "in a class"
        )
    report.put("modes", found)


def report_annealing(
    run: Run,
    report: DensityReport,
    held_out: np.ndarray,
    annealed: Mapping[tuple[str, int], np.ndarray],
) -> None:
    """Report log Z and the likelihood of held-out data (n, 6) from all annealing so far.

    `annealed` holds log weights and acceptance rates (n, 2) of chains, by direction and number of
    steps.
    """
    config = run.config
    dims, count = int(np.prod(config["image_dims"])), len(held_out)
    energies, of_base = (held_out[:, MEASURED.index(name)] for name in ("energy", "base"))
    log_z: dict[str, dict] = {}
    bits: dict[str, dict] = {}
    for (direction, steps), rows in annealed.items():
        measured = _log_z_of(direction, rows)
        log_z.setdefault(str(steps), {})[direction] = measured
        bits.setdefault(str(steps), {})[direction] = bits_per_dim(
            energies.mean() + measured["log_z"], dims
        )
    for steps, ways in bits.items():
        if {FORWARD, REVERSE} <= ways.keys():
            ways["difference"] = ways[REVERSE] - ways[FORWARD]
            nats = log_z[steps]
            nats["difference"] = nats[REVERSE]["log_z"] - nats[FORWARD]["log_z"]
    differences = {int(n): ways["difference"] for n, ways in bits.items() if "difference" in ways}
    asked = steps_for(TARGET, np.array([*differences]), np.array([*differences.values()]))
    error = energies.std(ddof=1) / np.sqrt(count) / (dims * np.log(2))
    base = bits_per_dim(of_base.mean(), dims)
    # First: the page shows it beside each log Z.
    report.put("bits_per_dim", {
        "images": count, "dims": dims, "data_noise": config["data_epsilon"],
        "standard_error": float(error), "base": base, "by_steps": bits,
        f"steps_for_difference_{TARGET}": asked,
    })  # fmt: skip
    report.put("log_z", {
        "base": f"Gaussian, {config['ais_base']} covariance",
        "forward": "from exact draws of the base: a lower bound in expectation",
        "reverse": f"from chains of {config['mcmc_steps']} steps that began at data: an estimate",
        "by_steps": log_z,
    })  # fmt: skip
    if differences:
        save_bounds(bits, base, run.path("plots", "bits_per_dim.png"))
    _save(run, "annealed", {f"{way}_{steps}": rows for (way, steps), rows in annealed.items()})
    direction, steps = [*annealed][-1]
    print_line(
        _annealing_message(direction, steps, log_z[str(steps)][direction])
        + f", {bits[str(steps)][direction]:.4f} bits per dimension (base {base:.4f})"
    )


def _log_z_of(direction: str, rows: np.ndarray) -> dict[str, Any]:
    """Return the estimate of log Z from the log weights and acceptance rates (n, 2) of chains."""
    weights = summarise(rows[:, 0])
    sign = 1 if direction == FORWARD else -1
    return {
        "log_z": sign * weights["log_mean_weight"], **weights,
        "acceptance": float(rows[:, 1].mean()), "chains": len(rows),
    }  # fmt: skip


def _annealing_message(direction: str, steps: int, measured: Mapping[str, Any]) -> str:
    kind = "lower bound" if direction == FORWARD else "estimate"
    return (
        f"log Z, {steps} steps {direction}: {measured['log_z']:.1f} nats ({kind}), effective size "
        f"{measured['effective_size']:.1f} of {measured['chains']}, acceptance "
        f"{measured['acceptance']:.2f}"
    )


def _save(run: Run, name: str, arrays: Mapping[str, Any]) -> None:
    """Save arrays as an npz in the run folder, for further analysis."""
    write_npz(run.path("numpy", f"{name}.npz"), arrays)
