"""What no quick test shows: every reader, given some 300 harmed inputs, never ends in a traceback.

    python3 tests/fuzz_readers.py [--each 36] [--seed 0] [--only READER] [--keep FOLDER]

An input is cut short, its bytes are changed, it is emptied, renamed, replaced by a file of another
kind, or rewritten with other types or shapes. Each must be refused in one line, left out by name,
or read as Pillow, NumPy or h5py reads it. Exit status 1 where one is not, with its number: the same
seed makes the same inputs, and `--keep` leaves them there. Needs PyTorch
(requirements_convert.txt). Takes two minutes.
"""

import argparse
import collections
import contextlib
import io
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests import fuzz_inputs as inputs
from utils import import_weights
from utils.config.load import load_config, load_run_config
from utils.data.streams import evaluation_batches, load_data
from utils.errors import UserError
from utils.run import states
from utils.scores.frechet import load_statistics
from utils.weights import networks

SIZE = inputs.SIZE


class Reader(NamedTuple):
    """How a good input is made, how it is read, and how it is rewritten."""

    make: Callable[[Path, np.random.Generator], Path]
    read: Callable[[Path], Any]
    rewrite: Callable[[Path, np.random.Generator], None]


def read_picture(path: Path) -> None:
    """Read a folder; what it gives of the harmed picture is Pillow's, or its name was told."""
    config = {"data_type": "image_folder", "data_dir": str(path.parent)}
    config |= {"image_dims": [SIZE, SIZE, 3], "data_memory": path.stat().st_size % 2}
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        dataset = load_data(config)
        images = np.concatenate([batch[0] for batch in evaluation_batches(dataset, 2)])
    sys.stderr.write(told.getvalue())
    if len(images) == 3:
        picture = Image.open(path)
        if picture.size == (SIZE, SIZE) and picture.mode != "I;16":
            ours = (images[2].astype(np.float64) + 1) * 127.5
            error = np.abs(ours - np.asarray(picture.convert("RGB"), np.float64)).mean()
            assert error < 1, f"{error:.1f} levels off what Pillow reads"
    elif path.suffix in inputs.PICTURES:
        assert path.name in told.getvalue(), "left out without a word"


def read_npz(path: Path) -> None:
    config = {"data_type": "npz", "data_dir": str(path), "image_dims": [SIZE, SIZE, 3]}
    images, labels, _ = next(evaluation_batches(load_data(config), 100))
    with np.load(path) as arrays:
        expected = arrays["images"]
        if expected.shape[1:3] == (SIZE, SIZE):
            expected = expected.reshape(len(expected), SIZE, SIZE, -1)
            expected = np.broadcast_to(expected, images.shape)
            assert np.allclose((images + 1) * 127.5, expected, atol=1e-3), "not as NumPy reads it"
        assert labels is None or np.array_equal(labels, arrays["labels"]), "not NumPy's labels"


def read_statistics(path: Path) -> None:
    statistics = load_statistics(str(path), inputs.EXTRACTOR, inputs.DIM)
    with np.load(path) as arrays:
        assert np.array_equal(statistics.mean, arrays["mu"]), "not as NumPy reads it"
        assert np.array_equal(statistics.covariance, arrays["sigma"]), "not as NumPy reads it"


def read_weights(path: Path) -> None:
    config = {**inputs.NETWORK, "ebm_width": None, "ebm_weights": str(path)}
    network = networks.network_at(networks.EBM, config)
    if path.suffix == ".h5":
        stored = []
        with h5py.File(path) as file:
            file.visititems(lambda _, x: stored.append(x[()]) if hasattr(x, "shape") else None)
        ours, theirs = (
            sorted(float(np.sum(array, dtype=np.float64)) for array in arrays)
            for arrays in ([w.numpy() for w in network.weights], stored)
        )
        assert np.allclose(ours, theirs, equal_nan=True), "not as h5py reads it"


