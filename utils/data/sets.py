"""Data sets: decoded as they are read, or decoded once and kept in memory.

Both give any batch of an order directly, so that reading needs no state.
"""

import functools
import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from utils.data import pictures
from utils.data.pictures import Augmentation
from utils.data.sources import CHUNK, Source, all_labels, one_line_read_errors, untuned
from utils.devices.strategy import CORES
from utils.errors import UserError, recorded_how_to_resume

READ_BATCH = 512  # records decoded at once when a set is read into memory

Examples = tuple[np.ndarray, np.ndarray, np.ndarray]  # images, labels, indices


class StreamedDataset:
    """One split, decoded as it is read; `num_examples` includes damaged pictures.

    Pictures are uint8, or float32 in [0, 255] without `rounded`.
    """

    def __init__(
        self,
        source: Source,
        image_dims: Sequence[int],
        augmentation: Augmentation,
        on_corrupt: str,
        *,
        rounded: bool = True,
    ):
        self.source, self.image_dims = source, tuple(image_dims)
        self.dtype = tf.uint8 if rounded else tf.float32
        self.augmentation, self.on_corrupt = augmentation, on_corrupt
        self.name, self.split, self.class_names = source.name, source.split, source.class_names
        self.num_examples, self.num_indices = source.num_records, source.num_indices
        self.has_labels, self.fingerprint = source.has_labels, source.fingerprint
        self.spans = source.spans
        self.corrupt: set[int] = set()
        self.reported_grey = False
        self._decode = tf.function(self._decode_rows, autograph=False)  # one trace for all epochs

    @property
    def num_whole(self) -> int:
        """The number of pictures that decode; known after all have been read."""
        return self.num_examples - len(self.corrupt)

    @functools.cached_property
    def first_labels(self) -> np.ndarray:
        """The (n,) int64 labels of the first pictures, in the source's order."""
        return all_labels(self.source, CHUNK)

    def batches(
        self,
        batch_size: int,
        numbers: np.ndarray,
        *,
        rng: np.random.Generator | None = None,
        draws: np.ndarray | None = None,
        rows: slice | None = None,
    ) -> Iterator[Examples]:
        """Yield the batches of ascending `numbers` in the source's order, or in a shuffled one.

        `rng` shuffles. A batch is images (b, h, w, c) of `dtype`, labels (b,), and indices (b,) of
        the images in the data set. With `draws` (num_indices, 3) in [0, 1), images are cropped at
        random. Damaged pictures are left out. With `rows`, only these rows of each batch are
        yielded. A damaged picture is then replaced by the next whole one of its batch, so that the
        others keep their rows; a batch without a whole picture is empty.
        """
        with tf.device("CPU"):
            drawn = None if draws is None else tf.constant(draws)
        own = None if rows in (None, slice(0, batch_size)) else (rows.start, rows.stop)
        # Cores share the pictures of a batch, not the batches: the key `deterministic` makes a
        # parallel map serial if its function contains a data set.
        decoded = self._chosen(batch_size, numbers, rng).map(
            lambda batch, _: self._decode(*batch, drawn, own)
        )
        decoded = untuned(decoded.prefetch(2))
        with one_line_read_errors(self.source):
            for images, good, labels, indices, lost in decoded.as_numpy_iterator():
                if lost and not self.reported_grey:
                    self._report_grey()
                if len(good) < len(indices):
                    self._report_corrupt(np.delete(indices, good))
                    if rows is not None and len(good):
                        kept = np.searchsorted(good, np.arange(len(indices))[rows]) % len(good)
                        images, good = images[kept], good[kept]
                yield images, labels[good], indices[good]

    def whole_batches(
        self, batch_size: int, *, rng: np.random.Generator | None = None, start: int = 0
    ) -> Iterator[Examples]:
        """Yield one pass in batches of whole pictures, from batch `start` on.

        Only the last batch may be smaller. Pictures before `start` are decoded, too, because it is
        not known in advance which are damaged.
        """
        numbers = np.arange(-(-self.num_examples // batch_size))
        parts = self.batches(batch_size, numbers, rng=rng)
        return itertools.islice(_filled_up(parts, batch_size), start, None)

    def _chosen(
        self, batch_size: int, numbers: np.ndarray, rng: np.random.Generator | None
    ) -> tf.data.Dataset:
        """Return the undecoded batches of `numbers`; earlier records are skipped unread."""
        first = numbers[0]
        wanted = np.zeros(numbers[-1] + 1 - first, bool)
        wanted[numbers - first] = True
        records = self.source.records(rng).skip(first * batch_size).batch(batch_size)
        return tf.data.Dataset.zip(records, tf.data.Dataset.from_tensor_slices(wanted)).filter(
            lambda _, is_wanted: is_wanted  # pyright: ignore[reportArgumentType]  # of a pair
        )

    def _decode_rows(
        self, indices: tf.Tensor, records: Any, draws: tf.Tensor | None, own: tuple | None
    ) -> tuple:
        """Decode the `own` rows of a batch; the whole batch for None, or if one is damaged."""
        if own is None:
            return self._decode_batch(indices, records, draws)
        own_indices = indices[slice(*own)]
        own_records = tf.nest.map_structure(lambda x: x[slice(*own)], records)
        decoded = self._decode_batch(own_indices, own_records, draws)
        are_whole = tf.equal(tf.size(decoded[1]), tf.size(own_indices))
        return tf.cond(
            are_whole, lambda: decoded, lambda: self._decode_batch(indices, records, draws)
        )

    def _decode_batch(self, indices: tf.Tensor, records: Any, draws: tf.Tensor | None) -> tuple:
        """Return the k pictures that decode, their (k,) rows, all labels (b,) and indices (b,).

        The last value says whether a colour picture became grey.
        """
        encoded, labels = self.source.parse(records)
        size, _, channels = self.image_dims

        def fit(picture: tf.Tensor, index: tf.Tensor, row: tf.Tensor) -> tuple:
            image, lost = self.source.read(picture), False
            if channels == 1:
                lost = tf.reduce_any(tf.not_equal(image, image[:, :, :1]))
                image = pictures.grey(image)
            if draws is None:
                return pictures.center_crop(image, size, self.dtype), row, lost
            return pictures.random_crop(image, size, draws[index], self.dtype), row, lost

        count = tf.size(indices)
        each = tf.data.Dataset.from_tensor_slices((encoded, indices, tf.range(count)))
        good = each.map(fit, num_parallel_calls=CORES)
        # A dummy at the end, so that there is a batch even if no picture decodes.
        last = tf.data.Dataset.from_tensors((tf.zeros(self.image_dims, self.dtype), -1, False))
        padded = good.ignore_errors(log_warning=False).concatenate(last)
        whole = untuned(padded.batch(tf.cast(count, tf.int64) + 1))
        images, rows, lost = whole.get_single_element()
        return images[:-1], rows[:-1], labels, indices, tf.reduce_any(lost)

    def _report_grey(self) -> None:
        self.reported_grey = True
        print(
            f"{self.name}, split {self.split}: colour pictures become grey, because 'image_dims' "
            f"is {[*self.image_dims]}",
            flush=True,
        )

    def _report_corrupt(self, indices: np.ndarray) -> None:
        """Warn of damaged pictures, once each; raise UserError if `data_corrupt` is `stop`."""
        for index in sorted({*indices.tolist()} - self.corrupt):
            name = self.source.describe(index)
            if self.on_corrupt == "stop":
                resume = recorded_how_to_resume("")
                raise UserError(
                    f"data set {self.name}: picture cannot be decoded: {name}; to leave it out add "
                    f"--set data_corrupt=skip{resume and f' ({resume})'}, or replace it and begin "
                    "anew"
                )
            self.corrupt.add(index)
            print(
                f"warning: {self.name}: picture cannot be decoded, left out "
                f"({len(self.corrupt)} so far): {name}",
                file=sys.stderr,
            )


class MemoryDataset:
    """One split in memory: images (n, h, w, c) of the stream's dtype, labels and indices (n,)."""

    def __init__(self, stream: StreamedDataset):
        """Decode all pictures of `stream` but damaged ones; raises UserError if none is left."""
        self.name, self.split, self.class_names = stream.name, stream.split, stream.class_names
        self.has_labels, self.num_indices = stream.has_labels, stream.num_indices
        self.fingerprint, self.spans = stream.fingerprint, stream.spans
        self.augmentation = stream.augmentation
        self.images, self.labels, self.indices = _read_all(stream)
        self.corrupt = stream.corrupt
        self.num_examples = self.num_whole = len(self.images)
        self.first_labels = self.labels
        if not self.num_examples:
            raise UserError(
                f"data set {self.name}, split {self.split}: all its pictures are damaged; replace "
                "them"
            )

    def batches(
        self,
        batch_size: int,
        numbers: np.ndarray,
        *,
        rng: np.random.Generator | None = None,
        draws: np.ndarray | None = None,
        rows: slice | None = None,
    ) -> Iterator[Examples]:
        """Yield as `StreamedDataset.batches` does; `draws` has no effect, nothing is cropped."""
        del draws
        count = self.num_examples
        order = np.arange(count) if rng is None else rng.permutation(count)
        for number in numbers:
            own = order[number * batch_size : (number + 1) * batch_size]
            own = own if rows is None else own[rows]
            yield self.images[own], self.labels[own], self.indices[own]

    def whole_batches(
        self, batch_size: int, *, rng: np.random.Generator | None = None, start: int = 0
    ) -> Iterator[Examples]:
        """Yield one pass from batch `start` on, as `StreamedDataset.whole_batches` does."""
        numbers = np.arange(start, -(-self.num_examples // batch_size))
        return self.batches(batch_size, numbers, rng=rng)


Dataset = StreamedDataset | MemoryDataset


def _filled_up(parts: Iterator[Examples], batch_size: int) -> Iterator[Any]:
    """Join smaller batches into batches of `batch_size`; the last one may be smaller."""
    held = None
    for part in parts:
        if held is not None:
            part = tuple(np.concatenate(pair) for pair in zip(held, part, strict=True))
        held = part
        if len(part[0]) >= batch_size:
            yield tuple(array[:batch_size] for array in part)
            held = (
                tuple(array[batch_size:] for array in part) if len(part[0]) > batch_size else None
            )
    if held is not None and len(held[0]):
        yield held


def _read_all(stream: StreamedDataset) -> Examples:
    """Decode a whole data set into arrays of its images, labels and indices."""
    count = stream.num_examples
    images = np.empty((count, *stream.image_dims), stream.dtype.as_numpy_dtype)
    labels, indices = np.empty(count, np.int64), np.empty(count, np.int64)
    filled = 0
    bar = tqdm(desc=f"decoding {stream.name}", total=count, unit="im", delay=1, disable=None)
    for part in stream.batches(READ_BATCH, np.arange(-(-count // READ_BATCH))):
        end = filled + len(part[0])
        images[filled:end], labels[filled:end], indices[filled:end] = part
        filled = end
        bar.update(len(part[0]))
    bar.close()
    return images[:filled], labels[:filled], indices[:filled]
