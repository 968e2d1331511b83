"""Good inputs of every reader, and how `fuzz_readers.py` harms them.

`make_*(folder, rng)` writes a good input and returns the file to harm; `rewrite_*(path, rng)` gives
a file other types or shapes.
"""

import contextlib
import json
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image

from nets import create_ebm
from tests.nets.cases import weights_of
from tests.utils.test_import_weights import write_checkpoint
from utils.config.load import FORMAT, load_config
from utils.run import states
from utils.weights import files as checkpoint

SIZE, DIM = 12, 4  # of pictures, of features
PICTURES = (".png", ".jpg", ".bmp", ".gif")
ENDINGS = (*PICTURES, ".npz", ".h5", ".pth", ".py", ".json", ".txt", "")
NETWORK = {"net_type": "ebm_sngan", "image_dims": [32, 32, 3], "ebm_width": 4}
EXTRACTOR = {"extractor": "random_conv", "image_size": 32}
WRONG = [None, 5, -1.5, "x", [], {}, [[1]], {"a": None}, True]


class Arrays(dict):
    """A part of a state that takes what it is given."""

    def state(self) -> dict[str, np.ndarray]:
        return self

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.update(state)


def cut(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(path.read_bytes()[: rng.integers(path.stat().st_size)])


def change_bytes(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    for place in rng.integers(len(content), size=rng.integers(1, 9)):
        content[place] = rng.integers(256)
    path.write_bytes(content)


def empty(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(b"")


def rename(path: Path, rng: np.random.Generator) -> Path:
    return path.rename(path.with_suffix(ENDINGS[rng.integers(len(ENDINGS))]))


def make_picture(folder: Path, rng: np.random.Generator) -> Path:
    for number in range(2):
        Image.new("RGB", (SIZE, SIZE), (number, 9, 9)).save(folder / f"good{number}.png")
    path = folder / f"harmed{PICTURES[rng.integers(4)]}"
    Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(path)
    return path


def rewrite_picture(path: Path, rng: np.random.Generator) -> None:
    mode = ["1", "L", "LA", "P", "RGBA", "I", "CMYK", "F"][rng.integers(8)]
    size = tuple(rng.choice([1, SIZE, 40], 2).tolist())
    with contextlib.suppress(OSError, ValueError):  # not every format has every mode
        Image.open(path).convert("RGB").resize(size).convert(mode).save(path)


def make_npz(folder: Path, rng: np.random.Generator) -> Path:
    images = rng.integers(0, 256, (6, SIZE, SIZE, 3), np.uint8)
    np.savez(folder / "data.npz", images=images, labels=np.arange(6) % 2, class_names=["a", "b"])
    return folder / "data.npz"


def make_statistics(folder: Path, rng: np.random.Generator) -> Path:
    features = rng.normal(size=(9, DIM))
    arrays = {"mu": features.mean(axis=0), "sigma": np.cov(features.T), "n": 9}
    np.savez(folder / "statistics.npz", **arrays, features=features, **EXTRACTOR)
    return folder / "statistics.npz"


def rewrite_arrays(path: Path, rng: np.random.Generator) -> None:
    with np.load(path) as arrays:
        stored = dict(arrays)
    name = list(stored)[rng.integers(len(stored))]
    shape = [(), (0,), (3,), (DIM, DIM), (3, SIZE, SIZE, 3), (1, DIM)][rng.integers(6)]
    kind = ["u1", "i8", "f4", "f8", "c8", "U3", "S3", "?", "O", "M8[s]"][rng.integers(10)]
    stored[name] = (rng.random(shape) * 300).astype(np.int64).astype(kind)
    if rng.random() < 0.2:
        del stored[name]
    np.savez(path, **stored)


def make_weights(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "ebm.weights.h5"
    info = {"type": "ebm_sngan", "image_dims": [32, 32, 3], "width": 4}
    checkpoint.save_weights(create_ebm(NETWORK), str(path), info)
    return path


def rewrite_weights(path: Path, rng: np.random.Generator) -> None:
    with h5py.File(path, "a") as file:
        if rng.random() < 0.5:
            name = ["type", "image_dims", "width", "chain"][rng.integers(4)]
            info = json.loads(file.attrs["network"]) | {name: WRONG[rng.integers(len(WRONG))]}
            file.attrs["network"] = json.dumps(info if rng.random() < 0.8 else info[name])
            return
        names = []
        file.visititems(lambda n, item: names.append(n) if isinstance(item, h5py.Dataset) else None)
        name = names[rng.integers(len(names))]
        shape = file[name].shape if rng.random() < 0.5 else (3,)
        del file[name]
        file[name] = np.ones(shape).astype(["f8", "i4", "S3", "c8"][rng.integers(4)])


def make_checkpoint(folder: Path, rng: np.random.Generator) -> Path:
    prefix = write_checkpoint(folder, weights_of(create_ebm(NETWORK), np.float32))
    return Path(prefix + [".index", ".data-00000-of-00001"][rng.integers(2)])


def make_torch(folder: Path, rng: np.random.Generator) -> Path:
    torch.save({"model_state_dict": {"block2.c1.weight": torch.ones(3, 4)}}, folder / "gen.pth")
    return folder / "gen.pth"


def rewrite_torch(path: Path, rng: np.random.Generator) -> None:
    values = [torch.ones(2, dtype=torch.bfloat16), torch.ones(2, 2, 2).to_sparse(), 5, "x", None]
    state = {["l1.weight", 3, "b5.running_var"][rng.integers(3)]: values[rng.integers(5)]}
    name = ["model_state_dict", "generator.gen_z.weight_orig"][rng.integers(2)]
    torch.save({name: state if rng.random() < 0.7 else values[rng.integers(5)]}, path)


def make_state(folder: Path, rng: np.random.Generator) -> Path:
    states.write_parts(str(folder / "3"), {"ebm": Arrays(a=np.arange(9.0))})
    states.declare_state(str(folder / "3"), {"update": 3, "replicas": 1})
    return folder / "3" / ["ebm.npz", "state.json"][rng.integers(2)]


def rewrite_state(path: Path, rng: np.random.Generator) -> None:
    (rewrite_arrays if path.suffix == ".npz" else rewrite_json)(path, rng)


def rewrite_json(path: Path, rng: np.random.Generator) -> None:
    stored = json.loads(path.read_text())
    chosen = stored[list(stored)[rng.integers(len(stored))]]
    inner = chosen if isinstance(chosen, dict) and chosen else stored
    name = list(inner)[rng.integers(len(inner))]
    inner[name] = WRONG[rng.integers(len(WRONG))]
    path.write_text(json.dumps(stored if rng.random() < 0.9 else inner[name]))


def make_config(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "own.py"
    path.write_text(f"config = {dict(load_config('configs/smoke.py'))!r}\n")
    return path


def rewrite_config(path: Path, rng: np.random.Generator) -> None:
    config = dict(load_config("configs/smoke.py"))
    name = list(config)[rng.integers(len(config))]
    config[name] = WRONG[rng.integers(len(WRONG))]
    path.write_text(f"config = {config!r}\n")


def make_run(folder: Path, rng: np.random.Generator) -> Path:
    config = dict(load_config("configs/smoke.py"))
    stored = {"format": FORMAT, "script": "train", "config_path": "x", "config": config}
    (folder / "config.json").write_text(json.dumps(stored))
    return folder / "config.json"
