"""What checks read off a config."""

import pytest

from utils.config.checks import classifier_type, data_name


@pytest.mark.parametrize(
    ("data_type", "name"),
    [
        ("emoji32", "emoji32"),
        ("cifar10:3.0.2", "cifar10"),
        ("cifar10:3.*.*", "cifar10"),
        ("cifar10:*.*.*", "cifar10"),
        ("mnist_corrupted/fog:1.0.0", "mnist_corrupted"),
        ("huggingface:cifar10", "huggingface:cifar10"),
    ],
)
def test_a_data_set_is_the_same_in_every_variant_and_version(data_type, name):
    assert data_name({"data_type": data_type}) == name


def test_the_classifier_of_imagenet_does_not_depend_on_its_version():
    assert (
        classifier_type({"clf_type": None, "data_type": "imagenet2012:5.1.0"}) == "efficientnet_b7"
    )
