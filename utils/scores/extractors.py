"""Feature extractors: each maps images to features, and every score names its extractor.

Distances compare only if extractor, resize and rounding are the same: `Extractor.metadata` must
agree.
"""

import dataclasses
import hashlib
import io
import itertools
import tarfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from nets.layers import static_shape
from utils.errors import UserError
from utils.images import to_bytes, to_uint8
from utils.seeds import Purpose, host_rng
from utils.weights.networks import class_names, load_classifier

Network = Callable[[np.ndarray], np.ndarray]

SIZE = 299  # of the input of both Inception networks
KERAS_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
TF1_FILE = "classify_image_graph_def.pb"
TF1_ORIGIN = (
    "https://storage.googleapis.com/download.tensorflow.org/models/image/imagenet/"
    "inception-2015-12-05.tgz"
)
TF1_INPUT, TF1_FEATURES = "ExpandDims", "pool_3"
RANDOM_WIDTHS = (3, 16, 32, 64)


@dataclasses.dataclass(frozen=True)
class Extractor:
    """Images (b, h, w, 1 or 3) around [-1, 1] -> features (b, dim) float32.

    `network` takes pixels (b, h, w, channels) float32 in [0, 255], whole numbers if `quantize`.
    Grey images are repeated for a network of three channels. A batch is split into `pieces`, which
    are computed in parallel. A classifier has a `head`, features -> probabilities of its `classes`.
    """

    name: str
    dim: int
    resize: str
    weights_sha256: str
    network: Network
    quantize: bool = True
    channels: int = 3
    pieces: int = 1
    head: Callable[[np.ndarray], np.ndarray] | None = None
    classes: tuple[str, ...] = ()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        seen = pixels(images, self.quantize)
        if seen.shape[-1] < self.channels:
            seen = np.repeat(seen, self.channels, axis=-1)
        # Threads share one graph; a graph per piece would repeat some 90 MB of constants.
        with ThreadPoolExecutor(self.pieces) as threads:
            features = threads.map(self.network, np.array_split(seen, min(self.pieces, len(seen))))
            return np.concatenate(list(features)).astype(np.float32, copy=False)

    @property
    def label(self) -> str:
        """The name in scores."""
        note = " (random weights, for tests only)" if self.name == "random_conv" else ""
        return self.name + note

    @property
    def metadata(self) -> dict[str, str | bool]:
        """The properties that must agree before two sets of features are compared."""
        return {
            "extractor": self.name,
            "weights_sha256": self.weights_sha256,
            "resize": self.resize,
            "quantize": self.quantize,
        }


def make_extractor(
    feature_net: str, weights: str | None, quantize: bool = True, sha256: str | None = None
) -> Extractor:
    """Return an extractor of EXTRACTORS with the weights at a path.

    Without a path both Inceptions fetch their published weights; `classifier` needs a path, and
    `random_conv` ignores it. Without `quantize` pixels are not rounded, as in the published script.
    Raises UserError if the weights are missing, damaged, of another network, or do not have the
    given `sha256`.
    """
    extractor = dataclasses.replace(EXTRACTORS[feature_net](weights), quantize=quantize)
    if sha256 is not None and extractor.weights_sha256 != sha256.lower():
        raise UserError(
            f"the weights of {feature_net} are not those of 'feature_sha256': their SHA-256 is "
            f"{extractor.weights_sha256}"
        )
    return extractor


def pixels(images: np.ndarray, quantize: bool) -> np.ndarray:
    """Convert images in [-1, 1] to float32 in [0, 255], clipped, and rounded if `quantize`.

    Raises Diverged for NaN and Inf.
    """
    return (to_uint8(images) if quantize else to_bytes(images)).astype(np.float32)


def inception_keras(weights: str | None) -> Extractor:
    """Return Keras' InceptionV3 without top, average pooled, as in the published `fid.py`.

    Its weights and its last block differ from those of the original score, and so do its values.
    """
    model = _inception_model(weights)

    def network(x: tf.Tensor) -> tf.Tensor:
        return model(_resize(x / 127.5 - 1, SIZE, SIZE), training=False)

    return Extractor(
        name="inception_keras",
        dim=model.output_shape[-1],
        resize=f"bilinear half-pixel to {SIZE}",
        weights_sha256=_hash(variable.value.numpy() for variable in model.variables),
        network=compile_network(network),
    )


def _inception_model(weights: str | None) -> keras.Model:
    _must_exist(weights, "inception_weights")
    shape = (SIZE, SIZE, 3)
    try:
        return keras.applications.InceptionV3(
            include_top=False, weights=weights or "imagenet", pooling="avg", input_shape=shape
        )
    except Exception as error:  # Keras raises many types of errors
        raise UserError(
            f"inception_weights {weights} are not of Keras' InceptionV3 without top"
            if weights
            else "inception_keras: Keras cannot fetch its weights here; "
            f"set inception_weights to a copy of {KERAS_FILE}"
        ) from error


