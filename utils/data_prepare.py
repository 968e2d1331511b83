"""Preparing TensorFlow Datasets: from files put there by hand, or from the network."""

import contextlib
import dataclasses
import hashlib
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import tensorflow as tf
import tensorflow_datasets as tfds
from tqdm import tqdm

from utils.config import REPOSITORY
from utils.errors import UserError, first_line

COMMAND = "python3 -m utils.data CONFIG --prepare"
CONNECT_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class RequiredFile:
    """A file that a data set is prepared from, as TFDS' own records describe it."""

    name: str
    size: int  # bytes
    sha256: str
    url: str


def required_files(builder: tfds.core.DatasetBuilder) -> list[RequiredFile]:
    """Return the files that a data set is prepared from, as far as TFDS has records of them."""
    infos = type(builder).url_infos or {}
    files = [
        RequiredFile(info.filename or PurePosixPath(url).name, int(info.size), info.checksum, url)
        for url, info in infos.items()
    ]
    return sorted(files, key=lambda file: file.name)


def manual_folder(builder: tfds.core.DatasetBuilder, manual_dir: str | None = None) -> str:
    """Return the folder whose files are used instead of downloads.

    Raises UserError for a `manual_dir` that is no folder.
    """
    if manual_dir and not tf.io.gfile.isdir(manual_dir):
        is_file = tf.io.gfile.exists(manual_dir)
        wrong = "is a file: name the folder that it lies in" if is_file else "not found"
        raise UserError(f"--manual-dir {manual_dir} {wrong}")
    return manual_dir or f"{builder.data_dir_root}/downloads/manual"


def needed_bytes(builder: tfds.core.DatasetBuilder, missing: Iterable[RequiredFile]) -> int:
    """Return the free disk space that preparing takes, about: TFDS itself often does not know.

    What is prepared takes about as much as the compressed files that it is prepared from.
    """
    prepared = int(builder.info.dataset_size) or sum(f.size for f in required_files(builder))
    return int(1.25 * prepared) + sum(file.size for file in missing)


def how_to_prepare(builder: tfds.core.DatasetBuilder) -> str:
    """Return the commands that prepare a data set, for the end of a one-line error."""
    names = ", ".join(file.name for file in required_files(builder))
    by_hand = f"put {names or 'its files'} into DIR and run `{COMMAND} --manual-dir DIR`"
    in_folder = f"in {REPOSITORY}"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return f"{by_hand} {in_folder}"
    return f"run `{COMMAND}` {in_folder}, or without a network {by_hand}"


def prepare(builder: tfds.core.DatasetBuilder, manual_dir: str | None = None) -> None:
    """Prepare a data set from files put there by hand, the others from the network.

    Raises UserError naming files of another size or content, and at once when the network is
    needed and not there (TFDS would try for minutes).
    """
    folder = manual_folder(builder, manual_dir)
    missing = _check_files(builder, folder)
    _check_space(builder, missing)
    tfds.display_progress_bar(sys.stderr.isatty())
    print(f"preparing {builder.name} in {builder.data_dir}", flush=True)
    settings = tfds.download.DownloadConfig(
        manual_dir=folder if tf.io.gfile.exists(folder) else None, try_download_gcs=False
    )
    try:
        with contextlib.redirect_stdout(None):  # what TFDS prints says less than the line above
            builder.download_and_prepare(download_config=settings)
    except Exception as error:  # the builders of 1,000 data sets raise what they like
        if builder.is_prepared():  # by another process, at the same time
            return
        raise UserError(
            f"{builder.name} could not be prepared: {type(error).__name__}: {first_line(error)}; "
            + how_to_prepare(builder)
        ) from error


def _check_files(builder: tfds.core.DatasetBuilder, folder: str) -> list[RequiredFile]:
    """Check what lies in the manual folder; return what is missing there and can be downloaded."""
    missing = []
    for file in required_files(builder):
        path = f"{folder}/{file.name}"
        if not tf.io.gfile.exists(path):
            missing.append(file)
            continue
        size = tf.io.gfile.stat(path).length
        if size != file.size:
            raise UserError(
                f"{path} has {size:,} bytes, expected {file.size:,}: "
                "it is truncated or another file; copy or download it again"
            )
        digest = _sha256(path, size)
        if digest != file.sha256:
            raise UserError(f"{path} is damaged: its SHA-256 is {digest}, expected {file.sha256}")
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        if missing and len(missing) == len(required_files(builder)):
            raise UserError(
                f"{builder.name} cannot be downloaded and {folder} holds none of its files; "
                + how_to_prepare(builder)
            )
        return []
    if missing:
        _check_network(builder, missing)
    return missing


def _check_network(builder: tfds.core.DatasetBuilder, missing: list[RequiredFile]) -> None:
    """Raise UserError if the missing files' server cannot be reached at all."""
    if list(Path(builder.data_dir_root).glob("downloads/*.INFO")):
        return  # TFDS may have the files from an earlier attempt
    request = urllib.request.Request(missing[0].url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()
    except urllib.error.HTTPError:
        return  # a server answered; what it thinks of HEAD does not matter
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{builder.name} is not prepared and {request.host} cannot be reached ({reason}); "
            + how_to_prepare(builder)
        ) from error


def _check_space(builder: tfds.core.DatasetBuilder, missing: list[RequiredFile]) -> None:
    folder = str(builder.data_dir_root)
    if "://" in folder:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write data_dir {folder}: {error.strerror}") from error
    needed, free = needed_bytes(builder, missing), shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{builder.name} needs about {needed / 1e9:.1f} GB in {folder}, "
            f"{free / 1e9:.1f} GB are free: make space or choose another data_dir"
        )


def _sha256(path: str, size: int) -> str:
    digest = hashlib.sha256()
    with (
        tf.io.gfile.GFile(path, "rb") as file,
        tqdm(
            desc=f"checking {PurePosixPath(path).name}",
            total=size,
            unit="B",
            unit_scale=True,
            delay=1,
            disable=None,
        ) as bar,
    ):
        while block := file.read(1 << 24):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()
