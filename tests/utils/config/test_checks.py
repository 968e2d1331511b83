"""What checks read off a config."""

import pytest

from utils.config.checks import classifier_type, data_name
from utils.config.load import load_config
from utils.errors import UserError


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


def test_an_attack_cuts_what_runs_together_into_pieces():
    attack = ["batch_size=5", "chain_batch=10", "pieces=2"]
    assert load_config("configs_attack/smoke.py", attack, "attack").pieces == 2
    with pytest.raises(UserError, match="'pieces' 2 does not divide"):
        load_config("configs_attack/smoke.py", [*attack, "chain_batch=None"], "attack")
