"""Keras' EfficientNets: the same network for every source of weights, with a choice of stem.

Keras' first layers compute (x - mean) / sqrt(std) of pixels x in [0, 1]; the weights were trained
on (x - mean) / std (tensorflow/tensorflow issue 49930). Since Keras 2.9 an application built with
`weights="imagenet"` divides once more by sqrt(std), one built with `weights=None` does not. Here
all networks are built without weights, and our code adds the division.
"""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from utils.errors import UserError, first_line
from utils.weights.published import load_weights

STDDEV = (0.229, 0.224, 0.225)  # of the pixels of ImageNet in [0, 1]
CLASSES = 1000
SYNSET = re.compile(r"n\d{8}")  # ImageNet's name of a class; Keras numbers classes in this order
# Origin and MD5 of `efficientnetb0.h5`, ..., as in `keras.applications`
ORIGIN = "https://storage.googleapis.com/keras-applications/"
MD5 = (
    "902e53a9f72be733fc0bcb005b3ebbac",
    "1d254153d4ab51201f1646940f018540",
    "b15cce36ff4dcbd00b6dd88e7857a6ad",
    "ffd1fdc53d0ce67064dc6a9c7960ede0",
    "18c95ad55216b8f92d7e70b3a046e2fc",
    "ace28f2a6363774853a83a0b21b9421a",
    "165f6e37dce68623721b423839de8be5",
    "8c03f828fec3ef71311cd463b6759d99",
)


def create_efficientnet(
    number: int, shape: Sequence[int], stem: str, weights: str | None
) -> keras.Model:
    """Return EfficientNet-B`number`: images (n, *shape) in [0, 255] -> logits (n, 1000).

    `weights` is the path of a file; None fetches Keras' file. The stem `keras` is the one that the
    weights were trained with, and that of Keras since 2.9. The stem `published` is that of
    Keras 2.8, which the published code ran; its contrast is 2.1 times lower. Raises UserError for a
    size that the network refuses, and for weights that are missing or do not fit.
    """
    application = getattr(keras.applications, f"EfficientNetB{number}")
    try:
        network = application(weights=None, input_shape=tuple(shape), classifier_activation=None)
    except ValueError as error:
        raise UserError(f"'image_dims_clf' {list(shape)}: {first_line(error)}") from error
    load_weights(network, weights or fetched_weights(number))
    return network if stem == "published" else _divided_by_stddev(network)


def fetched_weights(number: int) -> str:
    """Return the path of the published weights of EfficientNet-B`number` in Keras' cache."""
    name = f"efficientnetb{number}.h5"
    try:
        return keras.utils.get_file(
            name, ORIGIN + name, cache_subdir="models", file_hash=MD5[number]
        )
    except Exception as error:  # Keras wraps every failure of its download
        raise UserError(
            f"Keras cannot fetch {name}: {first_line(error)}; set clf_weights to a copy of it"
        ) from error


def require_imagenet(class_names: Sequence[str], kind: str) -> None:
    """Raise UserError unless the labels of the data are EfficientNet's class numbers.

    Classes named 0 to 999 are assumed to be ImageNet's.
    """
    names = list(class_names)
    named = names == sorted(names) and all(SYNSET.fullmatch(name) for name in names)
    if len(names) != CLASSES or not (named or names == [str(i) for i in range(CLASSES)]):
        raise UserError(
            f"clf_type '{kind}' needs the {CLASSES} classes of ImageNet, sorted by their names "
            f"n01440764, ...; the data have {len(names)}: {', '.join(names[:10])}"
            f"{', ...' if len(names) > 10 else ''}: use clf_type 'wrn' with weights of train_clf.py"
        )


def _divided_by_stddev(network: keras.Model) -> keras.Model:
    """Return the network with a factor 1 / sqrt(std) after the normalisation; layers are shared."""
    divide = keras.layers.Rescaling([float(1 / np.sqrt(std)) for std in STDDEV])

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        return divide(outputs) if isinstance(layer, keras.layers.Normalization) else outputs

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)
