"""The layout of folders of pictures: `split/label/*.png`; splits and labels may be missing."""

import sys
from collections.abc import Collection
from pathlib import PurePath

import tensorflow as tf

from utils.errors import UserError
from utils.files.folders import Listing, list_folder
from utils.files.whole import join

IMAGE_FILES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
SPLITS = {"train", "test", "validation", "val"}  # a folder of this name is no label
NAMED = 3  # names in a warning


def split_folder(root: str, split: str, others: Collection[str] = ()) -> str:
    """Return where the pictures of a split lie: `root/split`, or `root`, if it has no splits.

    `others` are further names of splits. Raises UserError where there is no such split, or where
    labels lie beside splits.
    """
    if not tf.io.gfile.isdir(root):
        raise UserError(f"image_folder: data_dir {root} is a file: name the folder of the pictures")
    listed, known = list_folder(root), SPLITS | {split, *others}
    splits = [name for name in listed.folders if name in known]
    if not splits and split == "train":
        return root
    beside = [n for n in listed.folders if n not in known and _pictures_in(join(root, n))]
    if splits and beside:
        raise UserError(
            f"image_folder {root}: folders of pictures ({_some(beside)}) beside folders of splits "
            f"({_some(splits)}): move them into the folder of their split, as "
            f"{join(root, 'train', beside[0])}, or away"
        )
    if split not in splits:
        raise UserError(
            f"image_folder {root} has no folder '{split}' for that split{_where(root, split)}"
            + (f"; it has {_some(splits)}" if splits else "")
        )
    if pictures := _pictures(listed):
        _warn(root, [f"pictures beside the folders of splits: {len(pictures):,}"])
    return join(root, split)


def pictures_by_label(root: str) -> dict[str, list[str]]:
    """Return the paths of pictures by the folder, a label, that they lie in; "" is `root` itself.

    What is passed over is counted in one warning. Raises UserError for no pictures, and for some
    beside folders of pictures.
    """
    listed = {"": list_folder(root)}
    listed |= {name: list_folder(join(root, name)) for name in listed[""].folders}
    deep = [join(name, sub) for name, inside in listed.items() if name for sub in inside.folders]
    deeper = {name: number for name in deep if (number := len(_pictures_in(join(root, name))))}
    found = {name: _paths(root, name, inside) for name, inside in listed.items()}
    pictures = {name: paths for name, paths in found.items() if paths}
    if not pictures:
        hint = f"; some lie deeper, in {join(root, next(iter(deeper)))}" if deeper else ""
        raise UserError(f"image_folder {root}: no pictures ({', '.join(IMAGE_FILES)}) in it{hint}")
    if "" in pictures and len(pictures) > 1:
        raise UserError(
            f"image_folder {root}: pictures both beside and inside the folders "
            f"{', '.join(name for name in pictures if name)}: put all of them into folders, one a "
            "label, or none"
        )
    empty = [name for name in found if name and name not in pictures]
    told = _passed_over(listed)
    if deeper:
        told.append(f"pictures one folder too deep: {sum(deeper.values()):,} ({_some(deeper)})")
    if empty and "" not in pictures:
        told.append(f"folders without pictures, no classes: {len(empty)} ({_some(empty)})")
    _warn(root, told)
    return pictures


def picture_files(folder: str) -> list[str]:
    """Return the paths of the pictures that lie in a folder; a warning counts the other files."""
    listed = list_folder(folder)
    _warn(folder, _passed_over({"": listed}))
    return _paths(folder, "", listed)


def _passed_over(listed: dict[str, Listing]) -> list[str]:
    """Return the words that count the files of other kinds, and those that cannot be opened."""
    told = []
    others = [n for inside in listed.values() for n in inside.files if not _is_picture(n)]
    if others:
        endings = sorted({PurePath(name).suffix.lower() or name for name in others})
        told.append(f"files that are no pictures: {len(others):,} ({_some(endings)})")
    broken = [name for inside in listed.values() for name in inside.unreadable]
    if broken:
        told.append(f"broken links, or names not in UTF-8: {len(broken):,} ({_some(broken)})")
    return told


def _warn(root: str, told: list[str]) -> None:
    if told:
        print(f"warning: {root}: passed over: {'; '.join(told)}", file=sys.stderr)


def _where(root: str, split: str) -> str:
    above = root.rstrip("/").rpartition("/")[0]
    if above and tf.io.gfile.isdir(join(above, split)):
        return f", but the folder above has: data_dir is one folder too deep, name {above}"
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
