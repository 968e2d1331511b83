"""Streams: from a config to batches of float32 images in [-1, 1].

The order and the augmentation of the data are functions of (seed, epoch). An epoch is one pass over
the shuffled records, cut into batches; its remainder is dropped. Update u takes batch u, and each
process reads its own positions of it. So the batch of any update can be read at any time, and does
not depend on the number of processes. Small data sets are kept decoded in memory, large ones are
decoded as they are read.
"""

import contextlib
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from utils.config.checks import PADDED_CROPS, data_name
from utils.config.keys import FOSSILS, KEYS
from utils.config.load import find_config, parse_overrides, read_config_file, unknown_keys
from utils.config.record import Config, read
from utils.data.class_labels import how_to_label
from utils.data.pictures import Augmentation, to_float
from utils.data.sets import Dataset, MemoryDataset, StreamedDataset
from utils.data.sources import Source, keep_classes, open_folder, open_npz, unlabelled
from utils.data.tfds import open_tfds
from utils.errors import UserError
from utils.seeds import Purpose, host_rng

MEMORY = 1024  # MB
LOOKED_AT = 16  # pictures whose size and brightness are checked
DARK = 32  # of 256 levels
ORDER_SEED = 0  # of the order that reference images are taken from, whatever the config's seed
DATA_KEYS = (
    *("data_type", "data_dir", "data_download", "data_labels", "label_attribute", "data_flip"),
    *("data_corrupt", "data_memory", "split", "random_crop", "image_dims", "data_epsilon"),
    *("gs_path", "seed"),
)
OPENERS = {"image_folder": open_folder, "npz": open_npz}  # any other data_type is a TFDS name


def load_data(
    config: Mapping[str, Any], split: str | None = None, source: Source | None = None
) -> Dataset:
    """Open a split (default: the config's) of a config's data set, or take its opened `source`.

    It is kept in memory if its decoded pictures take at most `data_memory` MB, and if no random
    crop precedes the resize. Raises UserError for missing or unfit data.
    """
    usual = config.get("split") or "train"
    source = source or open_source(config, split or usual)
    padded = data_name(config) in PADDED_CROPS
    crop = bool(config.get("random_crop"))
    augmentation = Augmentation(
        padded_crop=crop and padded,
        resized_crop=crop and not padded,
        flip=bool(config.get("data_flip")),
    )
    dims = config["image_dims"]
    if config["data_type"] in OPENERS:
        _warn_of_dark(source)
    looks = augmentation.resized_crop and source.split == usual
    if looks and {picture.shape[:2] for picture in _first_pictures(source)} == {(*dims[:2],)}:
        print(
            f"warning: random_crop does nothing: the pictures of {source.name} are "
            f"{dims[0]}x{dims[0]} already",
            file=sys.stderr,
        )
    on_corrupt = config.get("data_corrupt") or "skip"
    rounded = config.get("quantize", True)  # data are rounded if samples are
    stream = StreamedDataset(source, dims, augmentation, on_corrupt, rounded=rounded)
    memory = config.get("data_memory", MEMORY) * 2**20
    size = source.num_records * math.prod(dims) * stream.dtype.size
    if augmentation.resized_crop or size > memory:
        return stream
    return MemoryDataset(stream)


def load_evaluation(config: Mapping[str, Any], split: str | None = None) -> Dataset:
    """Open a split, without augmentation, for scores and attacks."""
    return load_data({**config, "random_crop": False, "data_flip": False}, split)


def load_held_out(config: Mapping[str, Any], dataset: Dataset) -> Dataset:
    """Open `heldout_split`; raises UserError if `dataset`, the data's split, has pictures of it."""
    held_out = load_evaluation(config, config["heldout_split"])
    for (name, first, end), (other, start, stop) in itertools.product(
        held_out.spans, dataset.spans
    ):
        if name == other and max(first, start) < min(end, stop):
            raise UserError(
                f"'heldout_split' '{held_out.split}' has pictures of 'split' '{dataset.split}': "
                "name a part that nothing is learned from"
            )
    return held_out


def open_source(config: Mapping[str, Any], split: str) -> Source:
    """Return a split of a config's data set, restricted to its `data_labels`."""
    if config["data_type"] == "generator":
        raise UserError("'data_type' is 'generator', which is no data set: name another")
    source = OPENERS.get(config["data_type"], open_tfds)(config, split)
    if config.get("data_labels"):
        source = keep_classes(source, config["data_labels"])
    if not source.num_records:
        raise UserError(f"data set {source.name}, split {split}: no pictures: choose another split")
    return source


def _first_pictures(source: Source) -> list[np.ndarray]:
    """Return the first pictures (h, w, 3) uint8 of a source, without damaged ones."""
    pictures = []
    for _, records in source.records(None).take(LOOKED_AT).batch(LOOKED_AT):
        for picture in source.parse(records)[0]:
            # Damaged pictures are reported when they are read.
            with contextlib.suppress(tf.errors.OpError):
                pictures.append(source.read(picture).numpy())
    return pictures


def _warn_of_dark(source: Source) -> None:
    """Warn if pictures use few of the 256 levels, as masks of 0 and 1 and 12-bit ones do."""
    brightest = max((int(picture.max()) for picture in _first_pictures(source)), default=0)
    if 0 < brightest < DARK:
        print(
            f"warning: {source.name}: the brightest value of the first pictures is {brightest} of "
            "255: scale them to 0..255, unless they are meant to be this dark",
            file=sys.stderr,
        )


