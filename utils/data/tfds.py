"""Sources from TensorFlow Datasets: any prepared data set whose examples have a picture."""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import utils.data.emoji32  # noqa: F401  registers the embedded data set
from utils.config.checks import EMBEDDED, OWN_FORMATS, data_name
from utils.data.pictures import decode_as_tfds
from utils.data.prepare import DAMAGED, how_to_prepare, one_line_folder_errors, prepare
from utils.data.sources import NO_LABEL, Source, data_dirs, exists
from utils.errors import UserError, first_line, nearest
from utils.files.folders import list_folder

SHUFFLE_BYTES = 1 << 28  # of undecoded records in the shuffle buffer: files are read sequentially
MAX_SHUFFLED = 100_000  # records in the shuffle buffer
OPEN_FILES = 16  # read in turn when shuffled

FeaturePath = tuple[str, ...]  # keys from an example to a feature


def open_tfds(config: Mapping[str, Any], split: str) -> Source:
    """Open a TFDS split; labels come from `label_attribute`, default `label`. Raises UserError."""
    builder = open_builder(config)
    features: Any = builder.info.features
    image = _image_feature(builder.name, features)
    label, class_names = _label_feature(builder.name, features, config.get("label_attribute"))
    # Data sets in other formats, and `tfds.testing.mock_data`, have no TFRecord files.
    in_files = builder.info.splits and builder.info.file_format == tfds.core.FileFormat.TFRECORD
    height, width = functools.reduce(operator.getitem, image, features).shape[:2]
    read_with = _from_files if in_files else _from_examples
    with one_line_folder_errors(config["data_type"], data_dirs(config)):
        records, parse, describe, spans = read_with(builder, split, image, label)
        count = int(records(None).cardinality())
    record = {"data_set": builder.info.full_name, "split": split, "examples": count}
    return Source(
        name=config["data_type"],
        split=split,
        num_records=count,
        num_indices=count,
        class_names=class_names,
        has_labels=label is not None,
        records=records,
        parse=parse,
        read=lambda encoded: tf.ensure_shape(decode_as_tfds(encoded), (height, width, 3)),
        describe=describe,
        spans=spans,
        fingerprint=lambda kept, keep=False: record.copy(),
    )


def open_builder(config: Mapping[str, Any]) -> tfds.core.DatasetBuilder:
    """Return the builder of a prepared data set; `data_download` allows to prepare it."""
    with one_line_folder_errors(config["data_type"], data_dirs(config)):
        builder = find_builder(config)
    if builder is not None:
        return builder
    builder = new_builder(config)
    may_download = config.get("data_download") and not config.get("gs_path")
    if data_name(config) != EMBEDDED and not may_download:
        raise UserError(
            f"data set {builder.name} is not prepared (looked in {' and '.join(data_dirs(config))}"
            f"); {how_to_prepare(builder)}"
        )
    prepare(builder)
    return builder


def find_builder(config: Mapping[str, Any]) -> tfds.core.DatasetBuilder | None:
    """Return the builder of a config's data set, maybe of an older version; None if unprepared."""
    name = config["data_type"].partition(":")[0]
    folders = [folder for folder in data_dirs(config) if exists(f"{folder}/{name}")]
    for folder in folders:
        builder = new_builder(config, folder)
        if builder.is_prepared():
            return builder
    builder = new_builder(config)
    versions = {v: path for folder in folders for v, path in _versions(f"{folder}/{name}").items()}
    if versions and ":" not in config["data_type"]:  # the config names no version
        return _open_version(builder, versions[max(versions)])
    _refuse_inner_folder(config, name)
    return builder if _reads_without_files(builder) else None


def _refuse_inner_folder(config: Mapping[str, Any], name: str) -> None:
    """Raise UserError if `data_dir` is the data set's own folder, or that of a version."""
    for folder in data_dirs(config):
        if exists(f"{folder}/dataset_info.json"):  # the folder of a version
            folder = folder.rpartition("/")[0]
        above, _, last = folder.rpartition("/")
        if last == name and exists(folder) and _versions(folder):
            raise UserError(
                f"data_dir {config['data_dir']} is too deep: name the folder above {last}, {above}"
            )


