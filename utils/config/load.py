"""Configs are data: loaded once, then completed and checked by the table of `utils.config.keys`."""

import ast
import dataclasses
import difflib
import json
import os
import runpy
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from utils.config import keys
from utils.config.checks import CHECKS
from utils.config.command_line import path
from utils.config.help import Paragraphs, ScriptParser
from utils.config.record import Config, read
from utils.config.run_dir import has_begun, is_empty, require_same_config
from utils.config.unread_keys import is_own_config, warnings_of
from utils.errors import UserError, closest, first_line
from utils.files.whole import require_writable, write_json

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG_FILE = "config.json"
DEVICES = ("device_type", "num_replicas")  # keys that decide the batch of a replica
FORMAT = 3  # of run folders
RESUMED_BY = {1: "85c368d", 2: "34cab35"}  # older format: the newest commit that resumes it


@dataclasses.dataclass(frozen=True)
class Command:
    """What a command line asks for: a run of a config in `run_dir` ("": in a new folder).

    `resuming` says that the run has begun there and continues. `asked` is the config as the user
    wrote it, with defaults; `config` is completed by what the weights files say.
    """

    script: str
    config: Config
    config_path: str
    run_dir: str
    dry_run: bool
    resuming: bool
    asked: dict[str, Any]


def parse_command(script: str, description: str | None, argv: Sequence[str] | None) -> Command:
    """Read the command line, which is the same for all scripts, and load the config that it names.

    Raises UserError for a wrong command line or config; prints warnings on standard error.
    """
    parser = _make_parser(script, description)
    arguments = parser.parse_args(argv)
    written = parse_overrides(arguments.set)  # names a config that was given after --set
    if (arguments.config is None) == (arguments.resume is None):
        parser.error("give either a config file or --resume RUN_DIR")
    if arguments.resume is not None and arguments.run_dir is not None:
        parser.error("--run-dir needs a config file, --resume RUN_DIR takes none")
    if arguments.run_dir == "":
        parser.error("--run-dir is empty: name a folder, or leave it out")
    run_dir = arguments.resume or arguments.run_dir or ""
    if arguments.resume is not None:
        config, config_path = load_run_config(run_dir, arguments.set, script)
        stored = read_run(run_dir, script)
        asked = {**stored.get("asked", stored["config"]), **written}
    else:
        path = find_config(arguments.config)
        content, config_path = read_config_file(path), str(path)
        config = complete({**content, **written}, script, config_path)
        if not is_own_config(path, REPOSITORY):
            written = {**content, **written}
        if not config.gs_path:
            require_writable(config.exp_dir, "exp_dir")
        asked = dict(config)
        if run_dir and not is_empty(run_dir):
            config = load_same_config(run_dir, asked, script)
    for line in warnings_of(config, script, written):
        print(f"warning: {line}", file=sys.stderr)
    resuming = bool(run_dir) and has_begun(run_dir)
    return Command(script, config, config_path, run_dir, arguments.dry_run, resuming, asked)


def _make_parser(script: str, description: str | None) -> ScriptParser:
    """Return the parser of the command line, which is the same for all scripts."""
    parser = ScriptParser(prog=f"{script}.py", description=description, formatter_class=Paragraphs)
    parser.add_argument(
        "config", nargs="?", type=path, help="config file, in this folder or in the repository"
    )
    parser.add_argument(
        "--resume", metavar="RUN_DIR", type=path, help="continue this run, bit for bit"
    )
    parser.add_argument(
        "--run-dir", metavar="DIR", type=path, help="begin in this folder, or continue its run"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="extend",
        nargs="+",
        default=[],
        help="change keys of the config; values are Python literals, bare words are strings",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything and time one update, without a run folder",
    )
    return parser


def load_config(path: str | Path, overrides: Sequence[str] = (), script: str = "train") -> Config:
    """Return the record of a config file, with defaults, every value checked.

    `overrides` are the strings of `--set`. Raises UserError that names all problems of the file.
    """
    path = find_config(path)
    return complete({**read_config_file(path), **parse_overrides(overrides)}, script, str(path))


def read_any_run(run_dir: str) -> dict[str, Any]:
    """Return the content of `config.json`; raises UserError where `run_dir` is no run folder."""
    path = f"{run_dir.rstrip('/')}/{CONFIG_FILE}"
    try:
        with tf.io.gfile.GFile(path) as file:
            stored = json.load(file)
        known = {name: stored[name] for name in ("script", "config_path")}
        return {**stored, **known, "config": {**stored["config"]}}
    except (tf.errors.NotFoundError, tf.errors.FailedPreconditionError) as error:
        raise UserError(_no_run_folder(run_dir)) from error
    except tf.errors.PermissionDeniedError as error:
        raise UserError(f"{path} cannot be read: permission denied") from error
    except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise UserError(f"{path} is damaged: {first_line(error)}") from error


def read_run(run_dir: str, script: str) -> dict[str, Any]:
    """Return the content of `config.json`; raises UserError for a run of another script."""
    stored = read_any_run(run_dir)
    if (owner := stored["script"]) != script:
        raise UserError(f"{run_dir} is a run of {owner}.py: resume it with that script")
    if (version := stored.get("format", 1)) in RESUMED_BY:
        raise UserError(
            f"{run_dir} was made by an older version: resume it after git checkout "
            f"{RESUMED_BY[version]}"
        )
    if version != FORMAT:
        raise UserError(
            f"{run_dir} was made by a newer version: update this repository to resume it"
        )
    return stored


