"""A run: its folder, its loop, and what must survive a kill.

Maintenance is not in the loop of a script, which is

    for update in run.updates():
        run.after(update, metrics)
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from utils.config.load import Command
from utils.data.sets import Dataset
from utils.errors import UserError, tell_how_to_go_on
from utils.files.whole import join
from utils.images import save_grid
from utils.learning.learners import Part, SavedNetwork, save_networks
from utils.replicas import Replicas
from utils.run import states
from utils.run.folder import how_to_resume, open_run_folder
from utils.run.guard import all_finite, divergence, rate_scale
from utils.run.plan import EBM_PLAN, Plan
from utils.run.records import Metrics, Progress, make_board, to_board
from utils.run.rollback import go_back, note_event, what_is_kept
from utils.run.signals import Interruption


class Outcome(NamedTuple):
    """What an update gives: metrics, Langevin steps an image took, this process's samples.

    Metrics are numbers or scalar tensors.
    """

    metrics: Mapping[str, Any]
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
        replicas: Replicas,
        *,
        parts: Mapping[str, Part],
        networks: Mapping[str, SavedNetwork],
        pictures: Callable[[np.ndarray], Mapping[str, np.ndarray]],
        start_pictures: Mapping[str, np.ndarray],
        plan: Plan = EBM_PLAN,
        datasets: Sequence[Dataset] = (),
    ):
        self.config, self.replicas, self.chief = command.config, replicas, replicas.chief
        self.parts, self.networks, self.pictures, self.plan = parts, networks, pictures, plan
        self.total = self.config[plan.length_key]
        self.step = self.saved = self.retry = 0  # updates done, those in a state; rollbacks
        # Else one more update, which is not kept, must find the last one's weights healthy.
        self.end_is_measured = plan.measures_result or self.config["on_divergence"] == "ignore"
        self.interruption, self.stopping = Interruption(), False
        self.clock = 0.0  # when the update under way began
        new = command.run_dir is None
        if not new:
            self._require_length(join(command.run_dir, "state"))
        self.folder = open_run_folder(command, replicas, plan.rooms, datasets=datasets)
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

    def _require_length(self, root: str) -> None:
        done, key = max(states.list_states(root), default=0), self.plan.length_key
        if done > self.total:
            raise UserError(
                f"'{key}' is {self.total}, but {done} {self.plan.unit}s are done: to go on add "
                f"--set {key}={2 * done}"
            )

    def updates(self) -> Iterator[int]:
        """Give the numbers, from 0, of the updates still to do, until the end or a signal.

        The last one is done only to measure the weights that the run ends with. Exits with 130 or
        143 after Ctrl-C or SIGTERM, the state saved; with 3 when `on_divergence` says so.
        """
        unit, key = self.plan.unit, self.plan.length_key
        print(f"run folder {self.folder}, {unit} {self.step} of {self.total}", flush=True)
        began = self.step
        with self.interruption.noted(
            lambda: self.progress.say(f"finishing this {unit} and saving the state ...")
        ):
            while not (self.stopping or self._is_over):
                self.clock = time.perf_counter()
                yield self.step
        self.progress.close()
        kept = "all saved"
        if self.saved < self.step:
            kept = f"the last finite state, of {unit} {self.saved}, is kept"
        if not self._is_over:
            print(f"stopped at {unit} {self.step}, {kept}; {self.how_to_resume}", flush=True)
            sys.exit(self.interruption.exit_status)
        if began == self.total:
            print(f"nothing was left to do; to go on: --set {key}={2 * self.step}")
        print(f"done: {self.folder}" + (f"; {kept}" if kept != "all saved" else ""), flush=True)

    @property
    def _is_over(self) -> bool:
        return self.step == self.total and self.end_is_measured

    def after(self, update: int, outcome: Outcome) -> None:
        """Do all that is due after an update: guard, records, pictures, weights, state."""
        metrics = {name: float(value) for name, value in outcome.metrics.items()}
        metrics["seconds"] = time.perf_counter() - self.clock
        step, self.stopping = update + 1, self.interruption.is_agreed(self.replicas)
        draws = due(step, self.config[self.plan.log_key]) or step == self.total
        saves = step % self.config["state_freq"] == 0 or step == self.total or self.stopping
        reason, is_kept = divergence(metrics, self.config, self.plan.limits), step <= self.total
        # Metrics are of the weights before their step: what is kept must be looked at itself.
        is_harmed = is_kept and (draws or saves) and self._is_harmed()
        if is_harmed and reason is None:
            reason = "weights or chain states are not finite"
        if reason is not None and self.config["on_divergence"] != "ignore":
            self._diverged(step, reason if is_kept else f"{reason} after the last step")
            return
        if not is_kept:
            self.end_is_measured = True
            return
        self.step = step
        self.metrics.append({self.plan.unit: step, "retry": self.retry, **metrics})
        self.progress.show(step, metrics, outcome.chain_steps)
        if self.board is not None and due(step, self.config[self.plan.info_key]):
            to_board(self.board, step, metrics)
        if is_harmed:
            self.metrics.flush()
            self.progress.say(f"{self.plan.unit} {step}: {reason}: nothing of it is written")
            return
        if draws:
            self._save_pictures(step, outcome.samples)
            is_measured = step > 1 or self.plan.measures_result
            saves_networks = self.config["save_networks"] and (is_measured or step == self.total)
            if saves_networks and self.chief:
                save_networks(join(self.folder, "checkpoints"), self.networks, step)
        if saves:
            self._save_state()

    def _is_harmed(self) -> bool:
        """Return whether a weight or a chain state of any worker is NaN or Inf."""
        harmed = not all_finite(part.state() for part in self.parts.values())
        return self.replicas.total(int(harmed)) > 0

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
            save_grid(images, join(self.folder, "shortrun", f"{name}.png"))

    def _save_state(self) -> None:
        """Write the state of now."""
        folder = join(self.folder, "state", str(self.step))
        own = {n: p for n, p in self.parts.items() if self.chief or states.SHARE.match(n)}
        states.write_parts(folder, own)
        self.replicas.barrier()
        if self.chief:
            self.metrics.flush()
            header = {
                "update": self.step,
                "retry": self.retry,
                "replicas": self.replicas.count,
            }
            states.declare_state(folder, header)
            states.drop_states(join(self.folder, "state"), self.config["keep_states"])
        self.saved = self.step

    def _restore(self, say: Callable[[str], None]) -> None:
        """Go back to the newest state that is whole; name those that are not."""
        root = join(self.folder, "state")
        folder, header = states.newest_state(root, say)
        replicas = self.replicas.count
        states.restore_parts(folder, header, self.parts)
        if header["replicas"] != replicas:
            say(
                f"state of {header['replicas']} replicas, now {replicas}: the run goes on, equal "
                "up to rounding, no longer bit for bit"
            )
        self.step, self.retry = header["update"], header["retry"]
        self.saved = self.step
        if self.chief:
            states.drop_states_after(root, self.step)
        self.metrics.cut(self.step)
        self.replicas.barrier()

    def _diverged(self, step: int, reason: str) -> None:
        """Go back to an earlier state with new noise, or end the run."""
        retry, unit, limit = self.retry + 1, self.plan.unit, self.config["max_rollbacks"]
        rollback = self.config["on_divergence"] == "rollback"
        self.metrics.flush()
        if not rollback or retry > limit:
            if self.chief:
                note_event(self.folder, step, reason, "stop")
            self.progress.close()
            more = f"max_rollbacks={2 * retry}" if rollback else "on_divergence=rollback"
            print(
                f"stopped: diverged at {unit} {step}: {reason}; "
                f"{what_is_kept(self.folder, unit, step)}; {self.how_to_resume} --set {more} (as "
                "it is, it would diverge again)",
                flush=True,
            )
            sys.exit(3)
        if self.chief:
            update = go_back(self.folder, step, retry, self.progress.say)
            note_event(self.folder, step, reason, f"rollback to {update}")
        self.replicas.barrier()
        self._restore(self.progress.say)
        scale = rate_scale(retry, self.plan.free_rollbacks)
        self.progress.back_to(self.step)
        self.progress.say(
            f"diverged at {unit} {step}: {reason}; rollback {retry} of {limit} to {unit} "
            f"{self.step} with new noise"
            + (f" and {scale:g} times the learning rate" if scale < 1 else "")
        )


def due(step: int, freq: int) -> bool:
    """Return whether something that happens every `freq` updates, and at update 1, is due."""
    return step == 1 or step % freq == 0


def time_update(
    update: Callable[[int], Any],
    total: int,
    networks: Mapping[str, SavedNetwork],
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
