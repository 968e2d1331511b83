"""The folder of a run: a name that nobody else has, the config, and the code as it was."""

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from utils import keys, lock
from utils.checkpoint import fingerprint, located
from utils.checks import trains_generator
from utils.config import CONFIG_FILE, REPOSITORY, Command, write_run_config
from utils.devices import agree, is_chief
from utils.errors import UserError
from utils.files import (
    join,
    make_folder,
    one_line_write_errors,
    remove_leftovers,
    whole_file,
)

ROOMS = ("checkpoints", "state", "shortrun", "plots")
WEIGHTS = ("ebm_weights", "gen_weights", "prior_weights", "clf_weights", "inception_weights")
SOURCES = ("*.py", "utils/*.py", "nets/*.py", "configs*/*.py", "requirements*.txt")


def open_run_folder(
    command: Command, strategy: tf.distribute.Strategy, rooms: Sequence[str] = ROOMS
) -> str:
    """Make the folder of a new run, or return that of the run that goes on; nobody else may.

    What has changed in the config is written, so that the next resume goes on with it. Raises
    UserError if weights that only files hold are no longer what the run began with.
    """
    if command.run_dir is None:
        return make_run_folder(command, strategy, rooms)
    folder = command.run_dir.rstrip("/")
    if is_chief(strategy):
        lock.own(folder)
    with tf.io.gfile.GFile(join(folder, CONFIG_FILE)) as file:
        stored = json.load(file)
    began_with = stored.get("weights", {})
    for name, found in frozen_weights(command).items():
        if name in began_with and found != began_with[name]:
            raise UserError(
                f"'{name}' {command.config[name]} is not what the run began with: put that file "
                f"back, or say where it is with --set {name}=PATH"
            )
    if is_chief(strategy):
        if "://" not in folder:
            remove_leftovers(folder)
        if stored["config"] != command.config:
            with (
                whole_file(join(folder, CONFIG_FILE)) as temporary,
                open(temporary, "w") as file,
            ):
                json.dump({**stored, "config": command.config}, file, indent=1)
    return folder


def make_run_folder(
    command: Command, strategy: tf.distribute.Strategy, rooms: Sequence[str] = ROOMS
) -> str:
    """Make `<exp_dir>/<exp_name>_<yy-mm-dd-HH-MM-SS>/`; return its path, the same on all workers.

    A second run of the same second gets `-2` behind its name.
    """
    config = command.config
    stamp = time.localtime(agree(strategy, int(time.time())))
    name = f"{config['exp_name']}_{time.strftime('%y-%m-%d-%H-%M-%S', stamp)}"
    root = runs_root(config)
    chief = is_chief(strategy)
    attempt = agree(strategy, _claim_folder(root, name) if chief else 0)
    folder = join(root, _numbered(name, attempt))
    if chief:
        lock.own(folder)
        with whole_file(join(folder, CONFIG_FILE)) as temporary:
            write_run_config(command, temporary, weights=frozen_weights(command))
        with one_line_write_errors(folder):
            _copy_sources(command.config_path, join(folder, "code"))
        for room in rooms:
            make_folder(join(folder, room))
    return folder


def frozen_weights(command: Command) -> dict[str, list[dict[str, Any]]]:
    """Return the fingerprints of weights that no state holds: those that a run reads and keeps.

    By config key, a list of files each: a checkpoint of TensorFlow has several.
    """
    learned = {"ebm_weights"} if command.script in keys.LEARN_EBM else set()
    if learned and trains_generator(command.config):
        learned.add("gen_weights")
    found = {}
    for name in WEIGHTS:
        path = located(command.config.get(name))
        if path and name not in learned:
            exists = tf.io.gfile.exists(path)
            files = [path] if exists else sorted(tf.io.gfile.glob(f"{path}.*"))
            found[name] = [fingerprint(file) for file in files]
    return found


def runs_root(config: Mapping[str, Any]) -> str:
    """Return the folder of run folders, in the bucket `gs_path` where there is one."""
    bucket = config["gs_path"]
    return join(f"gs://{bucket}", config["exp_dir"]) if bucket else config["exp_dir"]


def how_to_resume(folder: str) -> str:
    """Return the words that tell how to go on with the run of a folder."""
    return f"to go on: python3 {sys.argv[0]} --resume {folder}"


def _claim_folder(root: str, name: str) -> int:
    """Make a run folder that nobody has; return the number that its name carries."""
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
    """Copy the sources and the config in use, so that the run can be read later as it was."""
    for pattern in SOURCES:
        for source in REPOSITORY.glob(pattern):
            _copy(source, join(folder, str(source.relative_to(REPOSITORY))))
    if not Path(config_path).resolve().is_relative_to(REPOSITORY):
        _copy(Path(config_path), join(folder, Path(config_path).name))


def _copy(source: Path, target: str) -> None:
    tf.io.gfile.makedirs(target.rpartition("/")[0])
    if "://" in target:
        tf.io.gfile.copy(str(source), target)
    else:
        shutil.copy(source, target)
