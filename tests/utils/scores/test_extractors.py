"""Laws of the feature extractors, each against a plain implementation."""

import dataclasses
import hashlib
import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nets import create_clf
from tests.stand_in_graph import EPSILON, parameters, stand_in_graph
from utils.errors import UserError
from utils.scores.extractors import EXTRACTORS, TF1_FILE, make_extractor, pixels
from utils.weights.files import save_weights

CLF_SIZES = {"image_dims": [16, 16, 3], "clf_depth": 10, "clf_width": 1, "num_classes": 3}
CLF_INFO = {"type": "wrn", "image_dims": [16, 16, 3], "depth": 10, "width": 1, "classes": [*"abc"]}


@pytest.fixture(scope="module")
def inception():
    """Return Keras' InceptionV3 without top, with random weights."""
    keras.utils.set_random_seed(0)  # Keras initialises it
    return keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")


@pytest.fixture(scope="module")
def weights(tmp_path_factory, inception):
    """Return a path of weights for each extractor that needs one."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {name: str(folder / f"{name}.weights.h5") for name in ("inception_keras", "classifier")}
    inception.save_weights(paths["inception_keras"])
    save_weights(create_clf(CLF_SIZES), paths["classifier"], CLF_INFO)
    (folder / TF1_FILE).write_bytes(stand_in_graph().SerializeToString())
    return paths | {"inception_tf1": str(folder / TF1_FILE), "random_conv": None}


@pytest.fixture(scope="module")
def extractors(weights):
    """Return every extractor by name."""
    return {name: make_extractor(name, weights[name]) for name in EXTRACTORS}


@pytest.fixture
def images(rng):
    """Return (5, 20, 20, 3) images; like those of chains, some values are outside [-1, 1]."""
    return rng.uniform(-1.2, 1.2, (5, 20, 20, 3)).astype(np.float32)


# Pixels


def test_quantised_pixels_are_those_of_a_png_file(tmp_path, images):
    for image, seen in zip(images, pixels(images, quantize=True), strict=True):
        values = np.rint(255 * (np.clip(image, -1, 1).astype(np.float64) + 1) / 2).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / "image.png")
        assert np.array_equal(seen, np.asarray(Image.open(tmp_path / "image.png")))


def test_data_come_through_quantised_pixels_unchanged():
    levels = np.arange(256).reshape(1, 16, 16, 1).repeat(3, axis=3)
    assert np.array_equal(pixels((levels / 127.5 - 1).astype(np.float32), quantize=True), levels)


def test_unquantised_pixels_are_clipped_and_not_rounded(images):
    seen = pixels(images, quantize=False)
    np.testing.assert_allclose(seen, (np.clip(images, -1, 1) + 1) * 127.5, rtol=1e-6)
    assert not np.array_equal(seen, np.rint(seen))


@pytest.mark.parametrize("quantize", [True, False])
def test_images_that_are_not_finite_are_refused(images, quantize):
    images[1, 2, 3, 0] = np.nan
    with pytest.raises(UserError, match="their images hold NaN or Inf"):
        pixels(images, quantize)


# Each extractor


@pytest.mark.parametrize("name", EXTRACTORS)
def test_grey_images_are_seen_three_times_by_networks_of_three_channels(name, extractors, images):
    grey = images[:2, ..., :1]
    np.testing.assert_array_equal(extractors[name](grey), extractors[name](grey.repeat(3, -1)))


def test_a_classifier_of_grey_images_sees_one_channel(tmp_path, images):
    dims, path = {"image_dims": [16, 16, 1]}, str(tmp_path / "grey.weights.h5")
    clf = create_clf({**CLF_SIZES, **dims})
    save_weights(clf, path, {**CLF_INFO, **dims})
    extractor, grey = make_extractor("classifier", path), images[..., :1]
    assert extractor.channels == 1
    seen = tf.image.resize(pixels(grey, quantize=True) / 127.5 - 1, (16, 16))
    np.testing.assert_allclose(extractor(grey), clf.features(seen), rtol=1e-5)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_features_of_an_image_do_not_depend_on_its_batch(name, extractors, images):
    extractor = extractors[name]
    together = extractor(images)
    assert together.shape == (5, extractor.dim)
    assert together.dtype == np.float32
    alone = np.concatenate([extractor(images[:1]), extractor(images[1:])])
    pieces = dataclasses.replace(extractor, pieces=3)(images)
    # float32 sums in another order; features of random networks are as large as their spread
    for other in (alone, pieces):
        np.testing.assert_allclose(other, together, rtol=1e-3, atol=1e-4 * np.abs(together).max())


def test_inception_keras_sees_the_clipped_image_enlarged(extractors, inception, images):
    """Against Pillow's bilinear resize in float, which is half-pixel when it enlarges."""
    extractor = dataclasses.replace(extractors["inception_keras"], quantize=False)

    def enlarge(image):
        channels = (Image.fromarray(image[..., c]) for c in range(3))
        return np.stack([c.resize((299, 299), Image.Resampling.BILINEAR) for c in channels], -1)

    seen = np.stack([enlarge(image) for image in np.clip(images[:2], -1, 1)])
    expected = inception(seen, training=False).numpy()
    features = extractor(images[:2])
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_inception_tf1_runs_the_graph_as_it_is_on_batches_of_pixels(extractors, images):
    """Against the same operations in TensorFlow 2: legacy resize, scale, conv, batch norm, mean."""
    p, x = parameters(), pixels(images, quantize=True)
    x = tf.raw_ops.ResizeBilinear(images=x, size=[299, 299], half_pixel_centers=False)
    x = tf.nn.conv2d((x - 128) / 128, p["kernel"], 2, "VALID")
    x = tf.nn.batch_normalization(x, p["mean"], p["variance"], p["beta"], p["gamma"], EPSILON)
    expected = tf.reduce_mean(tf.nn.relu(x), axis=(1, 2)).numpy()
    np.testing.assert_allclose(extractors["inception_tf1"](images), expected, rtol=1e-4)