def inception_tf1(weights: str | None) -> Extractor:
    """Return the graph of December 2015 that defines the original score (Heusel et al. 2017).

    It runs unchanged, in a TensorFlow 1 session: TensorFlow 2 functions refuse its batch norm
    operation. Its input before its own resize (not half-pixel) becomes a placeholder for batches of
    pixels, because the graph reads a single JPEG.
    """
    content = _tf1_content(weights)
    definition = tf.compat.v1.GraphDef()
    graph = tf.Graph()
    try:
        definition.ParseFromString(content)
        entry = next(node for node in definition.node if node.name == TF1_INPUT)
        _make_placeholder(entry)
        with graph.as_default():
            tf.import_graph_def(definition, name="")
        features = graph.get_tensor_by_name(f"{TF1_FEATURES}:0")
    except (DecodeError, StopIteration, KeyError, ValueError) as error:
        raise UserError(
            f"inception_weights {weights} is not the graph {TF1_FILE}: "
            f"no image graph from {TF1_INPUT} to {TF1_FEATURES}"
        ) from error
    session = tf.compat.v1.Session(graph=graph)
    dim = static_shape(features)[-1]
    return Extractor(
        name="inception_tf1",
        dim=dim,
        resize="inside the graph",
        weights_sha256=hashlib.sha256(content).hexdigest(),
        network=lambda x: session.run(features, {f"{TF1_INPUT}:0": x}).reshape(-1, dim),
    )


def _make_placeholder(node: tf.compat.v1.NodeDef) -> None:
    """Change a node of a graph definition to a placeholder for (b, h, w, 3) float32."""
    name = node.name
    node.Clear()
    node.name, node.op = name, "Placeholder"
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape([None, None, None, 3]).as_proto())


def _tf1_content(weights: str | None) -> bytes:
    """Return the bytes of the graph from a `.pb`, or from the published archive `.tgz`."""
    _must_exist(weights, "inception_weights")
    if not weights:
        try:
            weights = str(keras.utils.get_file(origin=TF1_ORIGIN))
        except Exception as error:  # Keras wraps every failure of its download
            raise UserError(
                "inception_tf1: the graph cannot be fetched here; "
                f"set inception_weights to a copy of {TF1_FILE}"
            ) from error
    with tf.io.gfile.GFile(weights, "rb") as file:
        content = file.read()
    if not weights.endswith(".tgz"):
        return content
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return (archive.extractfile(TF1_FILE) or io.BytesIO()).read()
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise UserError(f"inception_weights {weights} is no archive with {TF1_FILE}") from error


def classifier(weights: str | None) -> Extractor:
    """Return the penultimate features of a classifier of `train_clf.py`."""
    if not weights:
        raise UserError("feature_net 'classifier' needs clf_weights: train one with train_clf.py")
    model, info = load_classifier(weights)
    height, width, channels = info["image_dims"]

    def network(x: tf.Tensor) -> tf.Tensor:
        return model.features(_resize(x / 127.5 - 1, height, width))

    return Extractor(
        name="classifier",
        dim=model.linear.kernel.shape[0],
        resize=f"bilinear half-pixel to {height}x{width}",
        weights_sha256=_hash(variable.value.numpy() for variable in model.variables),
        network=compile_network(network, channels),
        channels=channels,
        head=lambda features: tf.nn.softmax(model.linear(features)).numpy(),
        classes=class_names(info),
    )


def random_conv(weights: str | None) -> Extractor:
    """Return a small fixed convolutional network with random weights, for tests."""
    kernels = []
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(RANDOM_WIDTHS)):
        draws = host_rng(0, Purpose.WEIGHTS, layer).normal(size=(3, 3, inputs, outputs))
        kernels.append((draws * np.sqrt(2 / (9 * inputs))).astype(np.float32))

    def network(x: tf.Tensor) -> tf.Tensor:
        x = x / 127.5 - 1
        for kernel in kernels:
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=2, padding="SAME"))
        return tf.reduce_mean(x, axis=(1, 2))

    return Extractor(
        name="random_conv",
        dim=RANDOM_WIDTHS[-1],
        resize="none",
        weights_sha256=_hash(kernels),
        network=compile_network(network),
    )


EXTRACTORS = {
    "inception_keras": inception_keras,
    "inception_tf1": inception_tf1,
    "classifier": classifier,
    "random_conv": random_conv,
}


def _resize(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resize images, bilinear with half-pixel centres and without antialiasing."""
    return tf.image.resize(images, (height, width))


def compile_network(network: Callable[[tf.Tensor], tf.Tensor], channels: int = 3) -> Network:
    """Compile the network to one graph for all sizes of batches.

    It is traced here: the pieces of a first batch, in threads, would all count as retraced.
    """
    spec = tf.TensorSpec([None, None, None, channels])
    graph = tf.function(network, input_signature=[spec], autograph=False)
    graph.get_concrete_function()
    return graph


def _hash(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _must_exist(path: str | None, key: str) -> None:
    if path and not tf.io.gfile.exists(path):
        raise UserError(f"{key} {path} not found")
    if path and tf.io.gfile.isdir(path):
        raise UserError(f"{key} {path} is a folder: name the file of the weights in it")
