"""Labels and names of classes: what can be relied on before anything is made of them."""

import sys
from collections.abc import Sequence

import numpy as np

from utils.errors import UserError

NAMED = 10  # classes in a warning


def read_labels(where: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Return the labels of `count` images as int64; raises UserError unless they are from 0."""
    is_list = labels.shape == (count,) and labels.dtype.kind in "iu"
    if not is_list:
        raise UserError(
            f"{where}: 'labels' must be {count} whole numbers from 0, one an image, not "
            f"{labels.dtype} of shape {labels.shape}"
        )
    numbers = labels.astype(np.int64)
    if (numbers < 0).any():  # as those beyond int64 become
        raise UserError(f"{where}: 'labels' must be from 0, not {labels[numbers < 0][0]}")
    return numbers


def read_class_names(where: str, names: np.ndarray | None, labels: np.ndarray) -> tuple[str, ...]:
    """Return the names of the classes of (n,) int64 labels; without names they are numbers.

    Raises UserError for labels without a name, and for more classes than images where numbers
    alone would tell how many there are.
    """
    classes = int(labels.max(initial=-1)) + 1
    if names is None:
        if classes > len(labels):
            raise UserError(
                f"{where}: 'labels' up to {classes - 1:,} for {len(labels):,} images: count "
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
        raise UserError(f"{where}: {classes:,} classes in 'labels', {len(texts)} class_names")
    return texts


def refuse_repeats(what: str, names: Sequence[str]) -> None:
    """Raise UserError for a name that is there twice."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{what}: '{repeated[0]}' is there twice: name each class once")


def warn_of_empty_classes(what: str, names: Sequence[str], labels: np.ndarray) -> None:
    """Tell which classes none of the (n,) labels, all below the number of names, belongs to."""
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