def new_builder(config: Mapping[str, Any], folder: str | None = None) -> tfds.core.DatasetBuilder:
    """Return the builder of a config's data set in `folder`; raises UserError for unknown sets."""
    name = config["data_type"]
    try:
        if not data_name(config).islower():  # TFDS guesses: it takes `Cifar10` but not `CIFAR10`
            raise tfds.core.DatasetNotFoundError
        return tfds.builder(name, data_dir=folder or data_dirs(config)[0])
    except tfds.core.DatasetNotFoundError as error:
        known = [*tfds.list_builders(with_community_datasets=False), *OWN_FORMATS]
        raise UserError(
            f"data_type: TFDS has no data set '{name}'{nearest(data_name(config), known)}; "
            "'image_folder', 'npz' and 'generator' are possible too"
        ) from error
    except (AssertionError, ValueError, ImportError) as error:  # no such version or variant
        raise UserError(f"data_type '{name}': {first_line(error)}") from error


def _open_version(builder: tfds.core.DatasetBuilder, path: str) -> tfds.core.DatasetBuilder:
    """Return the builder of a folder that was prepared by another version of `builder`."""
    print(
        f"{builder.name}: using version {PurePath(path).name}, prepared in {path} (the installed "
        f"TFDS would prepare {builder.version})",
        flush=True,
    )
    try:
        return tfds.builder_from_directory(path)
    except (*DAMAGED, ValueError, AssertionError) as error:
        raise UserError(
            f"the installed TFDS cannot read {path} ({first_line(error)}); "
            + how_to_prepare(builder)
        ) from error


def _reads_without_files(builder: tfds.core.DatasetBuilder) -> bool:
    """Return whether TFDS has examples without prepared files, as in `tfds.testing.mock_data`."""
    try:
        builder.as_dataset(split="all")  # pyright: ignore[reportCallIssue]  # a decorator hides it
    except AssertionError:  # TFDS' error for a data set that is not prepared
        return False
    return True


def _versions(folder: str) -> dict[tuple[int, ...], str]:
    """Return the prepared versions in a data set's folder, and their paths."""
    return {
        tuple(int(part) for part in name.split(".")): f"{folder}/{name}"
        for name in list_folder(folder).folders
        if name.count(".") == 2 and name.replace(".", "").isdigit()
        if tf.io.gfile.exists(f"{folder}/{name}/dataset_info.json")
    }


def _image_feature(name: str, features: tfds.features.FeaturesDict) -> FeaturePath:
    for path, feature in _leaves(features):
        if isinstance(feature, tfds.features.Image):
            return path
    raise UserError(f"data set {name} holds no pictures, only {', '.join(features)}")


def _label_feature(
    name: str, features: tfds.features.FeaturesDict, attribute: str | None
) -> tuple[FeaturePath | None, tuple[str, ...] | None]:
    """Return the path of the label in an example, and the class names; None for what is missing."""
    scalars = {path[-1]: (path, leaf) for path, leaf in _leaves(features) if leaf.shape == ()}
    if attribute is None and "label" not in scalars:
        return None, None
    wanted = attribute or "label"
    if wanted not in scalars:
        raise UserError(
            f"label_attribute: data set {name} has no attribute '{wanted}'"
            + nearest(wanted, scalars)
        )
    path, feature = scalars[wanted]
    if isinstance(feature, tfds.features.ClassLabel):
        return path, tuple(feature.names)
    if feature.np_dtype == np.bool_:
        return path, (f"not {wanted}", wanted)
    if not np.issubdtype(feature.np_dtype, np.integer):
        raise UserError(f"label_attribute: '{wanted}' of {name} has no classes: choose another one")
    return path, None


def _leaves(features: tfds.features.FeaturesDict, path: FeaturePath = ()) -> Iterable:
    for key, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            yield from _leaves(feature, (*path, key))
        else:
            yield (*path, key), feature


