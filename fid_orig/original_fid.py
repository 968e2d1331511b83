"""The original FID between two sets of images: the Inception graph of 2015, run as it is.

    python3 -m fid_orig.original_fid DATA SAMPLES [--graph classify_image_graph_def.pb]

Run from the repository's root. DATA and SAMPLES are folders of PNG, JPEG or other picture files
(`save_images` writes them), or `.npz` statistics with `mu` and `sigma` under the same graph, as the
original script writes them. `fid_orig.ipynb` is the same in cells.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from utils.errors import UserError, one_line_errors
from utils.frechet import Moments, Statistics, load_statistics, save_statistics, score_line
from utils.image_folder import IMAGE_FILES, picture_files
from utils.inception import Extractor, make_extractor
from utils.pictures import decode, to_float

BATCH_SIZE = 50


def image_files(folder: str) -> list[str]:
    """Return the paths of a folder's pictures, sorted; raises UserError if there is none."""
    paths = picture_files(folder) if tf.io.gfile.isdir(folder) else []
    if not paths:
        raise UserError(f"{folder} is no folder with {', '.join(IMAGE_FILES)}, and no .npz")
    return paths


def read_batches(paths: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield the pictures of files in batches, (b, h, w, 3) uint8; all must have one size."""
    first = _read(paths[0])
    for start in range(0, len(paths), BATCH_SIZE):
        images = [_read(path) for path in paths[start : start + BATCH_SIZE]]
        for path, image in zip(paths[start:], images, strict=False):
            if image.shape != first.shape:
                raise UserError(f"{path} has another size than {paths[0]}: make them alike")
        yield np.stack(images)


def _read(path: str) -> np.ndarray:
    try:
        return decode(tf.io.read_file(path)).numpy()
    except tf.errors.OpError as error:
        raise UserError(f"{path} cannot be read as a picture: remove or replace it") from error


def statistics_of(path: str, extractor: Extractor) -> Statistics:
    """Return the statistics of a folder of pictures, or those that an `.npz` file holds."""
    if path.endswith(".npz"):
        return load_statistics(path, extractor.metadata, extractor.dim)
    paths, moments = image_files(path), Moments(extractor.dim)
    with tqdm(total=len(paths), desc=path, unit="image", disable=None) as bar:
        for images in read_batches(paths):
            moments.add(extractor(to_float(images)))
            bar.update(len(images))
    return moments.statistics(extractor.metadata)


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Print the original FID of two sets."""
    parser = argparse.ArgumentParser(
        prog="python3 -m fid_orig.original_fid",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data")
    parser.add_argument("samples")
    parser.add_argument("--graph", help="classify_image_graph_def.pb, or its .tgz; else fetched")
    parser.add_argument("--save-data", metavar="NPZ", help="keep the statistics of DATA here")
    arguments = parser.parse_args(argv)
    extractor = make_extractor("inception_tf1", arguments.graph)
    data = statistics_of(arguments.data, extractor)
    if arguments.save_data:
        save_statistics(arguments.save_data, data)
    print(score_line(extractor.label, data, statistics_of(arguments.samples, extractor)))


if __name__ == "__main__":
    main()
