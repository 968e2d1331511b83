"""A run: its folder, its loop, and what must survive a kill.

Maintenance is not in the loop of a script, which is

    for update in run.updates():
        run.after(update, metrics)
"""

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from utils import checkpoint, plots
from utils.config import Command
from utils.data_sets import Dataset
from utils.devices import barrier, is_chief, total
from utils.errors import UserError, tell_how_to_go_on
from utils.files import join, one_line_write_errors
from utils.guard import LIMITS, all_finite, divergence, rate_scale
from utils.records import SHOWN, Metrics, Progress, make_board, to_board
from utils.run_folder import ROOMS, how_to_resume, open_run_folder
from utils.signals import Interruption


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run counts (`unit`), by which config keys, what it records, guards, shows and draws.

    `limits` gives the guarded metrics and the config keys of their thresholds, `shown` the metrics
    of a console line as (label, name, format); `draw(metrics, folder)` draws the curves. The first
    `free_rollbacks` leave the learning rate as it is.
    """

    unit: str
    length_key: str
    info_key: str
    log_key: str
    columns: Sequence[str]
    limits: Mapping[str, str | None]
    shown: Sequence[tuple[str, str, str]]
    draw: Callable[[Metrics, str], None]
    rooms: Sequence[str] = ROOMS
    free_rollbacks: int = 1


def _draw_diagnostics(metrics: Metrics, folder: str) -> None:
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
    draw=_draw_diagnostics,
)  # fmt: skip


class Outcome(NamedTuple):
    """What an update gives: metrics, Langevin steps an image took, one replica's samples."""

    metrics: dict[str, float]
    chain_steps: int = 0
    samples: np.ndarray | None = None


