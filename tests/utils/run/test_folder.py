"""What a run reads is held to what it was: data and files that no state holds."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import attack
import train
import train_clf
import train_longrun
from tests.runs import cpus
from utils.config.load import REPOSITORY, parse_command
from utils.data.streams import load_data
from utils.errors import UserError
from utils.run import folder as folder_module
from utils.run import states
from utils.run.folder import SOURCES, Inputs, open_run_folder


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Return (changes) -> a function that opens the folder of a run that began with them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("utils.run.lock.own", lambda folder: None)  # held until a script ends

    def start(*changes: str, **files):
        command = parse_command("fid", "", ["configs_fid/smoke.py", "--set", *SMALL, *changes])

        def open_again(*later: str):
            sets = ["--set", *later] if later else []
            again = parse_command("fid", "", ["--resume", folder, *sets])
            datasets = [load_data(again.config)]
            return open_run_folder(again, cpus(), Inputs(datasets, files))

        datasets = [load_data(command.config)]
        folder = open_run_folder(command, cpus(), Inputs(datasets, files))
        states.write_parts(f"{folder}/state/0", {})
        states.declare_state(f"{folder}/state/0", {"update": 0, "replicas": 1})
        return open_again

    return start


SMALL = ["exp_dir=runs", "data_labels=None", "data_memory=0"]


def _pictures(folder: Path, seed: int) -> str:
    folder.mkdir()
    for number in range(3):
        pixels = np.full((32, 32, 3), seed + number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.bmp")  # of one size, whatever it shows
    return str(folder)


def _recorded() -> dict:
    (path,) = Path("runs").glob("smoke*/config.json")
    return json.loads(path.read_text())


def test_pictures_of_other_contents_are_refused_and_the_same_elsewhere_taken(begin, tmp_path):
    mine, other = _pictures(tmp_path / "mine", 0), _pictures(tmp_path / "other", 100)
    go_on = begin("data_type=image_folder", f"data_dir={mine}")
    go_on()
    shutil.copytree(mine, tmp_path / "copy")
    go_on("data_dir=copy")
    for name in ("0.bmp", "1.bmp", "2.bmp"):
        shutil.copy2(f"{other}/{name}", f"{mine}/{name}")
    with pytest.raises(UserError, match=r"split train, is not what the run began with .contents"):
        go_on(f"data_dir={mine}")
    (tmp_path / "copy" / "2.bmp").unlink()
    with pytest.raises(UserError, match=r"files 2, then 3.*--set data_dir=PATH"):
        go_on("data_dir=copy")


def test_an_npz_of_other_contents_is_refused(begin, rng):
    for name in ("one.npz", "other.npz"):
        np.savez(name, images=rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8))
    go_on = begin("data_type=npz", "data_dir=one.npz")
    go_on()
    shutil.copy("other.npz", "one.npz")
    with pytest.raises(UserError, match="data set npz, split train, is not what"):
        go_on()


def test_a_set_of_tfds_is_held_to_its_version_and_number(begin, data_dir):
    go_on = begin(f"data_dir={data_dir}")
    expected = {"data_set": "emoji32/1.0.0", "split": "train"}
    record = _recorded()["data"]["train"]
    assert record.items() >= expected.items()
    (path,) = Path("runs").glob("smoke*/config.json")
    stored = json.loads(path.read_text())
    stored["data"]["train"]["examples"] += 1
    path.write_text(json.dumps(stored))
    count = record["examples"]
    with pytest.raises(UserError, match=f"examples {count}, then {count + 1}"):
        go_on()
    del stored["data"]  # as older versions left their folders
    path.write_text(json.dumps(stored))
    go_on()


def test_files_of_other_contents_are_refused_by_name(begin, data_dir, tmp_path):
    paths = [tmp_path / name for name in ("ebm_1.weights.h5", "ebm_2.weights.h5")]
    for path in paths:
        path.write_bytes(b"weights")
    go_on = begin(f"data_dir={data_dir}", ckpt_folder=[str(path) for path in paths])
    go_on()
    paths[1].write_bytes(b"others!")
    with pytest.raises(UserError, match=r"'ckpt_folder': .*ebm_2\.weights\.h5 is not what"):
        go_on()


def test_statistics_of_other_contents_are_refused(begin, data_dir):
    np.savez("stats.npz", mu=np.zeros(2), sigma=np.eye(2))
    go_on = begin(f"data_dir={data_dir}", "reference_stats=stats.npz")
    go_on()
    shutil.copy("stats.npz", "moved.npz")
    np.savez("stats.npz", mu=np.ones(2), sigma=np.eye(2))
    with pytest.raises(UserError, match=r"'reference_stats': stats\.npz is not what"):
        go_on()
    go_on("reference_stats=moved.npz")
    Path("moved.npz").unlink()
    with pytest.raises(UserError, match=r"'reference_stats': moved\.npz is not what"):
        go_on("reference_stats=moved.npz")


def test_statistics_are_neither_added_nor_left_out_on_the_way(begin, data_dir):
    np.savez("stats.npz", mu=np.zeros(2), sigma=np.eye(2))
    with pytest.raises(UserError, match=r"'reference_stats' is None, but the run began with st"):
        begin(f"data_dir={data_dir}", "reference_stats=stats.npz")("reference_stats=None")
    with pytest.raises(UserError, match=r"'reference_stats' is stats\.npz, but .* with None"):
        begin(f"data_dir={data_dir}")("reference_stats=stats.npz")


@pytest.mark.parametrize("place", ["elsewhere", "repository/mine"])
def test_the_copy_of_the_code_is_that_of_this_repository_and_the_config(
    tmp_path, monkeypatch, place
):
    """Whatever else a user keeps in its folders, and whatever the config is called."""
    repository, code, config = tmp_path / "repository", tmp_path / "code", tmp_path / place
    (repository / "data" / "mine").mkdir(parents=True)
    (repository / "data" / "mine.npz").write_bytes(b"large")
    (repository / "data" / "NOTICE").write_text("notice")
    (repository / "train.py").write_text("script")
    config.mkdir()
    (config / "train.py").write_text("config")
    monkeypatch.setattr(folder_module, "REPOSITORY", repository)
    folder_module._copy_sources(str(config / "train.py"), str(code))
    texts = {str(p.relative_to(code)): p.read_text() for p in code.rglob("*") if p.is_file()}
    assert texts == {"train.py": "script", "config/train.py": "config", "data/NOTICE": "notice"}
    patterns = {pattern for pattern in SOURCES if pattern.startswith("data/")}
    assert all((REPOSITORY / pattern).is_file() for pattern in patterns)


def test_the_copy_of_a_read_only_file_can_be_written_again(tmp_path):
    source, target = tmp_path / "train.py", tmp_path / "code" / "train.py"
    source.write_text("script")
    source.chmod(0o444)
    for _ in range(2):
        folder_module._copy(source, str(target))
        assert target.stat().st_mode & 0o200


def test_weights_that_a_run_does_not_read_are_not_held_to_anything(begin, data_dir):
    go_on = begin(f"data_dir={data_dir}", "mcmc_init=noise", "gen_weights=examples/weights")
    assert "gen_weights" not in _recorded()["weights"]
    go_on()


def test_a_dry_run_of_a_resume_keeps_no_hashes(begin, tmp_path):
    begin("data_type=image_folder", f"data_dir={_pictures(tmp_path / 'mine', 0)}")
    shutil.rmtree("runs/reference")
    (folder,) = Path("runs").glob("smoke*")
    command = parse_command("fid", "", ["--resume", str(folder)])
    command = dataclasses.replace(command, dry_run=True)
    datasets = [load_data(command.config)]
    open_run_folder(command, cpus(), Inputs(datasets))
    assert not Path("runs/reference").exists()


@pytest.mark.parametrize(
    ("script", "config", "sizes"),
    [
        (train, "configs/smoke.py", ["ebm_width=4", "gen_width=4"]),
        (train_longrun, "configs_lr/smoke.py", ["ebm_width=4"]),
        (train_clf, "configs_clf/smoke.py", ["clf_width=1"]),
        (attack, "configs_attack/smoke.py", ["langevin_steps=0", "ebm_weights=None"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_dry_run_of_a_resume_holds_it_to_its_data(
    tmp_path, monkeypatch, data_dir, capsys, script, config, sizes
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("utils.run.lock.own", lambda folder: None)  # held until a script ends
    changes = ["exp_dir=runs", f"data_dir={data_dir}", *sizes]
    command = parse_command(script.__name__, "", [config, "--set", *changes])
    datasets = [load_data(command.config, split) for split in ("train", "test")]
    folder = open_run_folder(command, cpus(), Inputs(datasets))
    states.write_parts(f"{folder}/state/0", {})
    states.declare_state(f"{folder}/state/0", {"update": 0})
    stored = json.loads((path := Path(folder, "config.json")).read_text())
    for split in stored["data"].values():
        split["examples"] += 1
    path.write_text(json.dumps(stored))
    with pytest.raises(SystemExit) as stop:
        script.main(["--resume", folder, "--dry-run"])
    assert stop.value.code == 2
    assert "is not what the run began with" in capsys.readouterr().err


def test_a_dry_run_of_a_resume_holds_it_to_its_length(tmp_path, monkeypatch, data_dir, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("utils.run.lock.own", lambda folder: None)  # held until a script ends
    changes = ["exp_dir=runs", f"data_dir={data_dir}", "clf_width=1"]
    command = parse_command("train_clf", "", ["configs_clf/smoke.py", "--set", *changes])
    folder = Path(open_run_folder(command, cpus(), Inputs()))
    (folder / "state" / "9").mkdir()
    (folder / "state" / "9" / "state.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        train_clf.main(["--resume", str(folder), "--dry-run"])
    assert stop.value.code == 2
    assert "'num_epochs' is 3, but 9 epochs are done" in capsys.readouterr().err
