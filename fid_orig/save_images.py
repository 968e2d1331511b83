"""Save data or samples as PNG files, for the original FID and for other tools.

    python3 -m fid_orig.save_images data configs/quickstart.py FOLDER
    python3 -m fid_orig.save_images samples EBM.weights.h5 FOLDER --gen GEN.weights.h5

Run it in the repository's folder. `fid_save_ims.ipynb` is the same as a notebook.
"""

import argparse
from collections.abc import Iterator, Sequence

import utils.before_tensorflow

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fid_orig.sampler import load_sampler
from utils.config.command_line import Parser, path, whole_number
from utils.data.streams import data_config, evaluation_batches, load_data
from utils.errors import UserError, one_line_errors
from utils.files.folders import list_folder
from utils.images import save_images

BATCH_SIZE = 100


def data_batches(
    config_path: str, num_images: int, *, seed: int = 0, overrides: Sequence[str] = ()
) -> Iterator[np.ndarray]:
    """Yield `num_images` images of a config's data set, (b, h, w, c) float32 in [-1, 1], shuffled.

    `overrides` are strings KEY=VALUE. Raises UserError if the data set has fewer images.
    """
    dataset = load_data(data_config(config_path, overrides))
    if dataset.num_examples < num_images:
        raise UserError(
            f"{config_path}: its data have {dataset.num_examples} images, not {num_images}: "
            "ask for fewer"
        )
    for images, _, _ in evaluation_batches(dataset, BATCH_SIZE, seed=seed, count=num_images):
        yield images


def sample_batches(
    ebm_weights: str, gen_weights: str | None, num_images: int, *, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield `num_images` samples (b, h, w, c) float32, by the sampling stored in the EBM's weights.

    Raises UserError if the weights lack a part of it, and Diverged.
    """
    sampler = load_sampler(ebm_weights, gen_weights, seed=seed)
    for start in range(0, num_images, BATCH_SIZE):
        yield sampler(np.arange(start, min(start + BATCH_SIZE, num_images)))


def save_pngs(batches: Iterator[np.ndarray], folder: str, num_images: int | None = None) -> int:
    """Write images in [-1, 1] as `000000.png`, ... into an empty folder; return their number.

    The folder is made with the first image. Raises UserError for a folder with files, which would
    count as more images.
    """
    if tf.io.gfile.exists(folder) and not tf.io.gfile.isdir(folder):
        raise UserError(f"{folder} is a file: name a folder")
    if tf.io.gfile.isdir(folder) and any(list_folder(folder)):
        raise UserError(f"{folder} is not empty: name another folder, or empty it")
    count = 0
    with tqdm(total=num_images, desc=folder, unit="image", disable=None) as bar:
        for images in batches:
            save_images(images, folder, count)
            count += len(images)
            bar.update(len(images))
    return count


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Parser(
        prog="python3 -m fid_orig.save_images",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=("data", "samples"), help="the images to save")
    parser.add_argument("source", type=path, help="a config (data), or weights of an EBM (samples)")
    parser.add_argument("folder", type=path, help="new or empty folder for the PNG files")
    parser.add_argument(
        "--gen", type=path, help="samples: weights of the generator that chains start from"
    )
    parser.add_argument(
        "--images", type=whole_number(1), default=5000, help="number of images (5000)"
    )
    parser.add_argument(
        "--seed", type=whole_number(0, 2**31 - 1), default=0, help="of the order, or the chains (0)"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="extend",
        nargs="+",
        default=[],
        help="data: change config keys, as in train.py",
    )
    arguments = parser.parse_args(argv)
    tf.config.list_physical_devices()  # whose log lines belong before our own
    count, seed = arguments.images, arguments.seed
    if arguments.kind == "data":
        batches = data_batches(arguments.source, count, seed=seed, overrides=arguments.set)
    else:
        batches = sample_batches(arguments.source, arguments.gen, count, seed=seed)
    print(f"{save_pngs(batches, arguments.folder, count)} images in {arguments.folder}")


if __name__ == "__main__":
    main()
