"""A run that only looks: its folder, its place, and what survives a kill.

Samples come checkpoint by checkpoint, batch by batch, segment by segment. A state holds the place
and the chains under way; what they showed before lies in files that are never written twice.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from utils.config.load import Command
from utils.errors import tell_how_to_go_on
from utils.files.whole import join
from utils.replicas import Replicas
from utils.run import states
from utils.run.array_files import ArrayFiles
from utils.run.folder import how_to_resume, open_run_folder
from utils.run.signals import Interruption

ROOMS = ("state", "images", "plots", "numpy")


class Place(NamedTuple):
    """Where a run is: steps taken by the chains of a batch of a checkpoint's samples."""

    checkpoint: int = 0
    batch: int = 0
    step: int = 0


@dataclasses.dataclass
class ChainStates:
    """One replica's chains: images (b, h, w, 3); trace (b, looks, 4), see `validity.COLUMNS`."""

    images: np.ndarray
    trace: np.ndarray

    def state(self) -> dict[str, np.ndarray]:
        """Return what a resumed run needs."""
        return {"images": self.images, "trace": self.trace}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state`."""
        self.images, self.trace = state["images"], state["trace"]


Chains = dict[int, ChainStates]  # by the number of their replica


class EvaluationRun:
    """The folder and the place of a run, new or resumed; `chains` are those under way, if any.

    `inputs` are the `datasets` and `files` that it reads, see `run_folder.open_run_folder`.
    """

    def __init__(self, command: Command, replicas: Replicas, **inputs: Any):
        self.replicas, self.chief = replicas, replicas.chief
        self.state_freq = command.config["state_freq"]
        self.keep_states = command.config["keep_states"]
        self.batch_size = command.config["batch_size"]
        self.place, self.chains, self.segments = Place(), {}, 0
        self.interruption = Interruption()
        self.folder = open_run_folder(command, replicas, ROOMS, **inputs)
        if command.run_dir is not None:
            self._restore()
        tell_how_to_go_on(how_to_resume(self.folder))
        print(f"run folder {self.folder}", flush=True)

    @contextlib.contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the block only in `go_to` and `pause`."""
        with self.interruption.noted(lambda: print("saving the state ...", flush=True)):
            yield

    def path(self, *names: str) -> str:
        """Return the path of a file in the run folder."""
        return join(self.folder, *names)

    def files(self, name: str) -> ArrayFiles:
        """Return arrays of the run that grow by batches."""
        return ArrayFiles(self.path("numpy", name))

    def go_to(self, place: Place, chains: Chains | None = None) -> None:
        """Note that all before `place` is done and in its files; save the state where it is due.

        The run ends here if any of its workers was told to.
        """
        self.place, self.chains = place, chains or {}
        self.segments += 1
        stopping = self.interruption.is_agreed(self.replicas)
        if not self.chains or self.segments % self.state_freq == 0 or stopping:
            self._save_state()
        if stopping:
            self._stop()

    def pause(self) -> None:
        """End this process here, where nothing is unsaved, if it was told to.

        For work of the chief alone: without it the other workers end too.
        """
        if self.interruption.number is not None:
            self._stop()

    def forget_what_follows(self, files: Mapping[float, ArrayFiles]) -> None:
        """Delete what `files`, by the step that they look at, hold of images beyond the place.

        At a checkpoint's start that is all of them, which no earlier state can do without.
        """
        if self.chief and self.place[1:] == (0, 0):
            states.drop_states(self.path("state"), 1)
        for step, arrays in files.items():
            seen = self.place.batch + (self.place.step > 0 and step <= self.place.step)
            if self.chief:
                arrays.drop_from(seen * self.batch_size)
        self.replicas.barrier()

    def _stop(self) -> None:
        print(f"stopped, all saved; {how_to_resume(self.folder)}", flush=True)
        sys.exit(self.interruption.exit_status)

    def _save_state(self) -> None:
        folder = self.path("state", str(self.segments))
        states.write_parts(folder, self._parts())
        self.replicas.barrier()
        if self.chief:
            replicas = self.replicas.count
            header = {"update": self.segments, "replicas": replicas, **self.place._asdict()}
            states.declare_state(folder, header)
            states.drop_states(self.path("state"), self.keep_states)

    def _parts(self) -> dict[str, "ChainStates"]:
        """Return the chains by the positions of the batch that they are."""
        size = self.batch_size // self.replicas.count
        return {f"chain_{r * size}_{(r + 1) * size}": own for r, own in self.chains.items()}

    def _restore(self) -> None:
        """Go back to the newest whole state, or to the beginning where there is none yet."""
        root = self.path("state")
        if not states.list_states(root):
            return
        folder, header = states.newest_state(root, print)
        self.segments = header["update"]
        self.place = Place(*(header[name] for name in Place._fields))
        if self.place.step:
            self.chains = {replica: _empty() for replica in self.replicas.local}
            states.restore_parts(folder, header, self._parts())
        if self.chief:
            states.drop_states_after(root, self.segments)
        self.replicas.barrier()


def joined(chains: Chains, name: str) -> np.ndarray:
    """Return `images` or `trace` of all local replicas, in the order of their images."""
    return np.concatenate([getattr(chain, name) for chain in chains.values()])


def _empty() -> ChainStates:
    return ChainStates(np.zeros(0, np.float32), np.zeros(0, np.float32))