def read_checkpoint(path: Path) -> None:
    read_weights(path.parent / "published.ckpt-1")


def read_torch(path: Path) -> None:
    target = str(path.parent / "gen.weights.h5")
    import_weights.convert(
        str(path), target, "gen_sngan_32", {"width": 4, "z_sz": 4, "channels": 3}
    )


def read_state(path: Path) -> None:
    part = inputs.Arrays()
    folder, header = states.newest_state(str(path.parents[1]))
    states.restore_parts(folder, header, {"ebm": part})
    assert header["update"] == 3, "another update"
    assert np.array_equal(part["a"], np.arange(9.0)), "not what was written"


def read_run(path: Path) -> None:
    load_run_config(str(path.parent), [], "train")


READERS = {
    "pictures": Reader(inputs.make_picture, read_picture, inputs.rewrite_picture),
    "npz": Reader(inputs.make_npz, read_npz, inputs.rewrite_arrays),
    "statistics": Reader(inputs.make_statistics, read_statistics, inputs.rewrite_arrays),
    "weights": Reader(inputs.make_weights, read_weights, inputs.rewrite_weights),
    "checkpoint": Reader(inputs.make_checkpoint, read_checkpoint, inputs.change_bytes),
    "torch": Reader(inputs.make_torch, read_torch, inputs.rewrite_torch),
    "state": Reader(inputs.make_state, read_state, inputs.rewrite_state),
    "config": Reader(inputs.make_config, load_config, inputs.rewrite_config),
    "config.json": Reader(inputs.make_run, read_run, inputs.rewrite_json),
}


def replace(path: Path, rng: np.random.Generator) -> None:
    """Put a good input of any reader in the place of a file."""
    other = list(READERS.values())[rng.integers(len(READERS))]
    with tempfile.TemporaryDirectory() as folder:
        path.write_bytes(other.make(Path(folder), rng).read_bytes())


HARMS = {
    "cut short": inputs.cut,
    "other bytes": inputs.change_bytes,
    "empty": inputs.empty,
    "another file": replace,
    "renamed": inputs.rename,
    "other types, shapes": None,  # each reader's own
}
GOOD = ("refused", "left out", "read")


def try_one(name: str, harm: str, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """Harm an input of a reader and read it; return the outcome, and what was said."""
    reader, told = READERS[name], io.StringIO()
    path = reader.make(folder, rng)
    path = (HARMS[harm] or reader.rewrite)(path, rng) or path
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            reader.read(path)
    except UserError as error:
        return ("refused" if "\n" not in str(error) else "MANY LINES"), str(error)
    except BaseException:  # whatever it is, it is what is looked for
        return "TRACEBACK", traceback.format_exc()
    return ("left out" if "left out" in told.getvalue() else "read"), told.getvalue()


def main(argv: Sequence[str] | None = None) -> None:
    """Harm, read and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--each", type=int, default=36, help="inputs of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=READERS, help="this reader alone")
    parser.add_argument("--keep", help="folder in which the inputs stay")
    arguments = parser.parse_args(argv)
    counts, wrong = collections.Counter(), []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(arguments.keep or temporary)
        for place, name in enumerate(READERS):
            for number in range(arguments.each if arguments.only in (None, name) else 0):
                harm = list(HARMS)[number % len(HARMS)]
                folder = root / name / str(number)
                folder.mkdir(parents=True)
                rng = np.random.default_rng([arguments.seed, place, number])
                outcome, said = try_one(name, harm, folder, rng)
                counts[name, harm, outcome] += 1
                if outcome not in GOOD:
                    wrong.append(f"--- {name} {number}, {harm}: {outcome}\n{said}")
    for (name, harm, outcome), count in sorted(counts.items()):
        print(f"{name:12} {harm:20} {outcome:10} {count:4}")
    print(f"{counts.total()} inputs, {len(wrong)} of them neither refused, left out nor read")
    print(*wrong, sep="\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
