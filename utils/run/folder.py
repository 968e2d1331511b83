"""The folder of a run: a unique name, the config, the code, and fingerprints of the inputs."""

import dataclasses
import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from utils.config import keys
from utils.config.checks import trains_generator
from utils.config.load import CONFIG_FILE, REPOSITORY, Command, write_run_config
from utils.config.run_dir import has_begun
from utils.config.unread_keys import READ
from utils.data.sets import Dataset
from utils.errors import UserError
from utils.files.fingerprints import difference, fingerprint
from utils.files.folders import list_folder
from utils.files.whole import (
    join,
    make_folder,
    one_line_write_errors,
    read_json,
    remove_leftovers,
    write_json,
)
from utils.replicas import Replicas
from utils.run import lock
from utils.weights.files import located

FOLDERS = {  # in a run folder, by script
    "train": ("checkpoints", "state", "shortrun", "plots"),
    "train_longrun": ("checkpoints", "state", "shortrun", "plots"),
    "train_clf": ("checkpoints", "state", "plots"),
    "fid": ("state", "images", "plots", "numpy"),
    "attack": ("state", "data_log"),
}
FROZEN = (
    *("ebm_weights", "gen_weights", "prior_weights", "clf_weights", "inception_weights"),
    "reference_stats",
)
SOURCES = (
    *("*.py", "utils/**/*.py", "utils/**/*.jinja", "nets/*.py", "configs*/*.py"),
    *("data/NOTICE", "data/build_emoji32.py", "data/emoji32.npz", "requirements*.txt"),
)


class Inputs(NamedTuple):
    """The data sets of a run, and by config key the files that it reads but no key names."""

    datasets: Sequence[Dataset] = ()
    files: Mapping[str, Sequence[str]] = {}


def open_run_folder(command: Command, replicas: Replicas, inputs: Inputs) -> str:
    """Make the folder of a new run, or open that of a resumed run, and lock it; return its path.

    Raises UserError if another process uses the folder or an input has changed. Changes of the
    config are written to the folder, so that the next resume uses them. So are the `pieces` that
    this machine chose.
    """
    command = dataclasses.replace(command, config=command.config | {"pieces": replicas.pieces})
    if not command.resuming:
        return make_run_folder(command, replicas, inputs)
    folder, chief = command.run_dir.rstrip("/"), replicas.chief
    if chief:
        lock.own(folder)
    require_same_inputs(command, inputs)
    if chief:
        remove_leftovers(folder)
        keep_changes(command, folder)
        for name in FOLDERS[command.script]:  # copies may lack the empty ones
            make_folder(join(folder, name))
    return folder


def require_same_inputs(command: Command, inputs: Inputs) -> None:
    """Raise UserError if an input of a resumed run has changed.

    Inputs of which the run folder holds no fingerprint, as in older versions, are not checked.
    """
    if not command.resuming:
        return
    began_with = read_json(join(command.run_dir, CONFIG_FILE))
    for key in _learned_keys(command):
        if (now := command.config[key]) != began_with["config"].get(key):
            raise UserError(
                f"'{key}': the run trains these weights, and goes on with those of its states: "
                f"leave out --set {key}={now}"
            )
    for key in frozen_keys(command):
        then, now = began_with["config"].get(key), command.config.get(key)
        if (then is None) != (now is None):
            raise UserError(
                f"'{key}' is {now}, but the run began with {then}: leave out --set {key}={now}"
            )
    for key, paths in {**frozen_files(command), **inputs.files}.items():
        then = began_with.get("weights", {}).get(key)
        changed = [] if then is None else _changed(paths, then)
        if changed:
            raise UserError(
                f"'{key}': {changed[0] or command.config[key]} is not what the run began with: put "
                f"that file back, or name it with --set {key}=PATH"
            )
    kept, keep = reference_folder(command.config), not command.dry_run
    for dataset in inputs.datasets:
        then = began_with.get("data", {}).get(dataset.split)
        if then and (changed := difference(then, dataset.fingerprint(kept, keep=keep))):
            raise UserError(
                f"data set {dataset.name}, split {dataset.split}, is not what the run began with "
                f"({changed}): put those data back, or name them with --set data_dir=PATH"
            )


def keep_changes(command: Command, folder: str) -> None:
    """Write the config of a resumed run to `config.json` if it has changed."""
    path = join(folder, CONFIG_FILE)
    stored = read_json(path)
    changed = {**stored, "config": dict(command.config), "asked": command.asked}
    if stored != changed:
        write_json(path, changed)


