"""Sources of pictures: the class `Source`, image folders and npz files.

A source is a sequence of undecoded records and a way to read them, so that records can be counted,
shuffled, skipped and distributed before they are decoded. `utils.data.tfds` has the sources of
TensorFlow Datasets.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from utils.config.checks import EMBEDDED, OWN_FORMATS, data_name
from utils.config.load import REPOSITORY
from utils.data.class_labels import (
    how_to_label,
    read_class_names,
    read_labels,
    refuse_repeats,
    warn_of_empty_classes,
)
from utils.data.image_folder import pictures_by_label, split_folder
from utils.data.pictures import decode
from utils.errors import UserError, first_line, nearest
from utils.files.fingerprints import hash_files
from utils.files.npz import read_npz
from utils.files.whole import join

NO_LABEL = -1
CHUNK = 1024  # records that are parsed at once
SPELLINGS = ("celeb-a_tfds", "celeb_a_tfds")  # the published configs use both


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of a data set, undecoded.

    `records(rng)` is a tf.data.Dataset of (index, record); the index is the record's number in the
    source's own order. Records come in that order for None, else shuffled by `rng`. `parse` turns a
    batch of records into encoded pictures (b, ...) and labels (b,) int64, `read` one encoded
    picture into (h, w, 3) uint8. `describe(index)` names a record in messages.
    `spans` are its records in TFRecord files: (file, first, end).
    `fingerprint(kept, keep=False)` identifies the data, see `fingerprints.hash_files`: the user's
    own pictures by their contents, TFDS data sets by their version.
    """

    name: str
    split: str
    num_records: int
    num_indices: int  # a bound: all indices are below it
    class_names: tuple[str, ...] | None
    has_labels: bool
    records: Callable[[np.random.Generator | None], tf.data.Dataset]
    parse: Callable[[Any], tuple[tf.Tensor, tf.Tensor]]
    read: Callable[[tf.Tensor], tf.Tensor]
    describe: Callable[[int], str]
    fingerprint: Callable[..., dict[str, Any]]
    spans: tuple[tuple[str, int, int], ...] = ()


def untuned(records: tf.data.Dataset) -> tf.data.Dataset:
    """Return the same data set without the tuner of tf.data, which has nothing to tune here.

    The tuner sleeps for up to a minute between two looks, and an iterator that is left before its
    end waits for it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return records.with_options(options)


@contextlib.contextmanager
def one_line_read_errors(source: Source) -> Iterator[None]:
    """Raise TensorFlow's errors of reading records as UserError."""
    try:
        yield
    except tf.errors.OpError as error:
        raise UserError(
            f"data set {source.name} cannot be read: {first_line(error)}; if its files are "
            "damaged, prepare it again"
        ) from error


def all_labels(source: Source, limit: int = -1) -> np.ndarray:
    """Return the labels (n,) int64 of a source, or of its first `limit` records, in its own order.

    It decodes no pictures.
    """
    records = source.records(None).take(limit).batch(CHUNK)
    chunks = records.map(lambda _, record: source.parse(record)[1])
    with one_line_read_errors(source):
        parts = list(untuned(chunks.prefetch(1)).as_numpy_iterator())
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def keep_classes(source: Source, wanted: Sequence[str]) -> Source:
    """Return the source restricted to the classes `wanted`; labels are positions in that list.

    Raises UserError for unknown or repeated classes, and for a source without class names.
    """
    if source.class_names is None:
        raise UserError(
            f"data_labels: data set {source.name} has no named classes: "
            + how_to_label(source.name)
        )
    for name in wanted:
        if name not in source.class_names:
            raise UserError(
                f"data_labels: data set {source.name} has no class '{name}'"
                + nearest(name, source.class_names)
            )
    refuse_repeats("data_labels", wanted)
    labels = all_labels(source)
    if labels.min(initial=0) < 0:
        raise unlabelled(source.name, source.split)
    table = np.full(len(source.class_names), NO_LABEL, np.int64)
    table[[source.class_names.index(name) for name in wanted]] = np.arange(len(wanted))
    labels = table[labels]
    labels = labels[labels != NO_LABEL]
    warn_of_empty_classes(f"data set {source.name}, split {source.split}", wanted, labels)

    def parse(records: Any) -> tuple[tf.Tensor, tf.Tensor]:
        encoded, labels = source.parse(records)
        return encoded, tf.gather(table, labels)

    def kept(indices: tf.Tensor, records: Any) -> Any:
        mask = tf.not_equal(parse(records)[1], NO_LABEL)
        return tf.nest.map_structure(lambda t: tf.boolean_mask(t, mask), (indices, records))

    def records(rng: np.random.Generator | None) -> tf.data.Dataset:
        return source.records(rng).batch(CHUNK).map(kept).unbatch()

    return dataclasses.replace(
        source,
        class_names=tuple(wanted),
        records=records,
        parse=parse,
        num_records=len(labels),
    )


def unlabelled(name: str, split: str) -> UserError:
    """Return the error for pictures without labels."""
    return UserError(
        f"data set {name}, split {split}: some pictures have no label (-1), as in some test "
        "splits: choose another split"
    )


