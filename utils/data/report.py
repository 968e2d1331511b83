"""The output of `python3 -m utils.data`: the data of a config, or the files that are missing."""

import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from utils.data.class_labels import how_to_label
from utils.data.prepare import (
    RequiredFile,
    how_to_prepare,
    manual_folder,
    needed_bytes,
    required_files,
)
from utils.data.sets import Dataset, MemoryDataset
from utils.data.sources import all_labels

LISTED = 24  # more classes than this are not listed one by one


def report_missing(builder: tfds.core.DatasetBuilder, manual_dir: str | None) -> None:
    """Print the files that a data set is prepared from, which of them exist, and what to do."""
    _line("prepared", f"no; {builder.info.full_name} would go to {builder.data_dir}")
    folder, files = manual_folder(builder, manual_dir), required_files(builder)
    _line("files", f"expected in {folder}" if files else "TFDS has no record of them")
    states = {file: _state(f"{folder}/{file.name}", file) for file in files}
    by_hand = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    for file, state in states.items():
        _line("", f"{file.name}: {file.size:,} bytes, {state}")
        _line("", f"    SHA-256 {file.sha256}")
        if not by_hand:
            _line("", f"    from {file.url}")
    if "://" not in str(builder.data_dir_root):
        downloads = [] if by_hand else [f for f, state in states.items() if state == "missing"]
        needed = needed_bytes(builder, downloads)
        existing = next(p for p in Path(builder.data_dir).parents if p.exists())
        free = shutil.disk_usage(existing).free
        amount = f"about {needed / 1e9:.2f} GB" if needed else "an unknown amount"
        _line("disk", f"{amount} needed, {free / 1e9:.2f} GB free in {existing}")
    _line("to do", how_to_prepare(builder))


def report_builder(builder: tfds.core.DatasetBuilder) -> None:
    """Print the folder and the splits of a prepared data set."""
    _line("prepared", f"{builder.info.full_name} in {builder.data_dir}")
    splits = (f"{name} {info.num_examples:,}" for name, info in builder.info.splits.items())
    _line("splits", ", ".join(splits))


def report_dataset(dataset: Dataset) -> None:
    """Print the number of pictures of a split, its classes, and how pictures are stored."""
    in_memory = isinstance(dataset, MemoryDataset)
    kept = "decoded when read; damaged ones show up then"
    if in_memory:
        kept = f"{dataset.images.nbytes / 2**20:.0f} MB in memory"
    _line("split", f"{dataset.split}: {dataset.num_examples:,} pictures, {kept}")
    if dataset.corrupt:
        _line("damaged", f"{len(dataset.corrupt):,} pictures left out")
    if not dataset.has_labels:
        how = how_to_label(dataset.name)
        _line("classes", f"no labels, which an EBM does not need; to have some, {how}")
        return
    labels = dataset.labels if in_memory else all_labels(dataset.source)
    there, counts = np.unique(labels, return_counts=True)
    names = [str(label) for label in there]
    if dataset.class_names is not None and there.min(initial=0) >= 0:
        names, counts = dataset.class_names, np.bincount(labels, minlength=len(dataset.class_names))
    if len(names) > LISTED:
        _line("classes", f"{len(names):,} of {counts.min():,} to {counts.max():,} pictures")
        return
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        _line("" if number else "classes", f"{name}: {count:,}")


def _state(path: str, file: RequiredFile) -> str:
    if not tf.io.gfile.exists(path):
        return "missing"
    size = tf.io.gfile.stat(path).length
    if size == file.size:
        return "there"
    if file.is_packed_anew(path):
        return "there as another .gz with the same content"
    return f"there with {size:,} bytes: truncated or another file"


def _line(title: str, text: str) -> None:
    print(f"{title:<9} {text}", flush=True)
