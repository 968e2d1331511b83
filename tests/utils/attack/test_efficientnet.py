"""Laws of the EfficientNets: B0 with random weights, the same for every source of weights."""

import functools
import hashlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications.efficientnet import WEIGHTS_HASHES

from utils.attack import efficientnet
from utils.attack.efficientnet import MD5, create_efficientnet, fetched_weights, require_imagenet
from utils.errors import UserError

SHAPE = (32, 32, 3)
MEAN, STDDEV = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def plain() -> keras.Model:
    """Return the 240-layer network of Keras 2.8 with ImageNet's mean and std, as files have it."""
    keras.utils.set_random_seed(0)  # Keras initialises it
    options = {"weights": None, "input_shape": SHAPE, "classifier_activation": None}
    network = keras.applications.EfficientNetB0(**options)
    normalization = network.layers[2]
    normalization.load_own_variables({"0": MEAN, "1": STDDEV, "2": 1})  # its variance is std
    kernel = network.layers[-1].kernel
    kernel.assign(1e6 * kernel)  # for logits of the size of 1
    return network


@pytest.fixture(scope="module")
def files(tmp_path_factory, plain) -> dict[str, Path]:
    """Return the paths of the same weights in files of every format."""
    folder = tmp_path_factory.mktemp("efficientnet")
    paths = {name: folder / name for name in ("240.weights.h5", "whole.h5", "legacy.h5")}
    plain.save_weights(paths["240.weights.h5"])
    plain.save(paths["whole.h5"])
    with h5py.File(paths["whole.h5"]) as whole, h5py.File(paths["legacy.h5"], "w") as legacy:
        stored = whole["model_weights"]  # at the root of the files that Keras publishes
        for name in stored:
            stored.copy(name, legacy)
        legacy.attrs.update(stored.attrs)
    paths["241.weights.h5"] = folder / "241.weights.h5"
    newer = create_efficientnet(0, SHAPE, "keras", str(paths["legacy.h5"]))
    assert (len(plain.layers), len(newer.layers)) == (240, 241)
    newer.save_weights(paths["241.weights.h5"])
    return paths


@pytest.fixture
def images(rng) -> np.ndarray:
    return rng.uniform(0, 255, (3, *SHAPE)).astype(np.float32)


@pytest.fixture
def fetched(files, tmp_path, monkeypatch):
    """Serve the weights of `files` as the published ones of B0, at a `file://` URL."""
    (tmp_path / "origin").mkdir()
    content = files["legacy.h5"].read_bytes()
    (tmp_path / "origin" / "efficientnetb0.h5").write_bytes(content)
    monkeypatch.setattr(efficientnet, "ORIGIN", f"file://{tmp_path}/origin/")
    monkeypatch.setattr(efficientnet, "MD5", [hashlib.md5(content).hexdigest()])
    cached = functools.partial(keras.utils.get_file, cache_dir=str(tmp_path / "cache"))
    monkeypatch.setattr(keras.utils, "get_file", cached)
    return tmp_path


def expected(plain: keras.Model, images: np.ndarray, stem: str) -> np.ndarray:
    """Return logits of the 240-layer network; for the stem `keras` the pixels are scaled before."""
    if stem == "keras":
        images = 255 * (MEAN + (images / 255 - MEAN) / np.sqrt(STDDEV))
    return plain(images.astype(np.float32), training=False).numpy()


@pytest.mark.parametrize("stem", ["keras", "published"])
def test_fetched_weights_give_the_stem_that_is_asked_for(plain, fetched, images, stem):
    network = create_efficientnet(0, SHAPE, stem, None)
    logits, other = (expected(plain, images, name) for name in ("keras", "published"))
    if stem == "published":
        logits, other = other, logits
    assert network.input_shape == (None, *SHAPE)
    seen = network(images, training=False).numpy()
    np.testing.assert_allclose(seen, logits, rtol=0, atol=1e-4)  # float32 of other pixels
    assert np.abs(seen - other).max() > 0.5


@pytest.mark.parametrize(
    "name",
    ["240.weights.h5", "241.weights.h5", pytest.param("whole.h5", marks=pytest.mark.slow)],
)
def test_logits_do_not_depend_on_how_the_weights_arrive(fetched, files, images, name):
    logits = [
        create_efficientnet(0, SHAPE, "keras", path)(images, training=False)
        for path in (str(files[name]), None)
    ]
    np.testing.assert_allclose(*logits, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_network_is_the_one_that_keras_fetches(files, rng, monkeypatch):
    """Against `weights="imagenet"`, whose download gets our file: both ask for the same URL."""
    asked = []

    def get_file(name, origin, **options):
        asked.append((name, origin, options))
        return str(files["legacy.h5"])

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    theirs = keras.applications.EfficientNetB0(classifier_activation=None)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    ours = create_efficientnet(0, (224, 224, 3), "keras", None)
    assert asked[0] == asked[1]
    images = rng.uniform(0, 255, (2, 224, 224, 3)).astype(np.float32)
    logits = [network(images, training=False) for network in (theirs, ours)]
    np.testing.assert_allclose(*logits, rtol=0, atol=1e-6)


def test_the_hashes_are_those_of_keras():
    assert list(MD5) == [WEIGHTS_HASHES[f"b{number}"][0] for number in range(8)]


def test_weights_that_cannot_be_fetched_or_are_others_are_one_line(fetched, monkeypatch):
    monkeypatch.setattr(efficientnet, "MD5", ["0" * 32])
    with pytest.raises(
        UserError, match=r"cannot fetch efficientnetb0\.h5.*set clf_weights"
    ) as raised:
        fetched_weights(0)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"'image_dims_clf' \[16, 16, 3\]: Input size must"):
        create_efficientnet(0, (16, 16, 3), "keras", None)


SYNSETS = [f"n{number:08d}" for number in range(1000)]


def test_only_the_classes_of_imagenet_are_attacked_behind_an_efficientnet():
    require_imagenet(SYNSETS, "efficientnet_b0")
    require_imagenet([str(number) for number in range(1000)], "efficientnet_b0")
    for names in (SYNSETS[:999], SYNSETS[::-1], [f"class {i:03d}" for i in range(1000)], "ab"):
        with pytest.raises(UserError, match=f"the data have {len(names)}: {names[0]}, {names[1]}"):
            require_imagenet(names, "efficientnet_b0")
