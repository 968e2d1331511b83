"""Arrays with one row per image, written to disk batch by batch, one file per batch.

A file is written whole or not at all and is named by the number of its first image. A killed run
continues from the files it left. Memory does not grow with the number of images.
"""

import io
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from utils.errors import UserError
from utils.files.folders import list_folder
from utils.files.whole import join, make_folder, whole_file

ENDING = ".npy"


class ArrayFiles:
    """The arrays of one set of images in one folder; the first axis is that of images."""

    def __init__(self, folder: str):
        self.folder = folder

    def put(self, first: int, array: np.ndarray) -> None:
        """Write the array of a batch whose first image has the number `first`."""
        make_folder(self.folder)
        with whole_file(self._path(first)) as temporary, open(temporary, "wb") as file:
            np.save(file, array)

    def numbers(self) -> list[int]:
        """Return the number of each file's first image, sorted."""
        if not tf.io.gfile.isdir(self.folder):
            return []
        stems = [os.path.splitext(name) for name in list_folder(self.folder).files]
        return sorted(int(stem) for stem, end in stems if end == ENDING and stem.isdecimal())

    def get(self, first: int) -> np.ndarray:
        """Return the array of a batch; raises UserError for a missing or damaged file."""
        path = self._path(first)
        with tf.io.gfile.GFile(path, "rb") as file:
            try:
                return np.load(io.BytesIO(file.read()))
            except tf.errors.NotFoundError as error:
                advice = "copy the run folder again, or begin anew"
                raise UserError(f"{path} is missing: {advice}") from error
            except (ValueError, EOFError) as error:
                raise UserError(f"{path} is damaged: remove it and begin anew") from error

    def batches(self) -> Iterator[np.ndarray]:
        """Yield the arrays in the order of their images; raises UserError for a damaged file."""
        yield from (array for _, array in self._in_order())

    def _in_order(self) -> Iterator[tuple[int, np.ndarray]]:
        end = 0
        for number in self.numbers():
            if number >= end:  # else left by a killed run on more workers, and written again
                array = self.get(number)
                end = number + len(array)
                yield number, array

    def rows(self, count: int) -> Iterator[np.ndarray]:
        """Yield the arrays of the first `count` images, in order.

        Raises UserError if files are missing, as in a folder that was copied in part.
        """
        done = 0
        for number, array in self._in_order():
            if number != done:
                break
            yield array[: count - done]
            done += len(array)
            if done >= count:
                return
        raise UserError(
            f"{self.folder} holds {done} of {count} images: files are missing; copy the run "
            "folder again, or begin anew"
        )

    def drop_from(self, number: int) -> None:
        """Delete the files that begin at image `number` or later."""
        for first in self.numbers():
            if first >= number:
                tf.io.gfile.remove(self._path(first))

    def drop(self) -> None:
        """Delete all files."""
        if tf.io.gfile.isdir(self.folder):
            tf.io.gfile.rmtree(self.folder)

    def _path(self, number: int) -> str:
        return join(self.folder, f"{number:08}{ENDING}")
