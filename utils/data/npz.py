"""Reading an npz that a user wrote, or took for one."""

import zipfile
import zlib

import numpy as np
import tensorflow as tf

from utils.errors import UserError, first_line

NPY_START = b"\x93NUMPY"
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# The last two are of an unknown compression, and of a place before the beginning of the file.
DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, tf.errors.InvalidArgumentError)
UNREADABLE = (  # what np.load raises for files that are not what it takes them for
    *(ValueError, TypeError, OSError, EOFError, KeyError, RuntimeError, tf.errors.OpError),
    *DAMAGED,
)


def read_npz(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of an npz by their names; raises UserError that says what it is not."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            start = file.read(len(NPY_START))
            if start == NPY_START:
                raise UserError(
                    f"{path} is a single array, as np.save writes it, no npz: write it with "
                    "np.savez(FILE, images=...)"
                )
            if not start.startswith(ZIP_STARTS):
                raise UserError(f"{path} is no npz: np.savez(FILE, images=...) writes one")
            file.seek(0)
            with np.load(file) as arrays:
                return dict(arrays)
    except tf.errors.NotFoundError as error:
        raise UserError(f"npz {path} not found") from error
    except UNREADABLE as error:
        objects = "pickle" in str(error)  # whose advice is to load them unsafely
        reason = "it holds Python objects, not numbers or text" if objects else first_line(error)
        reason = "it is cut short or damaged" if isinstance(error, DAMAGED) else reason
        raise UserError(
            f"{path} cannot be read as an npz with an array 'images': {reason}"
        ) from error
