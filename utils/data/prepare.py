"""Preparing TensorFlow Datasets, from local files or from the network."""

import contextlib
import dataclasses
import gzip
import shutil
import sys
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError
from tqdm import tqdm

from utils.config.load import REPOSITORY
from utils.errors import UserError, first_line
from utils.files.fingerprints import sha256_of

COMMAND = "python3 -m utils.data CONFIG --prepare"
CONNECT_SECONDS = 10
# The errors of missing shards, of empty ones, and of missing or cut descriptions.
DAMAGED = (OSError, KeyError, ZeroDivisionError, ParseError, tf.errors.OpError)
# SHA-256 of a .gz file in TFDS' records -> SHA-256 of its content. These are the four files of
# Fashion-MNIST, which Debian's package `dataset-fashion-mnist` has with other gzip headers.
CONTENTS = {
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84":
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845":
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073":
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5":
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class RequiredFile:
    """A file that a data set is prepared from, according to TFDS' records."""

    name: str
    size: int  # bytes
    sha256: str
    url: str

    def is_packed_anew(self, path: str) -> bool:
        """Return whether a file is another .gz with the same content."""
        return self.sha256 in CONTENTS and _content_sha256(path) == CONTENTS[self.sha256]


def required_files(builder: tfds.core.DatasetBuilder) -> list[RequiredFile]:
    """Return the files that a data set is prepared from, if TFDS has records of them."""
    infos = type(builder).url_infos or {}
    files = [
        RequiredFile(info.filename or PurePosixPath(url).name, int(info.size), info.checksum, url)
        for url, info in infos.items()
    ]
    return sorted(files, key=lambda file: file.name)


@contextlib.contextmanager
def one_line_folder_errors(name: str, folders: Sequence[str]) -> Iterator[None]:
    """Raise what TFDS raises for folders that were copied in part as UserError."""
    try:
        yield
    except DAMAGED as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(
            f"data set {name} in {' or '.join(folders)} is damaged or was copied in part "
            f"({reason}): copy it again, or delete its folder and prepare it again"
        ) from error


def manual_folder(builder: tfds.core.DatasetBuilder, manual_dir: str | None = None) -> str:
    """Return the folder of files that are used instead of downloads.

    Raises UserError if `manual_dir` is no folder.
    """
    if manual_dir and not tf.io.gfile.isdir(manual_dir):
        is_file = tf.io.gfile.exists(manual_dir)
        wrong = "is a file: name its folder" if is_file else "not found"
        raise UserError(f"--manual-dir {manual_dir} {wrong}")
    return manual_dir or f"{builder.data_dir_root}/downloads/manual"


def needed_bytes(builder: tfds.core.DatasetBuilder, missing: Iterable[RequiredFile]) -> int:
    """Return an estimate of the disk space that preparing needs, in bytes.

    TFDS often does not know it. Prepared data take about as much space as their compressed files.
    """
    prepared = int(builder.info.dataset_size) or sum(f.size for f in required_files(builder))
    return int(1.25 * prepared) + sum(file.size for file in missing)


def how_to_prepare(builder: tfds.core.DatasetBuilder) -> str:
    """Return the commands that prepare a data set, as the end of an error message."""
    names = ", ".join(file.name for file in required_files(builder))
    by_hand = f"put {names or 'its files'} into DIR and run `{COMMAND} --manual-dir DIR`"
    in_folder = f"in {REPOSITORY}"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return f"{by_hand} {in_folder}"
    return f"run `{COMMAND}` {in_folder}, or without a network {by_hand}"


def prepare(builder: tfds.core.DatasetBuilder, manual_dir: str | None = None) -> None:
    """Prepare a data set from the files in the manual folder, and download the others.

    Raises UserError for files of another size or content, for too little disk space, and if the
    network is needed but cannot be reached (TFDS itself would try for minutes).
    """
    folder = manual_folder(builder, manual_dir)
    missing, packed_anew = _check_files(builder, folder)
    _check_space(builder, missing)
    tfds.display_progress_bar(sys.stderr.isatty())
    print(f"preparing {builder.name} in {builder.data_dir}", flush=True)
    settings = tfds.download.DownloadConfig(
        manual_dir=folder if tf.io.gfile.exists(folder) else None,
        try_download_gcs=False,
        # One folder per data set: TFDS reuses whatever it extracted before from a file of the same
        # name, and the files of MNIST, Fashion-MNIST and KMNIST have the same names.
        extract_dir=f"{builder.data_dir_root}/downloads/extracted/{builder.name}",
    )
    try:
        # The output of TFDS says less than the line above.
        with _expected(builder, packed_anew), contextlib.redirect_stdout(None):
            builder.download_and_prepare(download_config=settings)
    except Exception as error:  # the builders of TFDS raise many types of errors
        if builder.is_prepared():  # another process did it at the same time
            return
        raise UserError(
            f"{builder.name} could not be prepared: {type(error).__name__}: {first_line(error)}; "
            + how_to_prepare(builder)
        ) from error


def _check_files(
    builder: tfds.core.DatasetBuilder, folder: str
) -> tuple[list[RequiredFile], list[RequiredFile]]:
    """Check the files in the manual folder.

    Returns the files to download, and the files there that are another .gz with the same content,
    with their own sizes and digests. Raises UserError for files of another size or content.
    """
    missing, packed_anew = [], []
    for file in required_files(builder):
        path = f"{folder}/{file.name}"
        if not tf.io.gfile.exists(path):
            missing.append(file)
            continue
        size = tf.io.gfile.stat(path).length
        digest = _sha256(path, size) if size == file.size else None
        if digest == file.sha256:
            continue
        if file.is_packed_anew(path):
            found = {"size": size, "sha256": digest or _sha256(path, size)}
            packed_anew.append(dataclasses.replace(file, **found))
        elif digest is None:
            raise UserError(
                f"{path} has {size:,} bytes, expected {file.size:,}: "
                "it is truncated or another file; copy or download it again"
            )
        else:
            raise UserError(
                f"{path} is damaged: its SHA-256 is {digest}, expected {file.sha256}; copy or "
                "download it again"
            )
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        if missing and len(missing) == len(required_files(builder)):
            raise UserError(
                f"{builder.name} cannot be downloaded, and {folder} holds none of its files; "
                + how_to_prepare(builder)
            )
        return [], packed_anew
    if missing:
        _check_network(builder, missing)
    return missing, packed_anew


@contextlib.contextmanager
def _expected(
    builder: tfds.core.DatasetBuilder, packed_anew: Sequence[RequiredFile]
) -> Iterator[None]:
    """Make TFDS accept these files in place of those in its records; their content is the same."""
    infos = type(builder).url_infos or {}  # TFDS reads this dict of the class while it prepares
    known = dict(infos)
    if packed_anew:
        names = ", ".join(file.name for file in packed_anew)
        print(
            f"{names}: not the .gz files of TFDS' records, but the SHA-256 of their content is "
            "right: TFDS' own check is skipped for them",
            flush=True,
        )
    for file in packed_anew:
        info = known[file.url]
        infos[file.url] = dataclasses.replace(info, size=file.size, checksum=file.sha256)
    try:
        yield
    finally:
        infos.update(known)


def _check_network(builder: tfds.core.DatasetBuilder, missing: list[RequiredFile]) -> None:
    """Raise UserError if the server of the missing files cannot be reached."""
    if list(Path(builder.data_dir_root).glob("downloads/*.INFO")):
        return  # TFDS may have the files from an earlier attempt
    request = urllib.request.Request(missing[0].url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()
    except urllib.error.HTTPError:
        return  # the server answered, even if it refuses HEAD
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
            f"{free / 1e9:.1f} GB are free: free some space or choose another data_dir"
        )


def _content_sha256(path: str) -> str | None:
    """Return the SHA-256 of the content of a .gz, None if it cannot be unpacked."""
    try:
        with tf.io.gfile.GFile(path, "rb") as packed, gzip.open(packed) as file:
            return sha256_of(file)
    except (OSError, EOFError, zlib.error):  # gzip's errors are OSErrors
        return None


def _sha256(path: str, size: int) -> str:
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
        return sha256_of(file, bar.update)
