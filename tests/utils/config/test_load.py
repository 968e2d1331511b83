"""What users get wrong, and the one line that each mistake is answered with."""

import json
import sys

import pytest

import attack
import fid
import train
import train_clf
import train_longrun
from utils.config.load import (
    FORMAT,
    load_config,
    load_run_config,
    load_same_config,
    parse_overrides,
    read_config_file,
)
from utils.errors import UserError

BASE = "configs/smoke.py"

# name: (--set of the smoke config, words that the line must hold)
WRONG_VALUES = {
    "unknown key": ("epsilom=0.1", "unknown key 'epsilom'", "did you mean 'epsilon'"),
    "key in capitals": ("EBM_Width=4", "unknown key 'EBM_Width'", "did you mean 'ebm_width'"),
    "generator that cannot learn": (
        "mcmc_init=data_persistent",
        "'update_generator' must be False",
        "'data_persistent'",
    ),
    "key of nobody": ("zzz=1", "unknown key 'zzz'"),
    "folder for a name": ("exp_name=a/b", "'exp_name' must be name without '/'"),
    "return in a name": ("exp_name=mine\r", "'exp_name' must be", "'mine\\r'"),
    "name that is not UTF-8": ("exp_name=caf\udce9", "'exp_name' must be"),
    "unset variable": ("exp_dir=$NO_SUCH_SCRATCH/runs", "'exp_dir' must be", "$NO_SUCH_SCRATCH"),
    "more steps than 32 bits": ("num_training_steps=3000000000", "int >= 1 below 2**31, not 30"),
    "braces around a list": ("ebm_lr_info={[1e-4,0]}", "'ebm_lr_info' must be"),
    "endless name": (f"exp_name={300 * 'x'}", "'exp_name' must be", "at most 200 bytes"),
    "endless folder": (f"exp_dir=runs/{300 * 'x'}", "'exp_dir' must be", "at most 255 bytes"),
    "negative batch": ("batch_size=-4", "'batch_size' must be int >= 1, not -4"),
    "fractional batch": ("batch_size=1.5", "'batch_size'", "1.5"),
    "word for a number": ("batch_size=many", "'batch_size'", "'many'"),
    "bool for a number": ("batch_size=True", "'batch_size'", "True"),
    "no updates": ("num_training_steps=0", "'num_training_steps'"),
    "unknown device": ("device_type=abacus", "'device_type'", "cpu", "gpu", "tpu"),
    "unknown network": ("net_type=resnet", "'net_type'", "ebm_sngan"),
    "unknown generator": ("gen_type=vae", "'gen_type'", "gen_sngan"),
    "unknown start": ("mcmc_init=nowhere", "'mcmc_init'", "coop_persistent"),
    "unknown optimizer": ("ebm_optim_type=lion", "'ebm_optim_type'", "adam"),
    "no temperature": ("mcmc_temp=0", "'mcmc_temp'", "> 0"),
    "negative step size": ("epsilon=-0.1", "'epsilon'"),
    "nan": ("epsilon=1e999", "'epsilon'"),
    "negative noise": ("data_epsilon=-1", "'data_epsilon'"),
    "two dimensions": ("image_dims=[32,32]", "'image_dims'"),
    "oblong images": ("image_dims=[32,64,3]", "'image_dims'", "size"),
    "two channels": ("image_dims=[32,32,2]", "'image_dims'", "[size, size, 3] or [size, size, 1]"),
    "size without network": ("image_dims=[48,48,3]", "'ebm_sngan'", "(32, 64, 128)", "48"),
    "schedule without row 0": ("ebm_lr_info=[[1e-4,5]]", "'ebm_lr_info'", "first row from 0"),
    "unsorted schedule": ("ebm_lr_info=[[1e-4,0],[1e-5,9],[1e-6,3]]", "'ebm_lr_info'", "sorted"),
    "empty schedule": ("ebm_lr_info=[]", "'ebm_lr_info'"),
    "short row": ("mcmc_step_info=[[5,0,0]]", "'mcmc_step_info'", "[K, burn-in steps, p,"),
    "negative chain": ("mcmc_step_info=[[-5,0,0.5,0]]", "'mcmc_step_info'"),
    "probability over 1": ("mcmc_step_info=[[5,0,1.5,0]]", "'mcmc_step_info'"),
    "number for rows": ("mcmc_step_info=5", "'mcmc_step_info'"),
    "decay over 1": ("ebm_opt_decay=2", "'ebm_opt_decay'"),
    "batch over replicas": ("num_replicas=3", "'batch_size' 8", "3"),
    "no bank size": ("persistent_size=None", "'persistent_size'", "coop_persistent"),
    "no generator": ("gen_type=None", "'gen_type'"),
    "no generator rate": ("gen_lr_info=None", "'gen_lr_info'"),
    "empty weights": ("ebm_weights=''", "'ebm_weights'", "fill in"),
    "empty generator weights": ("gen_weights=''", "'gen_weights'", "fill in"),
    "prior without temperature": ("prior_weights=a.weights.h5", "'prior_temp'"),
    "number for a path": ("ebm_weights=3", "'ebm_weights'"),
    "old optimizer weights": ("ebm_optim_weights=a", "'ebm_optim_weights'", "--resume"),
    "old bank": ("im_persistent_path=a.npy", "'im_persistent_path'", "--resume"),
    "data chains of a generator": (
        "data_type=generator mcmc_init=data_persistent",
        "'data_persistent'",
        "data set",
    ),
    "trained BigGAN": (
        "gen_type=gen_biggan image_dims=[64,64,3]",
        "'gen_biggan' cannot be updated",
        "update_generator=False",
    ),
    "threads of a gpu": ("threads=2 device_type=gpu", "'threads'", "cpu"),
    "replicas of a gpu": ("num_replicas=2 device_type=gpu", "'num_replicas'", "cpu"),
    "string of labels": ("data_labels=Flags", "'data_labels'", "list"),
    "unknown learning rate rule": ("ebm_lr_type=cosine", "'ebm_lr_type'", "step"),
}

