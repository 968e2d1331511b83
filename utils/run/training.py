"""Training: a run with metrics, pictures, weights, and a guard against divergence.

for step in run.steps():
    run.after(step, update(step, run.retry))
"""

import functools
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from utils.config.load import Command
from utils.console import print_line
from utils.errors import UserError
from utils.files.whole import join
from utils.images import save_grid, tile, to_uint8
from utils.learning.learners import Part, SavedNetwork, save_networks
from utils.replicas import Replicas
from utils.run import states
from utils.run.folder import Inputs, require_same_inputs
from utils.run.guard import all_finite, divergence, rate_scale
from utils.run.plan import EBM_PLAN, Plan
from utils.run.records import Metrics, Progress, grid_to_board, make_board, to_board
from utils.run.rollback import go_back, note_event, what_is_kept
from utils.run.run import Run


class Outcome(NamedTuple):
    """The result of an update.

    metrics: numbers or scalar tensors, by name. chain_steps: Langevin steps per image. samples:
    (b, h, w, c) around [-1, 1], those of this process.
    """

    metrics: Mapping[str, Any]
    chain_steps: int = 0
    samples: np.ndarray | None = None


class Training(Run):
    """A run that learns `networks`; an update is a function of config, step and `retry`.

    `retry` is the number of rollbacks so far.
    """

    def __init__(
        self,
        command: Command,
        replicas: Replicas,
        parts: Mapping[str, Part],
        *,
        networks: Mapping[str, SavedNetwork],
        plan: Plan = EBM_PLAN,
        inputs: Inputs,
    ):
        config, total = command.config, command.config[plan.length_key]
        self.networks, self.plan, self.retry = networks, plan, 0
        # Otherwise one more update, which is not kept, must check the final weights.
        self.end_is_measured = plan.measures_result or config["on_divergence"] == "ignore"
        require_length(command, plan)
        super().__init__(command, replicas, parts, total=total, unit=plan.unit, inputs=inputs)
        self.board = make_board(self.folder) if self.chief else None
        self.progress = Progress(
            total=self.total,
            done=self.step,
            images_per_update=config["batch_size"],
            every=config[plan.info_key],
            unit=plan.unit,
            shown=plan.shown,
        )

    @functools.cached_property
    def metrics(self) -> Metrics:
        """The metrics of all updates that are done."""
        return Metrics(self.path("metrics.csv"), self.plan.columns, writes=self.chief)

    def after(self, step: int, outcome: Outcome) -> None:
        """Do what is due after update `step` (from 0): guard, records, pictures, weights, state.

        One more update follows the last one, only to measure the final weights. Exits with status 3
        if the run diverged and `on_divergence` is stop, or no rollback is left.
        """
        metrics = {name: float(value) for name, value in outcome.metrics.items()}
        metrics["seconds"] = time.perf_counter() - self.clock
        done = step + 1
        self.stopping = self.is_told_to_stop()
        saves = self.is_due(done)
        plots = due(done, self.config[self.plan.log_key]) or done == self.total
        reason, is_kept = divergence(metrics, self.config, self.plan.limits), done <= self.total
        # Metrics are those of the weights before the step: what is kept needs a check of its own.
        is_harmed = is_kept and (plots or saves) and self._is_harmed()
        if is_harmed and reason is None:
            reason = "weights or chain states are not finite"
        if reason is not None and self.config["on_divergence"] != "ignore":
            self._diverged(done, reason if is_kept else f"{reason} after the last step")
            return
        if not is_kept:
            self.end_is_measured = True
            return
        self.step = done
        self.metrics.append({self.unit: done, "retry": self.retry, **metrics})
        self.progress.show(done, metrics, outcome.chain_steps)
        if self.board is not None and due(done, self.config[self.plan.info_key]):
            to_board(self.board, done, metrics)
        if is_harmed:
            self.metrics.flush()
            print_line(f"{self.unit} {done}: {reason}: nothing of it is written")
            return
        if plots:
            self._save_pictures(done, outcome.samples)
        if saves:
            self.save()

    def plot(self, pictures: Mapping[str, np.ndarray], step: int = 0) -> None:
        """Save images (n, h, w, c) in [-1, 1] as pictures, by name; skip NaN and Inf."""
        for name, images in pictures.items() if self.chief else ():
            file = f"{name}{step or ''}"
            if not np.isfinite(images).all():  # possible if `on_divergence` is ignore
                print_line(f"{file} is not plotted: its images hold NaN or Inf")
                continue
            save_grid(images, join(self.folder, "shortrun", f"{file}.png"))
            if self.board is not None:
                grid_to_board(self.board, step, name, tile(to_uint8(images)))

    def begin(self) -> None:
        """Save the first state of a new run; raises UserError if it is not finite."""
        if self._is_harmed():
            raise UserError(
                "the run starts from weights or chain states that are NaN or Inf: start from others"
            )
        super().begin()

    def flush(self) -> None:
        """Write the metrics to disk."""
        self.metrics.flush()

    def header(self) -> dict[str, Any]:
        """Return the header of the current state."""
        return {**super().header(), "retry": self.retry}

    def restore(self) -> dict[str, Any]:
        """Restore the newest whole state and the metrics up to it; return its header."""
        header = super().restore()
        self.retry = header["retry"]
        if header["replicas"] != self.replicas.count:
            clips = self.config.get("clip_ebm_grad") or self.config.get("clip_gen_grad")
            same = "with gradients clipped in other shares" if clips else "equal up to rounding"
            print_line(
                f"state of {header['replicas']} replicas, now {self.replicas.count}: the run "
                f"continues, {same}, no longer bit for bit"
            )
        self.metrics.cut(self.step)
        self.replicas.barrier()
        return header

    def end(self, began: int) -> None:
        """Print how a run ended that began at step `began`; exit after a signal."""
        self.progress.close()
        super().end(began)

    @property
    def is_over(self) -> bool:
        """Whether all updates are done and the final weights are measured."""
        return self.step == self.total and self.end_is_measured

    @property
    def kept(self) -> str:
        """A message on what is saved."""
        if self.saved < self.step:
            return f"the last finite state, of {self.unit} {self.saved}, is kept"
        return "all saved"

    @property
    def how_to_extend(self) -> str:
        """A message on how to make the run longer."""
        return f"; to extend it: --set {self.plan.length_key}={2 * self.step}"

    def _is_harmed(self) -> bool:
        """Return whether a weight or a chain state of any worker is NaN or Inf."""
        harmed = not all_finite(part.state() for part in self.parts.values())
        return self.replicas.total(int(harmed)) > 0

    def _save_pictures(self, step: int, samples: Any) -> None:
        """Plot pictures and curves of an update; save the networks if they were measured."""
        if not self.chief:
            return
        self.plot(self.plan.pictures(samples), step)
        self.plan.plot(self.metrics, self.path("plots"))
        is_measured = step > 1 or self.plan.measures_result
        if self.config["save_networks"] and (is_measured or step == self.total):
            save_networks(self.path("checkpoints"), self.networks, step)

    def _diverged(self, step: int, reason: str) -> None:
        """Return to an earlier state with new noise, or end the run."""
        retry, unit, limit = self.retry + 1, self.unit, self.config["max_rollbacks"]
        rollback = self.config["on_divergence"] == "rollback"
        self.metrics.flush()
        if not rollback or retry > limit:
            if self.chief:
                note_event(self.folder, step, reason, "stop")
            self.progress.close()
            more = f"max_rollbacks={2 * retry}" if rollback else "on_divergence=rollback"
            print_line(
                f"stopped: diverged at {unit} {step}: {reason}; "
                f"{what_is_kept(self.folder, unit, step)}; {self.how_to_resume} --set {more} "
                "(unchanged, it would diverge again)"
            )
            sys.exit(3)
        if self.chief:
            update = go_back(self.folder, step, retry)
            note_event(self.folder, step, reason, f"rollback to {update}")
        self.replicas.barrier()
        self.restore()
        scale = rate_scale(retry, self.plan.free_rollbacks)
        self.progress.back_to(self.step)
        print_line(
            f"diverged at {unit} {step}: {reason}; rollback {retry} of {limit} to {unit} "
            f"{self.step} with new noise"
            + (f" and {scale:g} times the learning rate" if scale < 1 else "")
        )


