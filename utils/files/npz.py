"""Npz files: our own, and those of a user."""

import io
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from utils.errors import UserError, first_line
from utils.files.whole import whole_file

NPY_START = b"\x93NUMPY"
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# The last two stand for an unknown compression, and for an offset before the start of the file.
DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, tf.errors.InvalidArgumentError)
UNREADABLE = (  # the errors of np.load for files in other formats
    *(ValueError, TypeError, OSError, EOFError, KeyError, RuntimeError, tf.errors.OpError),
    *DAMAGED,
)


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of an npz by name; raises one of `UNREADABLE`."""
    with tf.io.gfile.GFile(path, "rb") as file, np.load(io.BytesIO(file.read())) as arrays:
        return dict(arrays)


def write_npz(path: str, arrays: Mapping[str, np.ndarray | str | int]) -> None:
    """Write arrays by name whole or not at all, as np.savez does, which lacks the name `file`."""
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def read_npz(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of an npz by name; raises UserError if it is missing, damaged or no npz."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            start = file.read(len(NPY_START))
            if start == NPY_START:
                raise UserError(
                    f"{path} is a single array of np.save, no npz: write it with "
                    "np.savez(FILE, images=...)"
                )
            if not start.startswith(ZIP_STARTS):
                raise UserError(f"{path} is no npz: write one with np.savez(FILE, images=...)")
            file.seek(0)
            with np.load(file) as arrays:
                return dict(arrays)
    except tf.errors.NotFoundError as error:
        raise UserError(f"npz {path} not found") from error
    except UNREADABLE as error:
        objects = "pickle" in str(error)  # NumPy's message advises to load them unsafely
        reason = "it holds Python objects, not numbers or text" if objects else first_line(error)
        reason = "it is cut short or damaged" if isinstance(error, DAMAGED) else reason
        raise UserError(f"npz {path} cannot be read: {reason}") from error
