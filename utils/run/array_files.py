"""Arrays of one value an image that arrive batch by batch, on disk: a file a batch.

A file is whole or not there, and is named by the number of its first image. What a kill leaves
behind is gone on from; memory does not grow with the number of images.
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
    """The arrays of one set of images, first axis the images, under one folder."""

    def __init__(self, folder: str):
        self.folder = folder

    def put(self, first: int, array: np.ndarray) -> None:
        """Write the array of the images from number `first` on."""
        make_folder(self.folder)
        with whole_file(self._path(first)) as temporary, open(temporary, "wb") as file:
            np.save(file, array)

    def numbers(self) -> list[int]:
        """Return the number of each file's first image, sorted."""
        if not tf.io.gfile.isdir(self.folder):
            return []
        stems = [os.path.splitext(name) for name in list_folder(self.folder).files]
        return sorted(int(stem) for stem, end in stems if end == ENDING and stem.isdecimal())

    def batches(self) -> Iterator[np.ndarray]:
        """Yield the arrays in the order of their images."""
        for number in self.numbers():
            path = self._path(number)
            with tf.io.gfile.GFile(path, "rb") as file:
                try:
                    yield np.load(io.BytesIO(file.read()))
                except (ValueError, EOFError) as error:
                    raise UserError(f"{path} is damaged: remove it and begin anew") from error

    def drop_from(self, number: int) -> None:
        """Delete what begins at image `number` or later."""
        for first in self.numbers():
            if first >= number:
                tf.io.gfile.remove(self._path(first))

    def drop(self) -> None:
        """Delete everything."""
        if tf.io.gfile.isdir(self.folder):
            tf.io.gfile.rmtree(self.folder)

    def _path(self, number: int) -> str:
        return join(self.folder, f"{number:08}{ENDING}")