# Mistakes that are found when the run looks around: devices, files, data, sizes
WRONG_SURROUNDINGS = {
    "no gpu": ("device_type=gpu", "no GPU", "--set device_type=cpu"),
    "no tpu": ("device_type=tpu", "no TPU", "--set device_type=cpu"),
    "no such width": ("image_dims=[64,64,3] ebm_width=3", "width 3 is no multiple of 16"),
    "missing weights": ("ebm_weights=nowhere.weights.h5", "nowhere.weights.h5", "not found"),
    "missing checkpoint": ("ebm_weights=nowhere/ebm.ckpt", "nowhere/ebm.ckpt"),
    "missing prior": ("prior_weights=no.weights.h5 prior_temp=1e-3", "no.weights.h5"),
    "bank too small": ("persistent_size=4", "'persistent_size' 4", "at least 8"),
    "data not prepared": (
        "data_type=cifar10 data_labels=None data_dir=nothing_here",
        "cifar10",
        "nothing_here",
    ),
    "data set in capitals": ("data_type=CIFAR10 data_labels=None", "did you mean 'cifar10'"),
    "camel case": ("data_type=Emoji32", "did you mean 'emoji32'"),
    "folder without underscore": ("data_type=imagefolder", "did you mean 'image_folder'"),
    "class in capitals": ("data_labels=['FLAGS']", "did you mean 'Flags'"),
    "no such data set": ("data_type=no_such_set data_labels=None", "no_such_set"),
    "no such class": ("data_labels=['Smilies']", "Smilies"),
    "no such split": ("split=evening", "evening"),
    "read-only folder": ("exp_dir=/proc/runs", "/proc/runs", "choose another folder"),
}

WRONG_COMMANDS = {
    "nothing": ([], "config file or --resume"),
    "both": ([BASE, "--resume", "somewhere"], "config file or --resume"),
    "no such config": (["configs/smokes.py"], "configs/smokes.py not found", "configs/smoke.py"),
    "unknown option": ([BASE, "--fast"], "--fast", "--help"),
    "set without value": ([BASE, "--set", "batch_size"], "--set batch_size", "KEY=VALUE"),
    "set without anything": ([BASE, "--set"], "--set", "--help"),
    "two configs": ([BASE, BASE], "configs/smoke.py"),
    "set before the config": (["--set", "seed=1", BASE], "--set configs/smoke.py", "before --set"),
    "empty run folder": ([BASE, "--run-dir", ""], "--run-dir is empty"),
    "no such run": (["--resume", "nowhere"], "nowhere is not a run folder: the folder does"),
}


def _line(capsys, argv: list[str]) -> str:
    """Return the one line with which train.py refuses a command line."""
    with pytest.raises(SystemExit) as stop:
        train.main(argv)
    assert stop.value.code == 2
    printed = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(printed) == 1, printed
    assert printed[0].startswith("error: ")
    return printed[0]