def data_dirs(config: Mapping[str, Any]) -> list[str]:
    """Return the folders in which a config's data may lie; data are prepared in the first one.

    `data_dir` is looked up in the working directory, then in the repository, in both spellings of
    CelebA's folder; with `gs_path` in that bucket only, where TFDS data may lie at the root, too.
    """
    name = data_name(config)
    written = config.get("data_dir") or f"{name}_tfds"
    spelt = [written]
    for one, other in (SPELLINGS, SPELLINGS[::-1]):
        if one in written:
            spelt.append(written.replace(one, other))
    if config.get("gs_path") and name != EMBEDDED:
        bucket = f"gs://{config['gs_path']}"
        root = [] if name in OWN_FORMATS else [bucket]
        return root + [own if "://" in own else f"{bucket}/{own}" for own in spelt]
    folders = [name if "://" in name else str(Path(name).absolute()) for name in spelt]
    folders += [str(REPOSITORY / name) for name in spelt if "://" not in name]
    return list(dict.fromkeys(folders))


def exists(path: str) -> bool:
    """Return whether a file or folder exists; raises UserError if that cannot be checked."""
    try:
        return tf.io.gfile.exists(path)
    except tf.errors.OpError as error:  # a bucket without a network or a permission
        raise UserError(f"cannot look into {path}: {first_line(error)}") from error


def open_folder(config: Mapping[str, Any], split: str) -> Source:
    """Open `data_dir/split/label/*.png`; folders of splits and of labels are optional.

    Without folders of splits, `data_dir` itself is the split `train`. Raises UserError.
    """
    others = {config[key] for key in ("split", "heldout_split") if config.get(key) is not None}
    root = split_folder(_existing(config, "the folder of your pictures"), split, others)
    folders = pictures_by_label(root)
    files = [file for name in folders for file in folders[name]]
    plain = "" in folders
    counts = [len(files) for files in folders.values()]
    return _table_source(
        name="image_folder",
        split=split,
        pictures=np.array(files),
        labels=None if plain else np.repeat(np.arange(len(counts)), counts),
        class_names=None if plain else tuple(folders),
        read=lambda path: decode(tf.io.read_file(path)),
        describe=lambda index: files[index],
        fingerprint=functools.partial(hash_files, root, files),
    )


def open_npz(config: Mapping[str, Any], split: str) -> Source:
    """Open an npz: `images` (n, h, w[, 1 or 3]) uint8, optional `labels` (n,) and `class_names`.

    `data_dir` is a file, which is the split `train`, or a folder of files `<split>.npz`. Raises
    UserError.
    """
    path = _existing(config, "your .npz file")
    if tf.io.gfile.isdir(path):
        path = join(path, f"{split}.npz")
    elif split != "train":
        raise UserError(
            f"npz {path} is the split 'train': for '{split}' set data_dir to a folder that holds "
            f"train.npz and {split}.npz"
        )
    arrays = read_npz(path)
    images, labels, class_names = _npz_arrays(path, arrays)
    return _table_source(
        name="npz",
        split=split,
        pictures=images,
        labels=labels,
        class_names=class_names,
        read=lambda image: tf.broadcast_to(image, (*images.shape[1:3], 3)),
        describe=lambda index: f"{path}, images[{index}]",
        fingerprint=functools.partial(hash_files, path, [path]),
    )


def _npz_arrays(path: str, arrays: Mapping[str, np.ndarray]) -> tuple:
    images, labels = arrays.get("images"), arrays.get("labels")
    if images is None:
        raise UserError(
            f"npz {path} has no array 'images', only {', '.join(arrays) or 'nothing'}: write it "
            "with np.savez(FILE, images=...)"
        )
    if images.ndim == 3 and images.shape[2] in (1, 3, 4):
        raise UserError(
            f"npz {path}: 'images' of shape {images.shape} may be one picture, or grey ones: write "
            "one as images[None], grey ones as images[..., None]"
        )
    if images.ndim == 3:
        images = images[..., None]
    wrong = images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3)
    if wrong or 0 in images.shape[1:3]:
        raise UserError(
            f"npz {path}: 'images' must be uint8 of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3), "
            f"not {arrays['images'].dtype} of shape {arrays['images'].shape}"
        )
    if labels is None:
        return images, None, None
    labels = read_labels(f"npz {path}", labels, len(images))
    class_names = read_class_names(f"npz {path}", arrays.get("class_names"), labels)
    warn_of_empty_classes(f"npz {path}", class_names, labels)
    return images, labels, class_names


def _table_source(
    *, pictures: np.ndarray, labels: np.ndarray | None, class_names: tuple | None, **others: Any
) -> Source:
    """Return a source of listed records; its shuffled order is a permutation."""
    count = len(pictures)
    with tf.device("CPU"):  # tensors outside the graph: inside it they could have at most 2 GB
        table = tf.constant(pictures)
        known = tf.fill((count,), np.int64(NO_LABEL)) if labels is None else tf.constant(labels)

    def records(rng: np.random.Generator | None) -> tf.data.Dataset:
        order = np.arange(count) if rng is None else rng.permutation(count)
        return tf.data.Dataset.from_tensor_slices(order).map(lambda index: (index, index))

    def parse(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(table, indices), tf.gather(known, indices)

    return Source(
        num_records=count,
        num_indices=count,
        class_names=class_names,
        has_labels=labels is not None,
        records=records,
        parse=parse,
        **others,
    )


def _existing(config: Mapping[str, Any], what: str) -> str:
    if not config.get("data_dir"):
        raise UserError(f"data_type '{config['data_type']}' needs data_dir: {what}")
    folders = data_dirs(config)
    for folder in folders:
        if exists(folder):
            return folder
    raise UserError(f"data_dir {config['data_dir']} not found (looked in {' and '.join(folders)})")
