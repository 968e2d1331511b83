"""Run folders of each script, written by the project's own functions without the runs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.source import REPOSITORY, SCRIPT_OF_FOLDER
from utils.attack.record import Record
from utils.config.load import Command, load_config, write_run_config
from utils.images import save_grid
from utils.run.records import Metrics
from utils.run.rollback import note_event
from utils.run.states import declare_state
from utils.scores.report import Report, Score

CONFIG_OF = {script: folder for folder, script in SCRIPT_OF_FOLDER.items()}
DONE = {"update": 20, "total": 20, "unit": "update", "replicas": 1}


@pytest.fixture
def begin(tmp_path) -> Callable[..., Path]:
    """Return (script, name, changes) -> the folder of a run before its first step."""

    def make(script: str, name: str = "run", *changes: str) -> Path:
        path = str(REPOSITORY / CONFIG_OF[f"{script}.py"] / "smoke.py")
        config = load_config(path, changes, script)
        command = Command(script, config, path, "", False, False, dict(config))
        folder = tmp_path / name
        for inside in ("state", "shortrun", "images", "plots", "numpy", "data_log"):
            (folder / inside).mkdir(parents=True)
        write_run_config(command, str(folder / "config.json"), weights={}, data={})
        return folder

    return make


@pytest.fixture
def finished(begin) -> Callable[..., Path]:
    """Return (script, name, changes) -> the folder of a finished run."""

    def make(script: str, name: str = "run", *changes: str) -> Path:
        folder = begin(script, name, *changes)
        FILL[script](folder)
        (folder / "state" / "20").mkdir()
        unit = {"train_clf": "epoch", "fid": "segment", "attack": "batch"}.get(script, "update")
        declare_state(str(folder / "state" / "20"), {**DONE, "unit": unit})
        return folder

    return make


def _picture(folder: Path, name: str) -> None:
    save_grid(np.full((4, 8, 8, 3), 0.5), str(folder / name))


def _training(folder: Path) -> None:
    columns = ("update", "energy_diff", "grad_norm", "gen_loss", "ebm_lr", "seconds", "retry")
    metrics = Metrics(str(folder / "metrics.csv"), columns)
    for update in range(1, 21):
        row = (update, 1 / update, -1 / update, np.nan, 1e-4, 0.1, 0)
        metrics.append(dict(zip(columns, row, strict=True)))
    metrics.flush()
    for name in ("data", *(f"{what}{step}" for what in ("shortrun", "generator")
                           for step in (1, 10, 20))):  # fmt: skip
        _picture(folder, f"shortrun/{name}.png")
    _picture(folder, "plots/diagnostics.png")
    note_event(str(folder), 3, "energy_diff is nan", "rollback to 2")


def _classifier(folder: Path) -> None:
    columns = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy", "lr", "seconds", "retry")
    metrics = Metrics(str(folder / "metrics.csv"), columns)
    for epoch in range(1, 21):
        row = {
            "epoch": epoch,
            "loss": 2 / epoch,
            "accuracy": 1 - 1 / epoch,
            "lr": 0.1,
            "seconds": 1,
        }
        tested = {"test_loss": 3 / epoch, "test_accuracy": 0.5} if epoch % 5 == 0 else {}
        metrics.append({**row, **tested, "retry": 0})
    metrics.flush()
    best = {"epoch": 5, "test_accuracy": 0.5, "chosen_among_tests": 4}
    (folder / "best.json").write_text(json.dumps(best))


def _scoring(folder: Path) -> None:
    reference = {"data_set": "emoji32/1.0.0", "split": "train", "images": 24}
    head = {"exp_type": "single", "extractor": "random_conv", "reference": reference}
    report = Report(str(folder), head)
    subjects = [("held-out data", None), ("generator", 0), ("samples", 2), ("samples", 4)]
    places = enumerate(subjects, 1)
    report.put(
        [Score(of, None, steps, 20, n / 2, n / 9, 0.1, "warning: few", "line")
         for n, (of, steps) in places],
        {
            "energy_of_data": {"mean": 1.0, "standard_error": 0.1},
            "energy_drift": None,
            "at": {
                4: {
                    "energy": {"mean": 2.0, "standard_error": float("nan")},
                    "acceptance": 0.9, "saturated": 0.0,
                }
            },
        },
    )  # fmt: skip
    near = {"features": 1.0, "pixels": 2.0}
    report.put_nearest(None, {"among": 24, "samples": near, "held_out": near})
    steps = np.arange(5)
    chains = np.linspace(0, 1, 100).reshape(20, 5)
    trace = {name: chains.copy() for name in ("energies", "grad_norms", "acceptance")}
    trace["grad_norms"][:, 0] = np.nan
    np.savez(folder / "numpy/chains.npz", steps=steps, **trace)
    for name in ("grid_0", "grid_2", "grid_4", "film", "nearest"):
        _picture(folder, f"images/{name}.png")


def _attack(folder: Path) -> None:
    changes = ["adv_steps=1", "eot_defense_reps=2"]
    path = str(REPOSITORY / CONFIG_OF["attack.py"] / "smoke.py")
    record = Record(load_config(path, changes, "attack"))
    path = np.array([[1, 1], [1, 0], [1, 0]], np.uint8)
    batch = {"class_path": path, "labs": path[0], "verifications": path[0], "control": path[0]}
    record.add(batch | {"one_shot": path[-1]}, 3.0, 100)
    record.write(str(folder / "data_log"))
    _picture(folder, "data_log/examples.png")


FILL = {
    "train": _training, "train_longrun": _training, "train_clf": _classifier, "fid": _scoring,
    "attack": _attack,
}  # fmt: skip