def load_same_config(run_dir: str, asked: Mapping[str, Any], script: str) -> Config:
    """Return the config with which the run in a folder continues.

    `asked` must equal the config that the run began with, but for keys that the table marks as
    resumable: their new values are used. Raises UserError for another config.
    """
    path, stored = f"{run_dir.rstrip('/')}/{CONFIG_FILE}", read_run(run_dir, script)
    may_differ = {name for name, key in keys.keys_of(script).items() if key.resumable}
    before = complete(stored.get("asked", stored["config"]), script, path)
    fixed = {name: value for name, value in asked.items() if name not in may_differ}
    require_same_config(run_dir, before, fixed)
    changes = {name: asked[name] for name in may_differ if asked[name] != before[name]}
    return complete(continued(stored, changes), script, path)


def continued(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a run folder with changes; other devices choose their pieces anew."""
    config = stored["config"]
    moved = any(changes.get(name, config.get(name)) != config.get(name) for name in DEVICES)
    chosen = {"pieces": stored.get("asked", config).get("pieces")} if moved else {}
    return {**config, **chosen, **changes}


def load_run_config(run_dir: str, overrides: Sequence[str], script: str) -> tuple[Config, str]:
    """Return the config of a run folder, changed by `overrides`, and the path of its file.

    Raises UserError where they change a key that the table does not mark as resumable.
    """
    path, stored = f"{run_dir.rstrip('/')}/{CONFIG_FILE}", read_run(run_dir, script)
    changes = parse_overrides(overrides)
    known = keys.keys_of(script, keys.KEYS + keys.FOSSILS)
    fixed = [name for name in changes if name in known and not known[name].resumable]
    if fixed:
        allowed = ", ".join(name for name, key in known.items() if key.resumable)
        raise UserError(
            f"--set {fixed[0]}: a resumed run keeps its config; only these may change: {allowed}"
        )
    return complete(continued(stored, changes), script, path), stored["config_path"]


def _no_run_folder(path: str) -> str:
    """Return why a path is no run folder, and which one is probably meant."""
    if path.endswith(".py") and os.path.isfile(path):
        return f"{path} is a config, not a run folder: start a new run with it, without --resume"
    parent = "" if "://" in path else path.rstrip("/")
    while parent := parent.rpartition("/")[0]:
        if tf.io.gfile.exists(f"{parent}/{CONFIG_FILE}"):
            return f"{path} is inside a run folder: give the folder itself, {parent}"
    what = f"it has no {CONFIG_FILE}" if tf.io.gfile.isdir(path) else "the folder does not exist"
    what = "it is a file" if os.path.isfile(path) else what
    return f"{path} is not a run folder: {what}"


def write_run_config(
    command: Command, path: str, *, weights: Mapping[str, Any], data: Mapping[str, Any]
) -> None:
    """Write `config.json`: the command, and the fingerprints of weights and data."""
    stored = {
        "format": FORMAT,
        "script": command.script,
        "config_path": command.config_path,
        "config": dict(command.config),
        "asked": command.asked,
        "weights": weights,
        "data": data,
    }
    write_json(path, stored)


def find_config(path: str | Path) -> Path:
    """Return the path of a config file, searched in the current folder, then in the repository.

    Raises UserError, with the nearest name, where it is in neither.
    """
    for candidate in (Path(path), REPOSITORY / path):
        if os.path.isfile(candidate):  # False also for a name that is too long
            return candidate
    available = sorted(str(p.relative_to(REPOSITORY)) for p in REPOSITORY.glob("configs*/*.py"))
    hint = difflib.get_close_matches(str(path), available, n=1, cutoff=0.3)
    hint = f"; did you mean {hint[0]}?" if hint else f"; available: {', '.join(available)}"
    raise UserError(f"config {path} not found, neither here nor in {REPOSITORY}{hint}")


def read_config_file(path: Path) -> dict[str, Any]:
    """Run a config file and return its dict `config` as written; raises UserError without one.

    It may import its neighbours, after the modules of this repository.
    """
    neighbours = str(path.parent.resolve())
    sys.path.append(neighbours)
    try:
        config = runpy.run_path(str(path)).get("config")
    except (Exception, SystemExit) as error:  # the user's program may raise anything
        raise UserError(
            f"config {path} does not run: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        sys.path.remove(neighbours)
    if not isinstance(config, dict):
        raise UserError(f"config {path} does not define a dict named 'config'")
    return config


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the keys and values of `KEY=VALUE` strings; raises UserError for other strings."""
    changes = {}
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not name:
            hint = ", and the config before --set" if name.endswith(".py") else ""
            raise UserError(
                f"--set {override}: write KEY=VALUE, for example --set batch_size=32{hint}"
            )
        try:
            changes[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            changes[name] = text
    return changes


def complete(written: Mapping[str, Any], script: str, source: str) -> Config:
    """Return the record of the written keys, with defaults.

    Raises UserError that names `source` and all problems.
    """
    known, fossils = keys.keys_of(script), keys.keys_of(script, keys.FOSSILS)
    problems = unknown_keys(written, known | fossils, f"{script}.py (see {script}.py --help)")
    problems += read(written, fossils)[1]
    config, found = read(written, known)
    problems += found
    if config is not None:
        problems = problems or [each for check in CHECKS[script] for each in check(config)]
    if config is None or problems:
        raise UserError(f"{source}: " + "; ".join(problems))
    return config


def unknown_keys(written: Iterable[Any], known: Collection[str], owner: str) -> list[str]:
    """Return the problems of written keys that are not among those that their `owner` knows."""
    unknown = {name: closest(name, known) for name in written if name not in known}
    return [
        f"unknown key '{name}'" + (f" (did you mean '{close}'?)" if close else f" of {owner}")
        for name, close in unknown.items()
    ]
