"""The layout of picture folders: `split/label/*.png`; both levels of folders are optional."""

import re
import sys
from collections.abc import Collection, Sequence
from pathlib import PurePath

import tensorflow as tf

from utils.errors import UserError
from utils.files.folders import Listing, list_folder
from utils.files.whole import join

IMAGE_FILES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
SPLITS = {"train", "test", "validation", "val"}  # folders of these names are splits, not labels
LIKE_SPLITS = re.compile(r"(?i:train|test|val)(?i:ing|id|idation)?(?![a-z])")
NAMED = 3  # names listed in a warning


def split_folder(root: str, split: str, others: Collection[str] = ()) -> str:
    """Return the folder of a split: `root/split`, or `root` for `train` if it has no split folders.

    `others` are further names of splits. Raises UserError if the split is missing, or if folders of
    labels lie beside folders of splits.
    """
    if not tf.io.gfile.isdir(root):
        raise UserError(f"image_folder: data_dir {root} is a file: name the folder of pictures")
    listed = list_folder(root)
    known = SPLITS | {split, *others, *_alike(listed.folders)}
    splits = [name for name in listed.folders if name in known]
    if not splits and split == "train":
        return root
    beside = [n for n in listed.folders if n not in known and _pictures_in(join(root, n))]
    if splits and beside:
        raise UserError(
            f"image_folder {root}: folders of pictures ({_some(beside)}) beside folders of splits "
            f"({_some(splits)}): move them into a split, as {join(root, 'train', beside[0])}, or "
            "away"
        )
    if split not in splits:
        raise UserError(
            f"image_folder {root} has no folder of the split '{split}'{_where(root, split)}"
            + (f"; it has {_some(splits)}" if splits else "")
        )
    if pictures := _pictures(listed):
        _warn(root, [f"pictures beside the folders of splits: {len(pictures):,}"])
    return join(root, split)


def _alike(names: Sequence[str]) -> list[str]:
    """Return the names that look like splits, such as `trainA` and `testA`, unless all are of one.

    Otherwise test pictures would be learned, as a class.
    """
    found = [name for name in names if LIKE_SPLITS.match(name)]
    return found if len({name[:3].lower() for name in found}) > 1 else []


def pictures_by_label(root: str) -> dict[str, list[str]]:
    """Return the paths of pictures by label, the name of their folder; "" stands for `root` itself.

    One warning counts the files and folders that are skipped. Raises UserError if there are no
    pictures, or if some lie beside folders of pictures.
    """
    listed = {"": list_folder(root)}
    listed |= {name: list_folder(join(root, name)) for name in listed[""].folders}
    deep = [join(name, sub) for name, inside in listed.items() if name for sub in inside.folders]
    deeper = {name: number for name in deep if (number := len(_pictures_in(join(root, name))))}
    found = {name: _paths(root, name, inside) for name, inside in listed.items()}
    pictures = {name: paths for name, paths in found.items() if paths}
    if not pictures:
        hint = f"; some are one level deeper, in {join(root, next(iter(deeper)))}" if deeper else ""
        raise UserError(f"image_folder {root}: no pictures ({', '.join(IMAGE_FILES)}) in it{hint}")
    if "" in pictures and len(pictures) > 1:
        raise UserError(
            f"image_folder {root}: pictures both beside and inside the folders "
            f"{', '.join(name for name in pictures if name)}: put all of them into folders, one "
            "per label, or none"
        )
    empty = [name for name in found if name and name not in pictures]
    counts = _skipped(listed)
    if deeper:
        counts.append(f"pictures one folder too deep: {sum(deeper.values()):,} ({_some(deeper)})")
    if empty and "" not in pictures:
        counts.append(f"folders without pictures: {len(empty)} ({_some(empty)})")
    _warn(root, counts)
    return pictures


def picture_files(folder: str) -> list[str]:
    """Return the paths of the pictures in a folder; a warning counts the other files."""
    listed = list_folder(folder)
    _warn(folder, _skipped({"": listed}))
    return _paths(folder, "", listed)


def _skipped(listed: dict[str, Listing]) -> list[str]:
    """Return counts, as text, of files that are no pictures and of files that cannot be opened."""
    counts = []
    others = [n for inside in listed.values() for n in inside.files if not _is_picture(n)]
    if others:
        endings = sorted({PurePath(name).suffix.lower() or name for name in others})
        counts.append(f"files that are no pictures: {len(others):,} ({_some(endings)})")
    broken = [name for inside in listed.values() for name in inside.unreadable]
    if broken:
        counts.append(f"broken links, pipes, names not in UTF-8: {len(broken):,} ({_some(broken)})")
    return counts


def _warn(root: str, counts: list[str]) -> None:
    if counts:
        print(f"warning: {root}: skipped: {'; '.join(counts)}", file=sys.stderr)


def _where(root: str, split: str) -> str:
    above = root.rstrip("/").rpartition("/")[0]
    if above and tf.io.gfile.isdir(join(above, split)):
        return f", but the folder above has it: set data_dir to {above}"
    return ""


def _pictures(listed: Listing) -> list[str]:
    return [name for name in listed.files if _is_picture(name)]


def _is_picture(name: str) -> bool:
    return name.lower().endswith(IMAGE_FILES)


def _pictures_in(folder: str) -> list[str]:
    return _pictures(list_folder(folder))


def _paths(root: str, name: str, listed: Listing) -> list[str]:
    folder = join(root, name) if name else root
    return [join(folder, file) for file in _pictures(listed)]


def _some(names: Collection[str]) -> str:
    shown = list(names)[:NAMED]
    return ", ".join(shown) + (" ..." if len(names) > NAMED else "")