class Run:
    """The folder and the loop of one training run, new or resumed.

    `parts` holds everything that must survive a resume; all else is a function of config, update
    and `retry`, the number of rollbacks so far. `pictures(samples)` returns
    images to draw by name, `start_pictures` are drawn once. `datasets` are what the run reads.
    """

    def __init__(
        self,
        command: Command,
        strategy: tf.distribute.Strategy,
        *,
        parts: Mapping[str, checkpoint.Part],
        networks: Mapping[str, checkpoint.SavedNetwork],
        pictures: Callable[[np.ndarray], Mapping[str, np.ndarray]],
        start_pictures: Mapping[str, np.ndarray],
        plan: Plan = EBM_PLAN,
        datasets: Sequence[Dataset] = (),
    ):
        self.config, self.strategy, self.chief = command.config, strategy, is_chief(strategy)
        self.parts, self.networks, self.pictures, self.plan = parts, networks, pictures, plan
        self.total = self.config[plan.length_key]
        self.step = self.retry = 0  # updates done; rollbacks
        self.interruption, self.stopping = Interruption(), False
        self.clock = 0.0  # when the update under way began
        new = command.run_dir is None
        self.folder = open_run_folder(command, strategy, plan.rooms, datasets=datasets)
        self.how_to_resume = how_to_resume(self.folder)
        tell_how_to_go_on(self.how_to_resume)
        self.metrics = Metrics(join(self.folder, "metrics.csv"), plan.columns, writes=self.chief)
        if new:
            if self._is_harmed():
                raise UserError(
                    "the weights or chain states that the run starts from are NaN or Inf: start "
                    "from others"
                )
            self._draw(start_pictures)
            self._save_state()
        else:
            self._restore(say=print)
        self.board = make_board(self.folder) if self.chief else None
        self.progress = Progress(
            total=self.total,
            done=self.step,
            images_per_update=self.config["batch_size"],
            every=self.config[plan.info_key],
            unit=plan.unit,
            shown=plan.shown,
        )

    def updates(self) -> Iterator[int]:
        """Give the numbers, from 0, of the updates still to do, until the end or a signal.

        Exits with 130 or 143 after Ctrl-C or SIGTERM, the state saved; with 3 when `on_divergence`
        says so.
        """
        unit, key = self.plan.unit, self.plan.length_key
        print(f"run folder {self.folder}, {unit} {self.step} of {self.total}", flush=True)
        if self.step >= self.total:
            print(f"nothing left to do; to go on: --set {key}={2 * self.step}")
        with self.interruption.noted(
            lambda: self.progress.say(f"finishing this {unit} and saving the state ...")
        ):
            while self.step < self.total and not self.stopping:
                self.clock = time.perf_counter()
                yield self.step
        self.progress.close()
        if self.stopping:
            print(f"stopped at {unit} {self.step}, all saved; {self.how_to_resume}", flush=True)
            sys.exit(self.interruption.exit_status)
        print(f"done: {self.folder}", flush=True)

    def after(self, update: int, outcome: Outcome) -> None:
        """Do all that is due after an update: guard, records, pictures, weights, state."""
        metrics = {**outcome.metrics, "seconds": time.perf_counter() - self.clock}
        step, self.stopping = update + 1, self.interruption.is_agreed(self.strategy)
        draws = due(step, self.config[self.plan.log_key]) or step == self.total
        saves = step % self.config["state_freq"] == 0 or step == self.total or self.stopping
        reason = divergence(metrics, self.config, self.plan.limits)
        # Metrics are of the weights before their step: what is kept must be looked at itself.
        if reason is None and (draws or saves) and self._is_harmed():
            reason = "weights or chain states are not finite"
        if reason is not None and self.config["on_divergence"] != "ignore":
            self._diverged(step, reason)
            return
        self.step = step
        self.metrics.append({self.plan.unit: step, "retry": self.retry, **metrics})
        self.progress.show(step, metrics, outcome.chain_steps)
        if self.board is not None and due(step, self.config[self.plan.info_key]):
            to_board(self.board, step, metrics)
        if draws:
            self._save_pictures(step, outcome.samples)
            if self.config["save_networks"] and (step > 1 or step == self.total):
                self._save_weights(step)
        if saves:
            self._save_state()

    def _is_harmed(self) -> bool:
        """Return whether a weight or a chain state of any worker is NaN or Inf."""
        harmed = not all_finite(part.state() for part in self.parts.values())
        return total(self.strategy, int(harmed)) > 0

    def _save_pictures(self, step: int, samples: np.ndarray) -> None:
        if not self.chief:
            return
        self._draw({f"{name}{step}": batch for name, batch in self.pictures(samples).items()})
        self.plan.draw(self.metrics, join(self.folder, "plots"))

    def _draw(self, pictures: Mapping[str, np.ndarray]) -> None:
        for name, images in pictures.items() if self.chief else ():
            if not np.isfinite(images).all():  # where `on_divergence` says to go on
                print(f"{name} is not drawn: its images hold NaN or Inf", flush=True)
                continue
            plots.save_grid(images, join(self.folder, "shortrun", f"{name}.png"))

    def _save_weights(self, step: int) -> None:
        if not self.chief:
            return
        for name, saved in self.networks.items():
            info = saved.info(step)
            path = join(self.folder, "checkpoints", f"{name}_{step}.weights.h5")
            checkpoint.save_weights(saved.network, path, info)
            if saved.average is not None:
                path = join(self.folder, "checkpoints", f"{name}_ema_{step}.weights.h5")
                with saved.average.applied():
                    checkpoint.save_weights(saved.network, path, info)

    def _save_state(self) -> None:
        """Write the state of now."""
        folder = join(self.folder, "state", str(self.step))
        own = {n: p for n, p in self.parts.items() if self.chief or checkpoint.SHARE.match(n)}
        checkpoint.write_parts(folder, own)
        barrier(self.strategy)
        if self.chief:
            self.metrics.flush()
            header = {
                "update": self.step,
                "retry": self.retry,
                "replicas": self.strategy.num_replicas_in_sync,
            }
            checkpoint.declare_state(folder, header)
            checkpoint.drop_states(join(self.folder, "state"), self.config["keep_states"])

    def _restore(self, say: Callable[[str], None]) -> None:
        """Go back to the newest state that is whole; name those that are not."""
        root = join(self.folder, "state")
        folder, header = checkpoint.newest_state(root, say)
        replicas = self.strategy.num_replicas_in_sync
        checkpoint.restore_parts(folder, header, self.parts, replicas)
        if header["replicas"] != replicas:
            say(
                f"state of {header['replicas']} replicas, now {replicas}: banks are split anew "
                "and the run goes on, no longer bit for bit"
            )
        self.step, self.retry = header["update"], header["retry"]
        if self.chief:
            checkpoint.drop_states_after(root, self.step)
        self.metrics.cut(self.step)
        barrier(self.strategy)

    def _diverged(self, step: int, reason: str) -> None:
        retry = self.retry + 1
        rollback = self.config["on_divergence"] == "rollback"
        self.metrics.flush()
        if not rollback or retry > self.config["max_rollbacks"]:
            self._note_event(step, reason, "stop")
            self.progress.close()
            more = f"max_rollbacks={2 * retry}" if rollback else "on_divergence=rollback"
            print(
                f"stopped: diverged at {self.plan.unit} {step}: {reason}; the last good state is "
                f"kept, {self.how_to_resume} --set {more} (as it is, it would diverge again)",
                flush=True,
            )
            sys.exit(3)
        self._restore(self.progress.say)
        self.retry = retry
        scale = rate_scale(retry, self.plan.free_rollbacks)
        self._note_event(step, reason, f"rollback to {self.step}")
        self.progress.back_to(self.step)
        self.progress.say(
            f"diverged at {self.plan.unit} {step}: {reason}; rollback {retry} of "
            f"{self.config['max_rollbacks']} to {self.plan.unit} {self.step} with new noise"
            + (f" and {scale:g} times the learning rate" if scale < 1 else "")
        )

    def _note_event(self, step: int, reason: str, action: str) -> None:
        if self.chief:
            path = join(self.folder, "events.jsonl")
            event = {"update": step, "reason": reason, "action": action, "time": time.ctime()}
            with one_line_write_errors(path), tf.io.gfile.GFile(path, "a") as file:
                file.write(json.dumps(event) + "\n")


def due(step: int, freq: int) -> bool:
    """Return whether something that happens every `freq` updates, and at update 1, is due."""
    return step == 1 or step % freq == 0


def time_update(
    update: Callable[[int], Any],
    total: int,
    networks: Mapping[str, checkpoint.SavedNetwork],
    name: str = "update",
) -> None:
    """Print what `--dry-run` promises: parameters, memory, seconds an update, time to the end."""
    for network, saved in networks.items():
        print(f"{network}: {saved.info(1)['type']}, {saved.network.count_params():,} parameters")
    seconds = []
    for number in range(4):  # the first one traces
        start = time.perf_counter()
        update(number)
        seconds.append(time.perf_counter() - start)
    typical = sorted(seconds[1:])[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"memory: {peak:.2f} GiB of the host at most")
    print(f"first {name}: {seconds[0]:.1f} s with tracing; then {typical:.3f} s per {name}")
    print(f"{total} {name}s: {tqdm.format_interval(total * typical)} (h:mm:ss)")