def require_length(command: Command, plan: Plan = EBM_PLAN) -> None:
    """Raise UserError if a resumed run has done more updates than the config asks for."""
    if not command.resuming:
        return
    key = plan.length_key
    done = max(states.list_states(join(command.run_dir, "state")), default=0)
    if done > command.config[key]:
        raise UserError(
            f"'{key}' is {command.config[key]}, but {done} {plan.unit}s are done: to resume add "
            f"--set {key}={2 * done}"
        )


def dry_run(
    command: Command,
    update: Callable[..., Any],
    networks: Mapping[str, SavedNetwork],
    inputs: Inputs,
    *,
    plan: Plan = EBM_PLAN,
    updates: int = 1,
) -> None:
    """Check what a run checks before it begins, and time its update; write nothing.

    There are `updates` updates per unit of the plan.
    """
    require_length(command, plan)
    require_same_inputs(command, inputs)
    time_update(update, command.config[plan.length_key] * updates, networks)
    if len(command.config.get("mcmc_step_info") or ()) > 1:
        print("these are updates of the first row of 'mcmc_step_info'; later ones take other times")


def due(step: int, freq: int) -> bool:
    """Return whether `step` (from 1) is 1 or a multiple of `freq`."""
    return step == 1 or step % freq == 0


def time_update(
    update: Callable[..., Any],
    total: int,
    networks: Mapping[str, SavedNetwork],
    name: str = "update",
) -> None:
    """Print parameters, memory, seconds per update and total time, for `--dry-run`."""
    for network, saved in networks.items():
        print(f"{network}: {saved.info(1)['type']}, {saved.network.count_params():,} parameters")
    seconds = []
    for step in range(4):  # the first one traces
        start = time.perf_counter()
        update(step)
        seconds.append(time.perf_counter() - start)
    typical = sorted(seconds[1:])[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"memory: {peak:.2f} GiB of the host at most")
    print(f"first {name}: {seconds[0]:.1f} s with tracing; then {typical:.3f} s per {name}")
    print(f"{total} {name}s: {tqdm.format_interval(total * typical)} (h:mm:ss)")
