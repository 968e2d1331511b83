"""Statistics of features: of samples from stored files, of data computed once and kept."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from utils.data.sets import Dataset, StreamedDataset
from utils.data.streams import ORDER_SEED, evaluation_batches
from utils.errors import UserError
from utils.files.fingerprints import digest
from utils.files.whole import join, make_folder
from utils.run.array_files import ArrayFiles
from utils.run.folder import reference_folder
from utils.scores.extractors import Extractor
from utils.scores.frechet import Moments, Statistics, load_statistics, save_statistics

KERNEL_IMAGES = 10_000  # features kept for KID: 10 subsets of the usual 1,000 images
LONGEST_LABELS = 80  # characters of labels in a file's name; the metadata have all of them


def statistics_of(
    batches: Iterable[np.ndarray], dim: int, metadata: Mapping[str, Any]
) -> Statistics:
    """Return the statistics of batches of features (n, dim), in one pass."""
    moments, kept, left = Moments(dim), [], KERNEL_IMAGES
    for features in batches:
        moments.add(features)
        if left > 0:
            kept.append(features[:left])
            left -= len(kept[-1])
    statistics = moments.statistics(metadata)
    return Statistics(
        statistics.mean, statistics.covariance, statistics.count, metadata, np.concatenate(kept)
    )


def load_reference(
    config: Mapping[str, Any], extractor: Extractor, dataset: Dataset
) -> Statistics | None:
    """Return the statistics of the reference data, None if there are none yet.

    They come from `reference_stats`, else from an earlier run, which keeps them in
    `<exp_dir>/reference/`. Raises UserError for another extractor, size, rounding or data set.
    """
    metadata = data_metadata(config, extractor, dataset)
    path = config["reference_stats"] or reference_path(config, extractor, metadata)
    if not config["reference_stats"] and not tf.io.gfile.exists(path):
        return None
    try:
        return load_statistics(path, metadata, extractor.dim)
    except UserError as error:
        if config["reference_stats"]:
            raise UserError(f"{error}; with reference_stats=None a run computes its own") from error
        print(f"warning: {error}; this run computes them again", file=sys.stderr)
        return None


def make_reference(
    config: Mapping[str, Any],
    extractor: Extractor,
    dataset: Dataset,
    files: ArrayFiles,
    pause: Callable[[], None],
) -> Statistics:
    """Compute these statistics from the data set, and store them for other runs."""
    path = reference_path(config, extractor, data_metadata(config, extractor, dataset))
    count = reference_count(config)
    statistics = data_statistics(config, extractor, dataset, count, files, pause)
    make_folder(path.rpartition("/")[0])
    save_statistics(path, statistics)
    files.drop()
    return statistics


def reference_count(config: Mapping[str, Any]) -> int:
    """Return the number of reference images."""
    return config["reference_samples"] or config["num_samples"]


def reference_path(
    config: Mapping[str, Any], extractor: Extractor, metadata: Mapping[str, Any]
) -> str:
    """Return the path of the stored statistics of a run's data; its name describes them."""
    labels = "".join(f"_{label.replace(' ', '-')}" for label in _labels(config))
    if len(labels) > LONGEST_LABELS:
        labels = f"_{digest({'labels': labels})[:12]}"
    name = f"{metadata['data_set']}_{metadata['split']}{labels}_{reference_count(config)}"
    name += f"_{metadata['image_size']}px_{extractor.name}_{extractor.weights_sha256[:8]}"
    name += "" if extractor.quantize else "_unrounded_data"
    name += "_streamed" if "order" in metadata else ""
    return join(reference_folder(config), f"{name.replace('/', '-')}.npz")


def data_metadata(
    config: Mapping[str, Any], extractor: Extractor, dataset: Dataset
) -> dict[str, str | int | bool]:
    """Return the metadata of statistics of data: those of the extractor, and those of the data."""
    record = dataset.fingerprint(reference_folder(config))
    own = f"{config['data_type']}-{digest(record)[:12]}"  # the user's own pictures
    # Those of a part of a split depend on the order, which differs where the set is not in memory.
    ordered = (
        isinstance(dataset, StreamedDataset) and reference_count(config) < dataset.num_examples
    )
    size, _, channels = config["image_dims"]
    return {
        **extractor.metadata,
        **({} if extractor.quantize else {"data_rounded": False}),  # older files have no such entry
        "data_set": record.get("data_set", own),
        "split": dataset.split,
        **({"order": "streamed"} if ordered else {}),
        "labels": ", ".join(_labels(config) or ["all"]),
        "image_size": size if channels == 3 else f"{size}x{size}x{channels}",
    }


def _labels(config: Mapping[str, Any]) -> list[str]:
    """Return the labels that are kept; the attribute that gives them is the first."""
    labels, attribute = config["data_labels"] or [], config["label_attribute"]
    return [attribute, *labels] if labels and attribute else labels


def data_statistics(
    config: Mapping[str, Any],
    extractor: Extractor,
    dataset: Dataset,
    count: int,
    files: ArrayFiles,
    pause: Callable[[], None],
) -> Statistics:
    """Return the statistics of the first `count` images of a split's shuffled order.

    The features stay in `files`; the caller drops them after saving the statistics.
    """
    size = config["batch_size"]

    def read(start: int) -> Iterator[np.ndarray]:
        batches = evaluation_batches(dataset, size, seed=ORDER_SEED, start=start, count=count)
        return (images for images, _, _ in batches)

    keep_features(extractor, read, (size, count), files, pause)
    return statistics_of(files.batches(), extractor.dim, data_metadata(config, extractor, dataset))


def keep_features(
    extractor: Extractor,
    read: Callable[[int], Iterator[np.ndarray]],
    sizes: tuple[int, int],
    files: ArrayFiles,
    pause: Callable[[], None],
) -> None:
    """Store the features of images; `sizes` are those of a batch and of all, at most.

    `read` yields the images of the batches from a given one on. Batches that are in `files` already
    are not computed again. `pause` is called after each batch, when everything is saved.
    """
    (batch, total), numbers = sizes, files.numbers()
    done = sum(number == i * batch for i, number in enumerate(numbers))  # up to a gap
    files.drop_from(done * batch)
    with tqdm(
        desc="features", total=total, initial=done * batch, unit="im", delay=1, disable=None
    ) as bar:
        for number, images in enumerate(read(done), done):
            files.put(number * batch, extractor(images))
            bar.update(len(images))
            pause()