class TrainingStream:
    """Shuffled, augmented batches: a pure function of (data set, seed, purpose, update).

    It yields the rows `positions` of each batch (default: all).
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        positions: slice | None = None,
        seed: int = 0,
        purpose: Purpose = Purpose.DATA,
    ):
        self.dataset, self.batch_size = dataset, batch_size
        self.positions = positions or slice(0, batch_size)
        self.seed, self.purpose = seed, purpose
        self.batches_per_epoch = dataset.num_examples // batch_size
        if not self.batches_per_epoch:
            raise UserError(
                f"data set {dataset.name}, split {dataset.split}: {dataset.num_examples} pictures "
                f"are fewer than a batch of {batch_size}: choose a smaller batch_size"
            )
        self._coming: Iterator[tuple[np.ndarray, np.ndarray, int | None]] = iter(())
        self._next: int | None = None  # the batch that `_coming` gives next

    def batch(self, update: int) -> np.ndarray:
        """Return the images (b, h, w, c) float32 in [-1, 1] of an update."""
        return self._read(update)[0]

    def labelled_batch(self, update: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and labels (b,) int64 of an update; raises UserError without labels."""
        require_labels(self.dataset)
        images, labels = self._read(update)
        require_label_of_each(self.dataset, labels)
        return images, labels

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return batch `number` of the order; consecutive batches are fast."""
        if number != self._next:
            self._coming = self._open(number)
        images, labels, self._next = next(self._coming)
        return images, labels

    def _open(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray, int | None]]:
        """Yield images, labels and the next batch's number, from batch `number` on in its epoch."""
        epoch, first = divmod(number, self.batches_per_epoch)
        numbers = np.arange(first, self.batches_per_epoch)
        draws = host_rng(self.seed, self.purpose, epoch, 1).random(
            (self.dataset.num_indices, 3), np.float32
        )
        augmentation = self.dataset.augmentation
        batches = self.dataset.batches(
            self.batch_size,
            numbers,
            rng=host_rng(self.seed, self.purpose, epoch, 0),
            draws=draws if augmentation.resized_crop else None,
            rows=self.positions,
        )
        following = [*range(number + 1, number + len(numbers)), None]
        for (images, labels, indices), next_number in zip(batches, following, strict=True):
            if not len(images):
                raise UserError(
                    f"data set {self.dataset.name}: all {self.batch_size} pictures of a batch are "
                    "damaged; replace them"
                )
            yield augmentation(to_float(images), draws[indices]), labels, next_number


def evaluation_batches(
    dataset: Dataset,
    batch_size: int,
    *,
    seed: int | None = None,
    purpose: Purpose = Purpose.EVALUATION,
    start: int = 0,
    count: int | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray]]:
    """Yield one pass over a split: images, labels (None if there are none), and indices.

    Images are (b, h, w, c) float32 in [-1, 1], without augmentation. Damaged pictures are left out,
    and only the last batch may be smaller. The order is the data set's own, or shuffled by `seed`;
    an index is an image's number in the data set in any order. `start` is the first batch, from 0.
    With a `count` the pass has that many images. Raises UserError if there are fewer, or if the
    split has none. Without a `count` there may be nothing after `start`.
    """
    end = dataset.num_examples if count is None else count
    if (taken := start * batch_size) >= end:
        return
    rng = None if seed is None else host_rng(seed, purpose)
    for images, labels, indices in dataset.whole_batches(batch_size, rng=rng, start=start):
        left = min(batch_size, end - taken)
        if count is not None and len(images) < left:
            break  # raise now: the caller may stop after this batch
        yield to_float(images[:left]), labels[:left] if dataset.has_labels else None, indices[:left]
        taken += len(images)
        if taken >= end:
            return
    if count is not None or not taken:
        damaged = f" beside {len(dataset.corrupt)} damaged ones" if dataset.corrupt else ""
        raise UserError(
            f"data set {dataset.name}, split {dataset.split}: {dataset.num_whole} pictures{damaged}"
            f", not the required {end}: ask for fewer, or add some"
        )


def first_images(
    dataset: Dataset, batch_size: int, most: int, start: int = 0
) -> Iterator[np.ndarray]:
    """Yield the images that scores use, from batch `start` on: at most `most` of the split.

    They are (b, h, w, c) float32 in [-1, 1], in an order that no seed changes.
    """
    left = most - start * batch_size
    if left <= 0:
        return
    for images, _, _ in evaluation_batches(dataset, batch_size, seed=ORDER_SEED, start=start):
        yield images[:left]
        left -= len(images)
        if left <= 0:
            return


def require_labels(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of the classes.

    Raises UserError if the data set has no labels, pictures without a label, or classes without
    names. For a streamed set only the first pictures are checked.
    """
    if dataset.class_names is None:
        lack = "labels without class names" if dataset.has_labels else "no labels"
        raise UserError(
            f"data set {dataset.name} has {lack}: {how_to_label(dataset.name)}, or choose another "
            "data set"
        )
    require_label_of_each(dataset, dataset.first_labels)
    return dataset.class_names


def require_label_of_each(dataset: Dataset, labels: np.ndarray | None) -> None:
    """Raise UserError if a picture has no label."""
    if labels is None or labels.min(initial=0) < 0:
        raise unlabelled(dataset.name, dataset.split)


def data_config(path: str, overrides: Sequence[str]) -> Config:
    """Return the data keys of any script's config; other keys of scripts are ignored."""
    written = {**read_config_file(find_config(path)), **parse_overrides(overrides)}
    problems = unknown_keys(written, {key.name for key in KEYS + FOSSILS}, "the scripts")
    config, found = read(written, {key.name: key for key in KEYS if key.name in DATA_KEYS})
    if config is None or problems:
        raise UserError(f"{path}: " + "; ".join(problems + found))
    # Scripts that do not train on data add no noise.
    return config | {"data_epsilon": config.data_epsilon or 0.0}
