"""Purification as a tool: it turns a folder of pictures, or an npz, into a purified copy.

The noise of a picture is a function of the seed and its index in the source. So a run that was
killed and continued writes the same pictures as one that was not.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from utils.attack.defense import Use, create_potential, make_purify
from utils.config.load import load_config
from utils.config.record import Config
from utils.data.image_folder import SPLITS
from utils.data.sources import Source
from utils.data.streams import evaluation_batches, load_data, open_source
from utils.errors import UserError
from utils.files.fingerprints import fingerprint
from utils.files.folders import list_folder
from utils.files.npz import read_npz, write_npz
from utils.files.whole import join, make_folder, remove_leftovers, write_json
from utils.images import save_image, to_uint8
from utils.replicas import Replicas
from utils.run import lock
from utils.run.folder import files_of
from utils.run.signals import Interruption
from utils.weights.files import located

NOTE, PARTS = "purify.json", "parts"
SAMPLING = (
    *("seed", "net_type", "langevin_steps", "epsilon", "mcmc_temp", "tau", "prior_temp"),
    *("image_dims", "precision"),
)


class Work(NamedTuple):
    """What to purify, and where to: `names` are the PNG files to write, or the one npz."""

    config: Config
    source: Source
    target: str
    names: list[str]
    is_npz: bool


def open_work(path: str, source: str, target: str, overrides: Sequence[str]) -> Work:
    """Return the work of a command line; raises UserError before it writes anything."""
    # No classifier is loaded; the config of an attack must name one.
    config = load_config(path, [*overrides, "clf_weights=none"], "attack")
    if not config.langevin_steps:
        raise UserError(f"{path}: 'langevin_steps' is 0: set it to at least 1 to purify")
    source, target = (str(Path(os.path.expanduser(name)).absolute()) for name in (source, target))
    if not os.path.exists(source):
        raise UserError(f"IN {source} not found")
    require_apart(source, target)
    is_npz = source.endswith(".npz") and not os.path.isdir(source)
    if not is_npz and os.path.isdir(source):
        require_no_splits(source)
    own = {"data_type": "npz" if is_npz else "image_folder", "data_dir": source, "split": "train"}
    plain = {"data_labels": None, "label_attribute": None, "random_crop": False, "gs_path": None}
    config |= own | plain
    opened = open_source(config, "train")
    names = [PurePath(source).name] if is_npz else png_names(opened, source)
    return Work(config, opened, target, names, is_npz)


def purify_all(work: Work) -> None:
    """Purify all pictures that are not written yet, and write the note `purify.json`."""
    replicas, dataset = Replicas(work.config), load_data(work.config, "train", work.source)
    purify = make_purify(work.config, create_potential(work.config, replicas))
    note = claim(work)
    batch = work.config["batch_size"]
    on_rows = replicas.rows(lambda *rows: purify(*rows).images, batch)
    interruption, done, written = Interruption(), 0, written_indices(work)
    bar = tqdm(desc="purifying", total=dataset.num_examples, unit="im", disable=None)
    with interruption.noted(lambda: print("stopping after this batch ...")), bar:
        for images, _, indices in evaluation_batches(dataset, batch):
            left = [row for row, index in enumerate(indices) if index not in written]
            if left:
                names = np.zeros((len(left), 4), np.int32)
                names[:, 0], names[:, 1] = indices[left], int(Use.CLEAN)
                write(work, indices[left], to_uint8(on_rows(images[left], names)))
            done += len(images)
            bar.update(len(images))
            if interruption.number is not None:
                print(f"stopped after {done} pictures; give the same command again to continue")
                sys.exit(interruption.exit_status)
    if work.is_npz:
        join_parts(work)
    damaged = [work.source.describe(index) for index in sorted(dataset.corrupt)]
    write_note(work, note | {"done": True, "images": done, "damaged": damaged})
    print(f"done: {work.target}, {done} pictures, {len(damaged)} damaged ones left out")


def require_apart(source: str, target: str) -> None:
    """Raise UserError if the target is the source or lies inside it."""
    source, target = os.path.realpath(source), os.path.realpath(target)
    if source == target or target.startswith(f"{source}/"):
        raise UserError(f"OUT {target} is IN or lies inside it: choose another folder")


def require_no_splits(folder: str) -> None:
    """Raise UserError for a folder that holds splits; each split is purified by itself."""
    if splits := [name for name in list_folder(folder).folders if name in SPLITS]:
        raise UserError(
            f"IN {folder} holds splits ({', '.join(splits)}): purify one split at a time, for "
            f"example {join(folder, splits[0])}"
        )


def png_names(source: Source, folder: str) -> list[str]:
    """Return the path of each PNG file below OUT; raises UserError if two would be the same."""
    names: dict[str, str] = {}
    for index in range(source.num_records):
        path = source.describe(index)
        name = str(PurePath(path.removeprefix(folder).lstrip("/")).with_suffix(".png"))
        if name in names:
            raise UserError(
                f"{names[name]} and {path} would both become {name}: rename one of them"
            )
        names[name] = path
    return list(names)


def claim(work: Work) -> dict[str, Any]:
    """Make OUT, or continue in it, and return the note of the work.

    Raises UserError if OUT holds anything but an unfinished run of the same work; one without
    pictures may be of other work.
    """
    paths = {name: located(work.config[name]) for name in ("ebm_weights", "prior_weights")}
    asked = {
        "source": work.config["data_dir"],
        "data": work.source.fingerprint(work.target),
        "weights": {n: [fingerprint(f) for f in files_of(p)] for n, p in paths.items() if p},
        "setting": {name: work.config[name] for name in SAMPLING},
    }
    there = os.path.isdir(work.target) and list_folder(work.target)
    if there and ({*there.files} - {NOTE} or there.folders or there.unreadable):
        note = read_note(work.target)
        if {name: note.get(name) for name in asked} != asked:
            raise UserError(
                f"OUT {work.target} is not empty and holds no unfinished run of the same pictures, "
                "weights and settings: choose another folder"
            )
        if note["done"]:
            raise UserError(f"OUT {work.target} is done already: choose another folder")
    make_folder(work.target)
    lock.own(work.target)
    remove_leftovers(work.target)
    write_note(work, note := {"done": False, **asked})
    return note


def read_note(folder: str) -> dict[str, Any]:
    """Return the note of a folder, {} if it has none."""
    try:
        with open(join(folder, NOTE)) as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def write_note(work: Work, note: dict[str, Any]) -> None:
    """Write the note of the work."""
    write_json(join(work.target, NOTE), note)


def part_paths(work: Work) -> list[Path]:
    """Return the paths of the batches of an npz, which are joined at the end."""
    return sorted(Path(work.target, PARTS).glob("*.npz"))


def written_indices(work: Work) -> set[int]:
    """Return the indices of the pictures that are written already, in batches of any size."""
    if work.is_npz:
        return {i for path in part_paths(work) for i in read_npz(str(path))["indices"].tolist()}
    there = enumerate(os.path.exists(join(work.target, name)) for name in work.names)
    return {index for index, exists in there if exists}


def write(work: Work, indices: np.ndarray, pixels: np.ndarray) -> None:
    """Write a batch of (n, h, w, c) uint8 pictures."""
    if work.is_npz:
        path = join(work.target, PARTS, f"{indices[0]:09}.npz")
        make_folder(path.rpartition("/")[0])
        write_npz(path, {"indices": indices, "images": pixels})
        return
    for index, picture in zip(indices, pixels, strict=True):
        path = join(work.target, work.names[index])
        make_folder(path.rpartition("/")[0])
        save_image(picture, path)


def join_parts(work: Work) -> None:
    """Write all parts as one npz, with the other arrays of the source, and remove the parts.

    Raises UserError if they are not all pictures, each once.
    """
    parts = [read_npz(str(path)) for path in part_paths(work)]
    indices, images = (np.concatenate([p[n] for p in parts]) for n in ("indices", "images"))
    order = np.argsort(indices)
    if not np.array_equal(indices[order], np.arange(work.source.num_records)):
        raise UserError(f"the parts in OUT {work.target} are not all pictures: begin in a new OUT")
    others = read_npz(work.config["data_dir"])
    write_npz(join(work.target, work.names[0]), {**others, "images": images[order]})
    shutil.rmtree(join(work.target, PARTS))