def test_classifier_features_are_those_that_its_last_layer_reads(extractors, weights, rng):
    images = rng.uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    clf = create_clf(CLF_SIZES)
    clf.load_weights(weights["classifier"])
    extractor = dataclasses.replace(extractors["classifier"], quantize=False)
    features = extractor(images)
    logits = features @ clf.linear.kernel.numpy() + clf.linear.bias.numpy()
    np.testing.assert_allclose(logits, clf(images).numpy(), rtol=1e-4, atol=1e-5)
    seen = tf.nn.softmax(clf(images)).numpy()
    np.testing.assert_allclose(extractor.head(features), seen, rtol=1e-4, atol=1e-6)
    assert len(extractor.classes) == seen.shape[1]


def test_random_conv_is_the_same_network_every_time_and_says_what_it_is(images):
    one, other = (make_extractor("random_conv", None) for _ in range(2))
    assert np.array_equal(one(images), other(images))
    assert "tests only" in one.label


# Metadata and refusals


def test_metadata_tell_rounding_apart(extractors, weights):
    one = extractors["inception_tf1"]
    unrounded = make_extractor("inception_tf1", weights["inception_tf1"], quantize=False)
    assert unrounded.metadata == one.metadata | {"quantize": False}


def test_metadata_tell_weights_apart(extractors, weights, tmp_path):
    content = Path(weights["inception_tf1"]).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    assert extractors["inception_tf1"].metadata["weights_sha256"] == sha256
    clf, path = create_clf(CLF_SIZES), str(tmp_path / "clf.weights.h5")
    clf.linear.bias.assign([1e-6, 0, 0])
    save_weights(clf, path, CLF_INFO)
    other = make_extractor("classifier", path).metadata
    assert other["weights_sha256"] != extractors["classifier"].metadata["weights_sha256"]


def test_other_weights_than_those_of_a_known_digest_are_refused(weights):
    path = weights["inception_tf1"]
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    extractor = make_extractor("inception_tf1", path, sha256=digest.upper())
    assert extractor.weights_sha256 == digest
    with pytest.raises(UserError, match=f"inception_tf1 are not those.*{digest}"):
        make_extractor("inception_tf1", path, sha256="0" * 64)


def test_the_published_archive_is_read_as_the_graph_in_it(extractors, weights, tmp_path, images):
    with tarfile.open(tmp_path / "inception.tgz", "w:gz") as archive:
        archive.add(weights["inception_tf1"], arcname=TF1_FILE)
    packed, plain = make_extractor("inception_tf1", str(tmp_path / "inception.tgz")), extractors
    assert packed.metadata == plain["inception_tf1"].metadata
    np.testing.assert_allclose(packed(images), plain["inception_tf1"](images), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("inception_tf1", None, "not found"),
        ("inception_tf1", b"no graph at all", "is not the graph"),
        ("inception_tf1", b"", "is not the graph"),
        ("inception_keras", None, "not found"),
        ("inception_keras", b"no weights at all", "are not of Keras' InceptionV3"),
        ("classifier", b"no weights at all", "weights .* damaged"),
    ],
)
def test_wrong_weights_are_refused_in_one_line(tmp_path, name, content, said):
    path = tmp_path / ("file.pb" if name == "inception_tf1" else "file.weights.h5")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as refusal:
        make_extractor(name, str(path))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["inception_tf1", "inception_keras"])
def test_a_folder_of_weights_is_refused_by_its_kind(tmp_path, name):
    with pytest.raises(UserError, match="is a folder: name the file of the weights"):
        make_extractor(name, str(tmp_path))


def test_a_wrong_archive_is_refused_in_one_line(tmp_path):
    (tmp_path / "file.tgz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=f"is no archive with {TF1_FILE}"):
        make_extractor("inception_tf1", str(tmp_path / "file.tgz"))


def test_a_classifier_has_to_be_named():
    with pytest.raises(UserError, match="needs clf_weights"):
        make_extractor("classifier", None)


@pytest.mark.parametrize(
    ("name", "fetch"),
    [
        ("inception_keras", "keras.applications.InceptionV3"),
        ("inception_tf1", "keras.utils.get_file"),
    ],
)
def test_without_a_network_the_missing_file_is_named(monkeypatch, name, fetch):
    def unreachable(**_):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(fetch, unreachable)
    with pytest.raises(UserError, match=r"fetch.* here; set inception_weights to a copy of"):
        make_extractor(name, None)
