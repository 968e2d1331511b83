"""Report the data of a config, prepare them with --prepare, and save example images.

python3 -m utils.data CONFIG [--prepare] [--manual-dir DIR] [--set KEY=VALUE ...]
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import utils.before_tensorflow

import numpy as np
import tensorflow as tf

from utils.config.checks import EMBEDDED, data_name
from utils.config.command_line import Parser, path
from utils.data.prepare import prepare
from utils.data.report import report_builder, report_dataset, report_missing
from utils.data.sets import Dataset
from utils.data.streams import OPENERS, TrainingStream, data_config, load_data
from utils.data.tfds import find_builder, new_builder
from utils.errors import one_line_errors
from utils.images import save_grid
from utils.seeds import Purpose, host_rng


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Report the data of a config, prepare them with --prepare, and save example images."""
    parser = Parser(prog="python3 -m utils.data", description=main.__doc__)
    parser.add_argument(
        "config", type=path, help="config file, in the working directory or the repository"
    )
    parser.add_argument("--prepare", action="store_true", help="download and prepare the data set")
    parser.add_argument(
        "--manual-dir", type=path, help="folder of files to use instead of downloads"
    )
    parser.add_argument("--set", metavar="KEY=VALUE", action="extend", nargs="+", default=[])
    arguments = parser.parse_args(argv)
    tf.config.list_physical_devices()  # whose log lines belong before our own
    config = data_config(arguments.config, arguments.set)
    if config["data_type"] == "generator":
        print("data come from a generator: nothing to prepare")
        return
    if config["data_type"] not in OPENERS:
        builder = find_builder(config)
        if builder is None:
            builder = new_builder(config)
            if not arguments.prepare and data_name(config) != EMBEDDED:
                report_missing(builder, arguments.manual_dir)
                sys.exit(1)
            prepare(builder, arguments.manual_dir)
        report_builder(builder)
    dataset = load_data(config)
    report_dataset(dataset)
    save_grid(example_grid(dataset, config), "data.png")
    print("data.png  images of a training batch, augmented and with the noise of data_epsilon")


def example_grid(dataset: Dataset, config: Mapping[str, Any]) -> np.ndarray:
    """Return up to 64 images (n, h, w, c) as in a training batch, with augmentation and noise."""
    count = min(64, dataset.num_examples)
    stream = TrainingStream(dataset, batch_size=count, seed=config["seed"])
    images = stream.batch(0)
    noise = host_rng(config["seed"], Purpose.PLOTS).standard_normal(images.shape, np.float32)
    return images + config["data_epsilon"] * noise


if __name__ == "__main__":
    main()
