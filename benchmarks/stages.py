"""Stages of an experiment: runs of the scripts, one after the other, each resumed or done once."""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from utils.checkpoint import list_states
from utils.config import REPOSITORY
from utils.errors import UserError
from utils.files import whole_file
from utils.signals import Interruption


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
    """Run folders of stages under `root`, and `stages.json`, which knows how far they are."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._file = root / "stages.json"
        self.stages = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._paths: dict[str, str] = {}

    def run(self, stage: Stage) -> None:
        """Run a stage to its end, from where it was; one that is finished is left as it is.

        Raises UserError where it fails, or was begun with other settings. After a signal, which the
        script gets too, the process ends with the script's exit status.
        """
        changes = [change.format(**self._paths) for change in stage.changes]
        command = [f"{stage.script}.py", stage.config, "--set", *changes]
        known = self.stages.setdefault(stage.name, {"command": command, "seconds": 0.0})
        if known["command"] != command:
            raise UserError(
                f"stage {stage.name} in {self.root} was begun with other settings: delete "
                f"{self.root}, or give another folder with --work"
            )
        if "folder" in known:
            self._say(f"# {stage.name}: finished before, {known['folder']}")
        else:
            self._say(f"# {stage.name}: python3 {' '.join(map(_quoted, command))}")
            self._go_on(stage, known)
            known["folder"] = str(self._newest(stage))
            self._write()
        for network, step in stage.weights.items():
            path = f"{known['folder']}/checkpoints/{network}_{step}.weights.h5"
            self._paths[f"{stage.name}_{network}"] = path

    def folder(self, name: str) -> Path:
        """Return the run folder of a finished stage."""
        return Path(self.stages[name]["folder"])

    @property
    def log(self) -> Path:
        """What was said, in all sittings."""
        return self.root / "log.txt"

    def _go_on(self, stage: Stage, known: dict) -> None:
        """Run the script, new or resumed, and add the seconds it took, however it ends."""
        newest = self._newest(stage)
        if newest is not None and (stage.script == "attack" or list_states(str(newest / "state"))):
            arguments = ["--resume", str(newest)]
        else:
            own = [f"exp_dir={self.root}", f"exp_name={stage.name}"]
            arguments = [*known["command"][1:], *own]
        start = time.perf_counter()
        try:
            script = str(REPOSITORY / known["command"][0])
            status = self._call(stage, [sys.executable, script, *arguments])
        finally:
            known["seconds"] += time.perf_counter() - start
            self._write()
        if status:
            raise UserError(f"stage {stage.name} failed: {self._last_error(stage)}")

    def _call(self, stage: Stage, command: list[str]) -> int:
        """Run a command, its lines to the console and the log; hand signals on to it."""
        interruption = Interruption()
        with open(self.root / f"{stage.name}.err", "w") as errors:
            script = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
            with script, interruption.noted(lambda: script.send_signal(interruption.number)):
                for line in script.stdout:
                    self._say(line.rstrip("\n"))
        status = script.returncode
        if interruption.number is not None:
            self._say("stopped; the same command goes on")
            sys.exit(interruption.exit_status)
        return status

    def _newest(self, stage: Stage) -> Path | None:
        """Return the run folder of the latest start, if there is any: names end in the time."""
        return max(self.root.glob(f"{stage.name}_[0-9][0-9]-*/"), default=None)

    def _last_error(self, stage: Stage) -> str:
        lines = (self.root / f"{stage.name}.err").read_text().strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _say(self, line: str) -> None:
        print(line, flush=True)
        with open(self.log, "a") as file:
            file.write(line + "\n")

    def _write(self) -> None:
        with whole_file(str(self._file)) as path:
            Path(path).write_text(json.dumps(self.stages, indent=1))


def _quoted(argument: str) -> str:
    return f'"{argument}"' if set(argument) & set("[]' ") else argument
