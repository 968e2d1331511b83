"""Checks of labels and class names that a user supplies."""

import sys
from collections.abc import Sequence

import numpy as np

from utils.errors import UserError

NAMED = 10  # classes listed in a warning
HOW_TO_LABEL = {  # data sets that are not of TFDS
    "image_folder": "put the pictures into sub-folders named by class",
    "npz": "add an array 'labels', one whole number from 0 per image",
}
OF_TFDS = "set label_attribute to an attribute with classes, for example to Smiling for celeb_a"


def how_to_label(data_type: str) -> str:
    """Return what gives labels to a data set without any, by its `data_type`."""
    return HOW_TO_LABEL.get(data_type, OF_TFDS)


def read_labels(where: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Return the labels of `count` images as (n,) int64.

    Raises UserError unless there is one whole number from 0 per image. `where` starts the message.
    """
    is_list = labels.shape == (count,) and labels.dtype.kind in "iu"
    if not is_list:
        raise UserError(
            f"{where}: 'labels' must be {count} whole numbers from 0, one per image, not "
            f"{labels.dtype} of shape {labels.shape}"
        )
    numbers = labels.astype(np.int64)
    if (numbers < 0).any():  # numbers beyond int64 become negative, too
        raise UserError(f"{where}: 'labels' must be 0 or more, not {labels[numbers < 0][0]}")
    return numbers


def read_class_names(where: str, names: np.ndarray | None, labels: np.ndarray) -> tuple[str, ...]:
    """Return the class names of (n,) int64 labels; if `names` is None they are "0", "1", ...

    Raises UserError for names that are no list of text, for labels without a name, and for unnamed
    labels that would make more classes than there are images.
    """
    classes = int(labels.max(initial=-1)) + 1
    if names is None:
        if classes > len(labels):
            raise UserError(
                f"{where}: 'labels' up to {classes - 1:,} for {len(labels):,} images: number "
                "classes from 0, or name all of them in 'class_names'"
            )
        return tuple(str(number) for number in range(classes))
    if names.ndim > 1 or names.dtype.kind not in "USiu":
        raise UserError(
            f"{where}: 'class_names' must be a list of names, not {names.dtype} of shape "
            f"{names.shape}"
        )
    texts = tuple(_text(where, name) for name in np.atleast_1d(names).tolist())
    refuse_repeats(f"{where}: 'class_names'", texts)
    if len(texts) < classes:
        raise UserError(
            f"{where}: {classes:,} classes in 'labels', but {len(texts)} class_names: name all"
        )
    return texts


def refuse_repeats(what: str, names: Sequence[str]) -> None:
    """Raise UserError if a name occurs twice."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{what}: '{repeated[0]}' occurs twice: name each class once")


def warn_of_empty_classes(what: str, names: Sequence[str], labels: np.ndarray) -> None:
    """Warn of classes without images; the (n,) labels must be below the number of names."""
    counts = np.bincount(labels, minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty and len(labels):
        shown = ", ".join(empty[:NAMED]) + (" ..." if len(empty) > NAMED else "")
        print(
            f"warning: {what}: no pictures of {len(empty)} of {len(names)} classes: {shown}",
            file=sys.stderr,
        )


def _text(where: str, name: str | bytes | int) -> str:
    try:
        return name.decode() if isinstance(name, bytes) else str(name)
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: class name {name!r} is not UTF-8") from error