def _assert_says(line: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert word in line, (word, line)


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_wrong_value_is_one_clear_line(name, capsys):
    changes, *words = WRONG_VALUES[name]
    _assert_says(_line(capsys, [BASE, "--dry-run", "--set", *changes.split(" ")]), words)


@pytest.mark.parametrize("name", WRONG_SURROUNDINGS)
def test_wrong_surroundings_are_one_clear_line(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes, *words = WRONG_SURROUNDINGS[name]
    _assert_says(_line(capsys, [BASE, "--set", *changes.split(" ")]), words)


@pytest.mark.parametrize("name", WRONG_COMMANDS)
def test_wrong_command_is_one_clear_line(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv, *words = WRONG_COMMANDS[name]
    _assert_says(_line(capsys, argv), words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config = {", ("does not run",)),
        ("import no_such_module", ("does not run", "no_such_module")),
        ("settings = {}", ("does not define a dict named 'config'",)),
        ("config = [1]", ("does not define a dict named 'config'",)),
        ("config = {}", ("'exp_name' is missing", "'mcmc_temp' is missing")),
        ("config = {1: 2}", ("unknown key '1'",)),
        ("\x00", ("does not run",)),
        ("raise SystemExit", ("does not run", "SystemExit")),
        ("import numpy\nconfig = {'seed': numpy.eye(3)}", ("'seed' must be int", "0., 1., 0.")),
    ],
)
def test_wrong_file_is_one_clear_line(text, words, capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    _assert_says(_line(capsys, [str(path)]), (str(path), *words))


def test_a_config_imports_its_neighbours_and_not_in_place_of_ours(tmp_path):
    (tmp_path / "shared_part.py").write_text("config = {'seed': 7}")
    (tmp_path / "utils.py").write_text("raise SystemExit")
    path = tmp_path / "mine.py"
    path.write_text("import utils.seeds\nfrom shared_part import config")
    assert read_config_file(path) == {"seed": 7}
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("{", ("config.json is damaged",)),
        ('{"a": 1}', ("config.json is damaged",)),
        ('{"script": "attack", "config_path": "", "config": {}}', ("attack.py",)),
    ],
)
def test_wrong_run_folder_is_one_clear_line(stored, words, capsys, tmp_path):
    (tmp_path / "config.json").write_text(stored)
    _assert_says(_line(capsys, ["--resume", str(tmp_path)]), words)


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ({}, "after git checkout 85c368d\n"),
        ({"format": 2}, "after git checkout 34cab35\n"),
        ({"format": FORMAT + 1}, "by a newer version: update this repository to resume it\n"),
    ],
)
@pytest.mark.parametrize("script", [train, train_longrun, train_clf, fid, attack])
def test_a_run_of_another_version_names_what_resumes_it(script, version, advice, capsys, tmp_path):
    stored = {"script": script.__name__, "config_path": "", "config": {}, **version}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(SystemExit) as stop:
        script.main(["--resume", str(tmp_path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(advice)


def test_a_file_is_no_run_folder(capsys, tmp_path):
    run = tmp_path / "run"
    (run / "state").mkdir(parents=True)
    for path in (run / "config.json", tmp_path / "notes.txt", tmp_path / "mine.py"):
        path.write_text("{}")

    def line(name: str) -> str:
        return _line(capsys, ["--resume", str(tmp_path / name)])

    for inside in ("run/config.json", "run/state", "run/nothing"):
        assert line(inside).endswith(f"inside a run folder: give the folder itself, {run}")
    assert line("mine.py").endswith("start a new run with it, without --resume")
    assert line("notes.txt").endswith("notes.txt is not a run folder: it is a file")


def test_a_resumed_run_keeps_its_config(capsys, tmp_path):
    stored = {
        "format": FORMAT,
        "script": "train",
        "config_path": BASE,
        "config": dict(load_config(BASE)),
    }
    (tmp_path / "config.json").write_text(json.dumps(stored))
    line = _line(capsys, ["--resume", str(tmp_path), "--set", "epsilon=1"])
    _assert_says(line, ("epsilon", "num_training_steps", "log_freq", "device_type"))


@pytest.mark.parametrize(
    ("asked", "changes", "pieces"),
    [
        (None, [], 8),
        (None, ["num_training_steps=9"], 8),
        (None, ["num_replicas=2"], None),  # chosen anew
        (None, ["device_type=gpu"], None),
        (None, ["num_replicas=2", "pieces=2"], 2),
        (8, ["num_replicas=8"], "'pieces' 8 does not divide a replica's batch of 1 images"),
        (8, ["num_replicas=8", "pieces=1"], 1),
    ],
)
def test_the_chosen_pieces_of_a_run_do_not_bind_it_to_its_devices(tmp_path, asked, changes, pieces):
    config = dict(load_config(BASE))
    stored = {"config": {**config, "pieces": 8}, "asked": {**config, "pieces": asked}}
    stored |= {"format": FORMAT, "script": "train", "config_path": BASE}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    again = {**config, "pieces": asked, **parse_overrides(changes)}
    ways = (
        lambda: load_run_config(str(tmp_path), changes, "train")[0],
        lambda: load_same_config(str(tmp_path), again, "train"),
    )
    for way in ways:
        if isinstance(pieces, str):
            with pytest.raises(UserError, match=pieces):
                way()
        else:
            assert way().pieces == pieces


def test_all_problems_of_a_config_are_told_at_once(capsys):
    changes = ["batch_size=-1", "epsilom=3", "mcmc_init=x"]
    line = _line(capsys, [BASE, "--set", *changes])
    _assert_says(line, ("batch_size", "epsilom", "mcmc_init"))


def test_help_tells_the_command_line(capsys):
    with pytest.raises(SystemExit) as stop:
        train.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    _assert_says(text, ("--resume", "--set", "--dry-run", "configs/quickstart.py"))