def _changed(paths: Sequence[str], then: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Return the files that differ from the fingerprints of `then`; None is a missing file."""
    pairs = zip_longest(paths, then)
    return [path for path, known in pairs if path is None or fingerprint(path) != known]


def make_run_folder(command: Command, replicas: Replicas, inputs: Inputs) -> str:
    """Make the folder of a new run; return its path, the same on all workers.

    `config.json` holds the fingerprints of files, by config key, and of data sets, by split.
    """
    folder = (
        _claim_run_dir(command, replicas) if command.run_dir else _claim_name(command, replicas)
    )
    if replicas.chief:
        files = {**frozen_files(command), **inputs.files}
        weights = {key: [fingerprint(path) for path in files[key]] for key in files}
        kept = reference_folder(command.config)
        data = {each.split: each.fingerprint(kept, keep=True) for each in inputs.datasets}
        write_run_config(command, join(folder, CONFIG_FILE), weights=weights, data=data)
        with one_line_write_errors(folder):
            _copy_sources(command.config_path, join(folder, "code"))
        for name in FOLDERS[command.script]:
            make_folder(join(folder, name))
    replicas.barrier()
    return folder


def frozen_keys(command: Command) -> list[str]:
    """Return the config keys of weights and statistics that a run only reads."""
    learned, read = _learned_keys(command), READ[command.script](command.config)
    return [name for name in FROZEN if name not in learned and read.get(name, True)]


def _learned_keys(command: Command) -> list[str]:
    if command.script not in keys.LEARN_EBM:
        return []
    return ["ebm_weights", *(["gen_weights"] if trains_generator(command.config) else [])]


def frozen_files(command: Command) -> dict[str, list[str]]:
    """Return the files of these keys; no state holds their contents.

    A TensorFlow checkpoint has several files.
    """
    paths = {name: located(command.config.get(name)) for name in frozen_keys(command)}
    return {name: files_of(path) for name, path in paths.items() if path}


def files_of(path: str) -> list[str]:
    """Return the files of weights: the file, or those of a TensorFlow checkpoint's prefix."""
    if tf.io.gfile.exists(path):
        return [path]
    folder, prefix = os.path.split(path)  # a pattern would take brackets in names for its own
    names = list_folder(folder or ".").files if tf.io.gfile.isdir(folder or ".") else []
    return [os.path.join(folder, name) for name in names if name.startswith(f"{prefix}.")]


def reference_folder(config: Mapping[str, Any]) -> str:
    """Return the folder of what runs share about data: statistics and hashes of files."""
    return join(runs_root(config), "reference")


def runs_root(config: Mapping[str, Any]) -> str:
    """Return the folder of run folders, in the bucket `gs_path` if there is one."""
    bucket = config["gs_path"]
    return join(f"gs://{bucket}", config["exp_dir"]) if bucket else config["exp_dir"]


def how_to_resume(folder: str) -> str:
    """Return the advice on how to resume the run of a folder."""
    return f"to resume: python3 {shlex.quote(sys.argv[0])} --resume {shlex.quote(folder)}"


def _claim_run_dir(command: Command, replicas: Replicas) -> str:
    """Make and lock the folder of `--run-dir`; raises UserError if another run began there."""
    folder = command.run_dir.rstrip("/")
    if replicas.chief:
        make_folder(folder)
        lock.own(folder)
        if has_begun(folder):
            raise UserError(f"a run has just begun in {folder}: give the same command again")
        remove_leftovers(folder)
    return folder


def _claim_name(command: Command, replicas: Replicas) -> str:
    """Make and lock `<exp_dir>/<exp_name>_<yy-mm-dd-HH-MM-SS>/`, with `-2`, ... if it exists."""
    stamp = time.localtime(replicas.agree(int(time.time())))
    name = f"{command.config['exp_name']}_{time.strftime('%y-%m-%d-%H-%M-%S', stamp)}"
    root = runs_root(command.config)
    attempt = replicas.agree(_claim_folder(root, name) if replicas.chief else 0)
    folder = join(root, _numbered(name, attempt))
    if replicas.chief:
        lock.own(folder)
    return folder


def _claim_folder(root: str, name: str) -> int:
    """Make a run folder that did not exist; return the number in its name."""
    make_folder(root)
    for attempt in range(1, 1000):
        folder = join(root, _numbered(name, attempt))
        with one_line_write_errors(folder):
            if "://" not in root:
                try:
                    Path(folder).mkdir()
                except FileExistsError:
                    continue
                return attempt
            if not tf.io.gfile.exists(folder):
                tf.io.gfile.makedirs(folder)
                return attempt
    raise UserError(f"no free run folder {join(root, name)}: remove some")


def _numbered(name: str, attempt: int) -> str:
    return name if attempt == 1 else f"{name}-{attempt}"


def _copy_sources(config_path: str, folder: str) -> None:
    """Copy the sources, and to `config/` a config that is not one of them."""
    sources = [source for pattern in SOURCES for source in REPOSITORY.glob(pattern)]
    for source in sources:
        _copy(source, join(folder, str(source.relative_to(REPOSITORY))))
    path = Path(config_path)  # gone, perhaps, if a run begins once more
    if path.exists() and not any(path.samefile(source) for source in sources):
        _copy(path, join(folder, "config", path.name))


def _copy(source: Path, target: str) -> None:
    tf.io.gfile.makedirs(target.rpartition("/")[0])
    if "://" in target:
        tf.io.gfile.copy(str(source), target, overwrite=True)
    else:
        Path(target).unlink(missing_ok=True)  # older versions copied the permissions, too
        shutil.copyfile(source, target)