def _from_files(
    builder: tfds.core.DatasetBuilder, split: str, image: FeaturePath, label: FeaturePath | None
) -> tuple[Callable, Callable, Callable, tuple]:
    """Return `records`, `parse`, `describe`, `spans` of `Source` for a split's TFRecord files.

    They are read directly, because TFDS parses one example at a time, which takes longer than
    decoding a small picture; and because records can be skipped without parsing.
    """
    files = _split_files(builder, split)
    firsts = np.cumsum([0, *(file.take for file in files)])
    names = np.array([str(file.filename) for file in files])
    skips, takes = (np.array([getattr(file, n) for file in files]) for n in ("skip", "take"))
    mean_bytes = tf.io.gfile.stat(names[0]).length / files[0].examples_in_shard
    spec = {_key(image): tf.io.FixedLenFeature((), tf.string)}
    if label:
        spec[_key(label)] = tf.io.FixedLenFeature((), tf.int64)

    def open_file(*file: tf.Tensor) -> Any:
        name, skip, take, first = file
        return tf.data.TFRecordDataset(name).skip(skip).take(take).enumerate(first)

    def records(rng: np.random.Generator | None) -> tf.data.Dataset:
        order = np.arange(len(files)) if rng is None else rng.permutation(len(files))
        table = (names[order], skips[order], takes[order], firsts[order])
        opened = tf.data.Dataset.from_tensor_slices(table).interleave(
            open_file, cycle_length=1 if rng is None else OPEN_FILES, block_length=16
        )
        return _shuffled(opened, firsts[-1], rng, int(SHUFFLE_BYTES / mean_bytes) + 1)

    def describe(index: int) -> str:
        file = int(np.searchsorted(firsts, index, side="right")) - 1
        return f"{names[file]}, record {skips[file] + index - firsts[file]}"

    parse = _parser(image, label, lambda serialized: tf.io.parse_example(serialized, spec))
    return records, parse, describe, tuple(zip(names.tolist(), skips, skips + takes, strict=True))


def _split_files(builder: tfds.core.DatasetBuilder, split: str) -> list:
    try:
        files = builder.info.splits[split].file_instructions
    except (ValueError, NotImplementedError) as error:
        known = ", ".join(builder.info.splits)
        raise UserError(
            f"data set {builder.info.full_name} has no split '{split}'; there are: {known}"
        ) from error
    if not files:
        raise UserError(f"data set {builder.info.full_name}: split '{split}' is empty")
    return files


def _from_examples(
    builder: tfds.core.DatasetBuilder, split: str, image: FeaturePath, label: FeaturePath | None
) -> tuple[Callable, Callable, Callable, tuple]:
    """Return the same for data sets in other formats, from TFDS' `as_dataset`."""
    paths = [image, label] if label else [image]
    decoders = tfds.decode.PartialDecoding(
        _nested(dict.fromkeys(paths, True)), decoders=_nested({image: tfds.decode.SkipDecoding()})
    )
    read_config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)

    def leaves(example: dict) -> dict[str, Any]:
        return {_key(path): functools.reduce(operator.getitem, path, example) for path in paths}

    def records(rng: np.random.Generator | None) -> tf.data.Dataset:
        wanted: Any = {"split": split, "decoders": decoders, "read_config": read_config}
        examples: Any = builder.as_dataset(**wanted)
        count = examples.cardinality()
        return _shuffled(examples.map(leaves).enumerate(), count, rng, MAX_SHUFFLED)

    parse = _parser(image, label, lambda leaves: leaves)
    return records, parse, lambda index: f"example {index}", ()


def _parser(image: FeaturePath, label: FeaturePath | None, parse: Callable) -> Callable:
    def parsed(records: Any) -> tuple[tf.Tensor, tf.Tensor]:
        leaves = parse(records)
        encoded = leaves[_key(image)]
        if label is None:
            return encoded, tf.fill(tf.shape(encoded), np.int64(NO_LABEL))
        return encoded, tf.cast(leaves[_key(label)], tf.int64)

    return parsed


def _shuffled(
    records: tf.data.Dataset, count: int, rng: np.random.Generator | None, buffer: int
) -> tf.data.Dataset:
    records = records.apply(tf.data.experimental.assert_cardinality(count))
    if rng is None:
        return records
    seed = int(rng.integers(1, 2**31))
    return records.shuffle(min(buffer, MAX_SHUFFLED), seed=seed, reshuffle_each_iteration=False)


def _key(path: FeaturePath) -> str:
    return "/".join(path)


def _nested(leaves: dict[FeaturePath, Any]) -> dict:
    """Turn {("attributes", "Smiling"): True} into {"attributes": {"Smiling": True}}."""
    tree: dict = {}
    for path, leaf in leaves.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = leaf
    return tree
