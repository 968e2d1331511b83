"""Stages of an experiment: runs of the scripts, one after the other, each resumed or done once."""

import contextlib
import dataclasses
import fcntl
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from utils.config.load import REPOSITORY, load_config
from utils.errors import UserError
from utils.files.whole import make_folder, whole_file
from utils.run.signals import Interruption
from utils.run.states import list_states


@dataclasses.dataclass(frozen=True)
class Stage:
    """A run of a script: its config, changes to it, image-steps, and the last weights it saves.

    `{stage_network}` in a change is the path of an earlier stage's weights.
    """

    name: str
    script: str
    config: str
    changes: tuple[str, ...]
    image_steps: int
    weights: Mapping[str, int]  # by network: the update or epoch of the file


class Work:
    """Run folders of stages under `root`, and `stages.json`, which knows how far they are.

    A context that one process at a time can be in. Raises UserError while another process, or a
    script that it left behind, works there.
    """

    def __init__(self, root: Path):
        self.root, self.log = root, root / "log.txt"
        make_folder(str(root))
        self._lock = open(root / "lock", "w")  # noqa: SIM115 - closed by `__exit__`
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise UserError(
                f"{root} is in use by another process: wait for it, or stop it"
            ) from error
        self._file = root / "stages.json"
        self.stages = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._paths: dict[str, str] = {}
        self._counted = 0.0  # up to when the seconds of the stage under way are counted

    def __enter__(self) -> "Work":
        return self

    def __exit__(self, *_) -> None:
        self._lock.close()

    def run(self, stage: Stage) -> None:
        """Run a stage to its end, from where it was; one that is finished is left as it is.

        Raises UserError where it fails, or was begun with other settings. After a signal, which the
        script gets too, the process ends with that signal's exit status.
        """
        settings = dict(load_config(stage.config, list(stage.changes), stage.script))
        begun = self._newest(stage) is not None
        new = {"settings": settings, "seconds": 0.0}
        known = self.stages.get(stage.name, new) if begun else new
        if known["settings"] != settings:
            raise UserError(
                f"stage {stage.name} was begun with other settings: delete its folders in "
                f"{self.root}, and those of the stages that use it, or give another --work"
            )
        self.stages[stage.name] = known
        if self.is_finished(stage.name):
            self.say(f"# {stage.name}: finished before, {self.folder(stage.name)}")
        else:
            self._go_on(stage)
            self.stages[stage.name]["folder"] = self._newest(stage).name
            self._write()
        for network, step in stage.weights.items():
            path = self.folder(stage.name) / "checkpoints" / f"{network}_{step}.weights.h5"
            self._paths[f"{stage.name}_{network}"] = str(path)

    def is_finished(self, name: str) -> bool:
        """Return whether a stage of that name has come to its end, and is still there."""
        return "folder" in self.stages.get(name, {}) and self.folder(name).exists()

    def folder(self, name: str) -> Path:
        """Return the run folder of a finished stage."""
        return self.root / self.stages[name]["folder"]

    def say(self, line: str) -> None:
        """Print a line, and write it to the log of all sittings."""
        print(line, flush=True)
        with open(self.log, "a") as file:
            file.write(line + "\n")

    def _go_on(self, stage: Stage) -> None:
        """Run the script, new or resumed."""
        newest = self._newest(stage)
        if newest is not None and _has_saved(stage, newest):
            arguments = ["--resume", str(newest)]
        else:
            changes = [change.format(**self._paths) for change in stage.changes]
            own = [f"exp_dir={self.root}", f"exp_name={stage.name}"]
            arguments = [stage.config, "--set", *changes, *own]
        self.say(f"# {stage.name}: {shlex.join(['python3', f'{stage.script}.py', *arguments])}")
        script = [sys.executable, str(REPOSITORY / f"{stage.script}.py"), *arguments]
        status, last = self._call(stage.name, script)
        if status:
            lines = (self.root / f"{stage.name}.err").read_text().splitlines()
            errors = [line for line in lines if line.startswith("error: ")]
            reason = errors[-1].removeprefix("error: ") if errors else last
            text = f"stage {stage.name} failed with exit status {status}: {reason}"
            self.say(text)
            raise UserError(f"{text} (see {self.root / stage.name}.err)")

    def _call(self, name: str, command: list[str]) -> tuple[int, str]:
        """Run a command, its lines to console and log; return its exit status and last line.

        Signals are handed on to it; a second one ends both at once.
        """
        interruption, line, self._counted = Interruption(), "", time.monotonic()
        with open(self.root / f"{name}.err", "w") as errors:
            # The script holds the lock too: should this process be killed, nobody takes its place.
            script = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True,
                start_new_session=True, pass_fds=[self._lock.fileno()],
            )  # fmt: skip
        with (
            interruption.noted(lambda: script.send_signal(interruption.number)),
            _killed_on_error(script),
        ):
            for line in script.stdout:
                self.say(line.rstrip("\n"))
                self._count_seconds(name)
            script.wait()
        self._count_seconds(name)
        if interruption.number is not None:
            self.say("stopped; the same command goes on")
            sys.exit(interruption.exit_status)
        return script.returncode, line.rstrip("\n")

    def _count_seconds(self, name: str) -> None:
        """Add the time since the last call to a stage, so that a kill loses none of it."""
        now = time.monotonic()
        self.stages[name]["seconds"] += now - self._counted
        self._counted = now
        self._write()

    def _newest(self, stage: Stage) -> Path | None:
        """Return the run folder of the latest start, if there is any: names end in the time."""
        return max(self.root.glob(f"{stage.name}_[0-9][0-9]-*/"), default=None)

    def _write(self) -> None:
        with whole_file(str(self._file)) as path:
            Path(path).write_text(json.dumps(self.stages, indent=1))


@contextlib.contextmanager
def _killed_on_error(script: subprocess.Popen) -> Iterator[None]:
    """Let no script live on that nobody listens to."""
    try:
        yield
    except BaseException:
        script.kill()
        raise
    finally:
        script.stdout.close()


def _has_saved(stage: Stage, folder: Path) -> bool:
    """Return whether a run folder holds anything to go on from."""
    if stage.script == "attack":
        return (folder / "data_log" / "results.npz").exists()
    return bool(list_states(str(folder / "state")))
