"""A run: its folder, its loop, and what must survive a kill.

Maintenance is not in the loop of a script, which is

    for update in run.updates():
        run.after(update, metrics)
"""

import contextlib
import json
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from utils import checkpoint, plots
from utils.config import Command
from utils.devices import barrier, is_chief
from utils.errors import UserError
from utils.files import join, one_line_write_errors
from utils.guard import all_finite, divergence, rate_scale
from utils.records import Metrics, Progress, make_board, to_board
from utils.run_folder import make_run_folder

COLUMNS = (
    "update", "energy_diff", "grad_norm", "gen_loss", "ebm_lr", "gen_lr", "saturated", "seconds",
    "retry",
)  # fmt: skip


class Outcome(NamedTuple):
    """What an update gives: metrics, Langevin steps an image took, one replica's samples."""

    metrics: dict[str, float]
    chain_steps: int
    samples: np.ndarray


class Run:
    """The folder and the loop of one training run, new or resumed.

    `parts` holds everything that must survive a resume; all else is a function of config, update
    and `retry`, the number of rollbacks so far. `pictures(samples)` returns
    images to draw by name, `start_pictures` are drawn once.
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
    ):
        self.config, self.strategy, self.chief = command.config, strategy, is_chief(strategy)
        self.parts, self.networks, self.pictures = parts, networks, pictures
        self.total = self.config["num_training_steps"]
        self.step = self.retry = 0  # updates done; rollbacks
        self.caught: int | None = None
        self.clock = 0.0  # when the update under way began
        new = command.run_dir is None
        self.folder = make_run_folder(command, strategy) if new else command.run_dir.rstrip("/")
        self.metrics = Metrics(join(self.folder, "metrics.csv"), COLUMNS)
        if new:
            self._draw(start_pictures)
            self._save_state()
        else:
            self._restore(say=print)
        self.board = make_board(self.folder) if self.chief else None
        self.progress = Progress(
            total=self.total,
            done=self.step,
            images_per_update=self.config["batch_size"],
            every=self.config["info_freq"],
        )

    def updates(self) -> Iterator[int]:
        """Give the numbers, from 0, of the updates still to do, until the end or a signal.

        Exits with 130 or 143 after Ctrl-C or SIGTERM, the state saved; with 3 when `on_divergence`
        says so.
        """
        print(f"run folder {self.folder}, update {self.step} of {self.total}", flush=True)
        if self.step >= self.total:
            print(f"nothing left to do; to go on: --set num_training_steps={2 * self.total}")
        self.clock = time.perf_counter()
        with self._catch_signals():
            while self.step < self.total and self.caught is None:
                yield self.step
        self.progress.close()
        if self.caught is not None:
            print(f"stopped at update {self.step}, all saved; {self._how_to_resume()}", flush=True)
            sys.exit(128 + self.caught)
        print(f"done: {self.folder}", flush=True)

    def after(self, update: int, outcome: Outcome) -> None:
        """Do all that is due after an update: guard, records, pictures, weights, state."""
        now = time.perf_counter()
        metrics = {**outcome.metrics, "seconds": now - self.clock}
        self.clock = now
        reason = divergence(metrics, self.config)
        if reason is not None and self.config["on_divergence"] != "ignore":
            self._diverged(update + 1, reason)
            return
        self.step = step = update + 1
        self.metrics.append({"update": step, "retry": self.retry, **metrics})
        self.progress.show(step, metrics, outcome.chain_steps)
        if self.board is not None and due(step, self.config["info_freq"]):
            to_board(self.board, step, metrics)
        if due(step, self.config["log_freq"]) or step == self.total:
            self._save_pictures(step, outcome.samples)
            if self.config["save_networks"] and (step > 1 or step == self.total):
                self._save_weights(step)
        if step % self.config["state_freq"] == 0 or step == self.total or self.caught is not None:
            self._save_state()

    def _save_pictures(self, step: int, samples: np.ndarray) -> None:
        if not self.chief:
            return
        self._draw({f"{name}{step}": batch for name, batch in self.pictures(samples).items()})
        plots.save_diagnostics(
            self.metrics.series("energy_diff"),
            self.metrics.series("grad_norm"),
            join(self.folder, "plots", "diagnostics.png"),
        )

    def _draw(self, pictures: Mapping[str, np.ndarray]) -> None:
        for name, images in pictures.items() if self.chief else ():
            plots.save_grid(images, join(self.folder, "shortrun", f"{name}.png"))

    def _save_weights(self, step: int) -> None:
        if not self.chief:
            return
        for name, saved in self.networks.items():
            path = join(self.folder, "checkpoints", f"{name}_{step}.weights.h5")
            checkpoint.save_weights(saved.network, path, saved.info)
            if saved.average is not None:
                path = join(self.folder, "checkpoints", f"{name}_ema_{step}.weights.h5")
                with saved.average.applied():
                    checkpoint.save_weights(saved.network, path, saved.info)

    def _save_state(self) -> None:
        """Write the state of now. One with NaN or Inf is no state to return to."""
        finite = all_finite(part.state() for part in self.parts.values())
        if not finite and self.config["on_divergence"] != "ignore":
            self._diverged(self.step, "weights or chain states are not finite")
            return
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
        for update in reversed(checkpoint.list_states(root)):
            folder = join(root, str(update))
            try:
                header = checkpoint.read_header(folder)
            except UserError as error:
                say(f"warning: {error}; using the state before")
                continue
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
            return
        raise UserError(f"{self.folder} has no whole training state to resume from")

    def _diverged(self, step: int, reason: str) -> None:
        retry = self.retry + 1
        rollback = self.config["on_divergence"] == "rollback"
        self.metrics.flush()
        if not rollback or retry > self.config["max_rollbacks"]:
            self._note_event(step, reason, "stop")
            self.progress.close()
            print(
                f"stopped: diverged at update {step}: {reason}; the last good state is kept, "
                f"{self._how_to_resume()}",
                flush=True,
            )
            sys.exit(3)
        self._restore(self.progress.say)
        self.retry = retry
        self._note_event(step, reason, f"rollback to {self.step}")
        self.progress.back_to(self.step)
        self.progress.say(
            f"diverged at update {step}: {reason}; rollback {retry} of "
            f"{self.config['max_rollbacks']} to update {self.step} with new noise"
            + (f" and {rate_scale(retry):g} times the learning rate" if retry > 1 else "")
        )

    def _note_event(self, step: int, reason: str, action: str) -> None:
        if self.chief:
            path = join(self.folder, "events.jsonl")
            event = {"update": step, "reason": reason, "action": action, "time": time.ctime()}
            with one_line_write_errors(path), tf.io.gfile.GFile(path, "a") as file:
                file.write(json.dumps(event) + "\n")

    def _how_to_resume(self) -> str:
        return f"to go on: python3 {sys.argv[0]} --resume {self.folder}"

    @contextlib.contextmanager
    def _catch_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the loop after this update; a second one ends at once."""

        def catch(number: int, _) -> None:
            if self.caught is not None:
                sys.exit(128 + number)
            self.caught = number
            self.progress.say("finishing this update and saving the state ...")

        before = {
            number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def due(step: int, freq: int) -> bool:
    """Return whether something that happens every `freq` updates, and at update 1, is due."""
    return step == 1 or step % freq == 0


def time_update(
    update: Callable[[int], Outcome], total: int, networks: Mapping[str, checkpoint.SavedNetwork]
) -> None:
    """Print what `--dry-run` promises: parameters, memory, seconds an update, time to the end."""
    for name, saved in networks.items():
        print(f"{name}: {saved.info['type']}, {saved.network.count_params():,} parameters")
    seconds = []
    for number in range(4):  # the first one traces
        start = time.perf_counter()
        update(number)
        seconds.append(time.perf_counter() - start)
    typical = sorted(seconds[1:])[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"memory: {peak:.2f} GiB of the host at most")
    print(f"first update: {seconds[0]:.1f} s with tracing; then {typical:.3f} s per update")
    print(f"{total} updates: {tqdm.format_interval(total * typical)} (h:mm:ss)")
