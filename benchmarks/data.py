"""Speed and memory of data sets: preparing, opening, streaming and resuming.

    python3 -m benchmarks.data [--image-steps 2000] [--folder DIR]

Generated pictures in the TFDS formats of the published sets: 50,000 of CIFAR-10's size (kept in
memory), 4,000 JPEGs of CelebA's size and 1,000 of ImageNet's usual size (decoded as they are read).
An update with K = 20 reads one image per 20 image-steps; therefore `--image-steps`, the
image-steps/s of a width-32 EBM on this machine (`train.py CONFIG --dry-run` prints it), gives the
images/s that training reads. Each measurement of opening and memory has a fresh process. Linux
only.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import utils.before_tensorflow

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from utils.data.prepare import prepare
from utils.data.streams import TrainingStream, load_data
from utils.errors import one_line_errors
from utils.mcmc.banks import Bank, Shelves

STEPS = 20  # Langevin steps per update
BATCH = 32
BANK = 10_000
SETS = (  # name, pictures, height, width, then size and random_crop of each measurement
    ("cifar10", 50_000, 32, 32, ((32, False), (32, True))),
    ("celeb_a", 4_000, 218, 178, ((64, False),)),
    ("imagenet2012", 1_000, 375, 500, ((64, True), (128, True), (224, True))),
)
FRESH = "fresh"  # first argument of the processes that this one starts


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Measure everything and print one line per data set and size."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == [FRESH]:
        print(json.dumps(opened_in_this_process(json.loads(arguments[1]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-steps", type=float, default=2000)
    parser.add_argument("--folder", help="keep the generated data here; default: delete them")
    options = parser.parse_args(arguments)
    consumed = options.image_steps / STEPS
    print(f"training at width 32, K = {STEPS}, consumes {consumed:.0f} images/s\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        measure_emoji32(folder / "emoji32")
        for name, count, height, width, measurements in SETS:
            write_made_up(name, folder, count, height, width)
            for size, crop in measurements:
                config = {"data_type": name, "data_dir": str(folder), "random_crop": crop}
                memory = 1024 if name == "cifar10" else 0  # as for the real, larger sets
                measure({**config, "image_dims": [size, size, 3], "data_memory": memory}, consumed)


def measure_emoji32(folder: Path) -> None:
    """Print the seconds that the embedded data set takes to prepare."""
    builder = tfds.builder("emoji32", data_dir=folder)
    start = time.perf_counter()
    if not builder.is_prepared():
        prepare(builder)
    print(f"emoji32: prepared in {time.perf_counter() - start:.1f} s")


def measure(config: dict, consumed: float) -> None:
    """Print opening time, rate, resuming time and memory of one configuration."""
    command = [sys.executable, "-m", "benchmarks.data", FRESH, json.dumps(config)]
    fresh = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    stream = TrainingStream(load_data(config), batch_size=BATCH)
    rate = images_per_second(stream)
    crop = ", random_crop" if config["random_crop"] else ""
    print(
        f"{config['data_type']} at {config['image_dims'][0]}{crop}: first batch after "
        f"{fresh['seconds']:.2f} s ({fresh['cpu']:.2f} s of CPU), then {rate:,.0f} images/s "
        f"({rate / consumed:.0f} times training's rate at 32), opened at update {fresh['update']} "
        f"in {fresh['resume']:.2f} s, peak memory {fresh['memory']:.2f} GB with a bank of "
        f"{BANK:,} at 32"
    )


def images_per_second(stream: TrainingStream, seconds: float = 5.0) -> float:
    """Return the images/s of a stream after its first batch."""
    stream.batch(0)
    start, update = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        update += 1
        stream.batch(update)
    return update * BATCH / (time.perf_counter() - start)


def opened_in_this_process(config: dict) -> dict[str, float]:
    """Return the seconds to the first batch and to resume in mid-epoch, and peak memory in GB."""
    start, cpu_start = time.perf_counter(), time.process_time()
    stream = TrainingStream(load_data(config), batch_size=BATCH)
    stream.batch(0)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    images = np.random.Generator(np.random.Philox(0)).random((BANK, 32, 32, 3), np.float32)
    bank = Bank(Shelves(BANK, BATCH, slice(0, BATCH)), images)
    update = stream.batches_per_epoch // 2
    start = time.perf_counter()
    stream.batch(update)
    resume = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    del bank, images
    return {"seconds": seconds, "cpu": cpu, "resume": resume, "update": update, "memory": peak}


def write_made_up(name: str, folder: Path, count: int, height: int, width: int) -> None:
    """Write a generated training split of a TFDS data set, unless it exists."""
    builder = tfds.builder(name, data_dir=folder)
    if builder.is_prepared():
        return
    builder.data_path.mkdir(parents=True)
    writer = tfds.core.SequentialWriter(builder.info, -(-count // 16))
    writer.initialize_splits(["train"])
    template = {
        key: _zero(feature) for key, feature in builder.info.features.items() if key != "image"
    }
    for image in made_up_pictures(count, height, width):
        writer.add_examples({"train": [{**template, "image": image}]})
    writer.close_all()


def made_up_pictures(count: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Yield (height, width, 3) uint8 pictures that compress about as well as photographs."""
    rng = np.random.Generator(np.random.Philox(0))
    for _ in range(count):
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC))
        grain = rng.integers(-6, 7, smooth.shape)
        yield np.clip(smooth + grain, 0, 255).astype(np.uint8)


def _zero(feature: tfds.features.FeatureConnector) -> object:
    if isinstance(feature, tfds.features.FeaturesDict):
        return {key: _zero(leaf) for key, leaf in feature.items()}
    if isinstance(feature, tfds.features.Text):
        return ""
    return np.zeros(feature.shape, feature.np_dtype)


if __name__ == "__main__":
    main()
