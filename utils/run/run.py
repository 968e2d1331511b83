"""A run of any script: its folder, its steps, and what must survive a kill.

for step in run.steps():
    ...
    run.done(step)
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from utils.config.load import Command
from utils.console import print_line
from utils.errors import UserError, record_how_to_resume
from utils.files.whole import join
from utils.learning.learners import Part
from utils.replicas import Replicas
from utils.run import states
from utils.run.array_files import ArrayFiles
from utils.run.folder import Inputs, how_to_resume, open_run_folder
from utils.run.signals import Interruption


class Run:
    """The folder and the steps of a new or resumed run, `total` steps of a `unit`.

    `parts` hold everything that must survive a kill; all else is a function of config and step.
    """

    def __init__(
        self,
        command: Command,
        replicas: Replicas,
        parts: Mapping[str, Part],
        *,
        total: int,
        unit: str,
        inputs: Inputs,
    ):
        self.config, self.replicas, self.chief = command.config, replicas, replicas.chief
        self.parts, self.total, self.unit = parts, total, unit
        self.state_freq = self.config.get("state_freq", 1)
        self.keep_states = self.config.get("keep_states", 2)
        self.step = self.saved = 0  # steps done; those of the newest state
        self.interruption, self.stopping = Interruption(), False
        self.clock = 0.0  # start of the current step
        self.folder = open_run_folder(command, replicas, inputs)
        self.how_to_resume = how_to_resume(self.folder)
        record_how_to_resume(self.how_to_resume)
        if command.resuming:
            self.restore()
        else:
            self.begin()

    def path(self, *names: str) -> str:
        """Return the path of a file in the run folder."""
        return join(self.folder, *names)

    def files(self, name: str) -> ArrayFiles:
        """Return the arrays `name` of the run, which grow by batches."""
        return ArrayFiles(self.path("numpy", name))

    def steps(self) -> Iterator[int]:
        """Yield the steps (from 0) that are not done yet, until the end or a signal.

        After Ctrl-C or SIGTERM the state is saved and the exit status is 130 or 143.
        """
        print(f"run folder {self.folder}, {self.unit} {self.step} of {self.total}", flush=True)
        began = self.step
        with self.interruptible():
            while not (self.stopping or self.is_over):
                self.clock = time.perf_counter()
                yield self.step
        self.end(began)

    def done(self, step: int) -> None:
        """Record that a step and all before it are done; save the state if it is due."""
        self.step = step + 1
        self.stopping = self.is_told_to_stop()
        if self.is_due(self.step):
            self.save()

    def drop(self, *files: ArrayFiles) -> None:
        """Delete arrays that no later step reads, and the older states, which need them."""
        if self.saved < self.step:
            self.save()
        if self.chief:
            states.drop_states(self.path("state"), 1)
            for arrays in files:
                arrays.drop()
        self.replicas.barrier()

    def interruptible(self) -> contextlib.AbstractContextManager:
        """Return a context in which signals do not end the process but ask it to stop."""
        return self.interruption.noted(announce_stop)

    def pause(self) -> None:
        """End this process after a signal, at a point where everything is saved.

        For work of the chief alone: when it ends, the other workers end, too.
        """
        if self.interruption.number is not None:
            self.stop("all saved")

    def is_told_to_stop(self) -> bool:
        """Return whether any worker got a signal; all workers must call this together."""
        return self.interruption.is_agreed(self.replicas)

    def stop(self, kept: str) -> NoReturn:
        """End this process after a signal; `kept` says what is saved."""
        print_line(f"stopped at {self.unit} {self.step}, {kept}; {self.how_to_resume}")
        sys.exit(self.interruption.exit_status)

    def end(self, began: int) -> None:
        """Print how a run ended that began at step `began`; exit after a signal."""
        if not self.is_over:
            self.stop(self.kept)
        if began >= self.total:
            print_line(f"nothing was left to do{self.how_to_extend}")
        print_line(f"done: {self.folder}" + (f"; {self.kept}" if self.kept != "all saved" else ""))

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.step >= self.total

    @property
    def kept(self) -> str:
        """A message on what is saved."""
        return "all saved"

    @property
    def how_to_extend(self) -> str:
        """A message on how to make the run longer."""
        return ""

    def is_due(self, done: int) -> bool:
        """Return whether to save the state when so many steps are done."""
        return self.stopping or done % self.state_freq == 0 or done >= self.total

    def begin(self) -> None:
        """Save the first state of a new run."""
        self.save()

    def save(self) -> None:
        """Write the current state."""
        folder = self.path("state", str(self.step))
        own = {n: p for n, p in self.parts.items() if self.chief or states.SHARE.match(n)}
        states.write_parts(folder, own)
        self.replicas.barrier()
        if self.chief:
            self.flush()
            states.declare_state(folder, self.header())
            states.drop_states(self.path("state"), self.keep_states)
        self.saved = self.step

    def flush(self) -> None:
        """Write to disk what must not be older than the state."""

    def header(self) -> dict[str, Any]:
        """Return the header of the current state."""
        counts = {"update": self.step, "total": self.total, "unit": self.unit}
        return {**counts, "replicas": self.replicas.count}

    def restore(self) -> dict[str, Any]:
        """Restore the newest whole state and delete later ones; return its header."""
        root = self.path("state")
        folder, header = states.newest_state(root)
        chiefs = self.replicas.agree(header["update"])
        if self.replicas.total(int(header["update"] != chiefs)):
            raise UserError(
                f"the workers see different states in {root}: put the run folder on a file system "
                "that all of them share, then resume"
            )
        states.restore_parts(folder, header, self.parts)
        self.step = self.saved = header["update"]
        if self.chief:
            states.drop_states_after(root, self.step)
        self.replicas.barrier()
        return header


def announce_stop() -> None:
    """Print that a signal will end the run, unless it came in the middle of another print."""
    with contextlib.suppress(RuntimeError):
        print_line("stopping as soon as all is saved ...")
