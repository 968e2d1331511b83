"""The original FID between two sets of images, by the unchanged Inception graph of 2015.

    python3 -m fid_orig.original_fid DATA SAMPLES [--graph classify_image_graph_def.pb]

Run it in the repository's folder. DATA and SAMPLES are folders of pictures (`fid_orig.save_images`
writes PNG files), or `.npz` statistics with `mu` and `sigma` of the same graph, as the original
script writes them. `fid_orig.ipynb` is the same as a notebook.
"""

import argparse
from collections.abc import Iterator, Sequence

import utils.before_tensorflow

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from utils.config.command_line import Parser, path
from utils.data.image_folder import IMAGE_FILES, picture_files
from utils.data.pictures import decode, to_float
from utils.errors import UserError, one_line_errors
from utils.files.whole import make_folder
from utils.scores.extractors import Extractor, make_extractor
from utils.scores.frechet import Moments, Statistics, load_statistics, save_statistics, score_line

BATCH_SIZE = 50
ENDING = ".npz"  # of statistics


def image_files(folder: str) -> list[str]:
    """Return the sorted paths of a folder's pictures; raises UserError if there are none."""
    paths = picture_files(folder) if tf.io.gfile.isdir(folder) else []
    if not paths:
        raise UserError(
            f"{folder} is neither a folder of pictures ({', '.join(IMAGE_FILES)}) nor an .npz file"
        )
    return paths


def read_batches(paths: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield pictures in batches (b, h, w, 3) uint8.

    Raises UserError for files that cannot be read, and for pictures of different sizes.
    """
    first = _read(paths[0])
    for start in range(0, len(paths), BATCH_SIZE):
        images = [_read(path) for path in paths[start : start + BATCH_SIZE]]
        for name, image in zip(paths[start:], images, strict=False):
            if image.shape != first.shape:
                raise UserError(
                    f"{name} and {paths[0]} have different sizes: resize all pictures to one size"
                )
        yield np.stack(images)


def _read(path: str) -> np.ndarray:
    try:
        return decode(tf.io.read_file(path)).numpy()
    except tf.errors.OpError as error:
        raise UserError(f"{path} cannot be decoded as a picture: remove or replace it") from error


def statistics_of(path: str, extractor: Extractor) -> Statistics:
    """Return the statistics of a folder of pictures, or those in an `.npz` file."""
    if path.endswith(ENDING):
        return load_statistics(path, extractor.metadata, extractor.dim)
    paths, moments = image_files(path), Moments(extractor.dim)
    with tqdm(total=len(paths), desc=path, unit="image", disable=None) as bar:
        for images in read_batches(paths):
            moments.add(extractor(to_float(images)))
            bar.update(len(images))
    return moments.statistics(extractor.metadata)


def require_images(path: str) -> None:
    """Raise UserError unless a path is a file of statistics or holds at least two pictures.

    This check needs no graph: to fetch it and to compute features takes long.
    """
    if path.endswith(ENDING):
        if not tf.io.gfile.exists(path):
            raise UserError(f"statistics {path} not found")
    elif len(image_files(path)) < 2:
        raise UserError(f"{path} holds one picture: a score needs at least two")


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Print the original FID of two sets."""
    parser = Parser(
        prog="python3 -m fid_orig.original_fid",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=path, help="folder of pictures, or .npz statistics")
    parser.add_argument("samples", type=path, help="folder of pictures, or .npz statistics")
    parser.add_argument(
        "--graph", type=path, help="classify_image_graph_def.pb, or its .tgz (default: download it)"
    )
    parser.add_argument(
        "--save-data", type=path, metavar="NPZ", help="save the statistics of DATA here"
    )
    arguments = parser.parse_args(argv)
    sets = (arguments.data, arguments.samples)
    for source in sets:
        require_images(source)
    kept = arguments.save_data and arguments.save_data.removesuffix(ENDING) + ENDING
    if kept and "/" in kept:
        make_folder(kept.rpartition("/")[0])
    extractor = make_extractor("inception_tf1", arguments.graph)
    found = {}
    # Files of statistics come first: they are checked quickly, features take long.
    for source in sorted(sets, key=lambda name: not name.endswith(ENDING)):
        found[source] = statistics_of(source, extractor)
        if kept and source == arguments.data:
            save_statistics(kept, found[source])
    print(score_line(extractor.label, *(found[source] for source in sets)))


if __name__ == "__main__":
    main()
