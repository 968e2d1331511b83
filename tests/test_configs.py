"""The published configs are what was published; `test_tables.py` checks what all configs share."""

import ast
import json
from pathlib import Path

import pytest

from utils.config.load import find_config, load_config

REPOSITORY = Path(__file__).resolve().parent.parent
PUBLISHED = json.loads((Path(__file__).parent / "reference" / "configs.json").read_text())
OTHER_NAMES = {
    "configs/cifar10_nonconv_resnet.py": "configs/cifar10_nonconv_sngan.py",
    "configs/celeb_a_nonconv_resnet.py": "configs/celeb_a_nonconv_sngan.py",
    "configs/imagenet_nonconv_resnet.py": "configs/imagenet_nonconv_sngan.py",
    "configs/cifar10_medconv_resnet.py": "configs/cifar10_medconv_sngan.py",
    "configs/imagenet_medconv_resnet.py": "configs/imagenet_medconv_sngan.py",
}


def _dict_of(path: str) -> dict:
    """Return the dict literal that a complete config file assigns."""
    assignment = ast.parse((REPOSITORY / path).read_text()).body[-1]
    return ast.literal_eval(assignment.value)


@pytest.mark.parametrize("path", PUBLISHED)
def test_published_configs_have_every_published_key_and_value(path):
    assert _dict_of(path) == PUBLISHED[path]


@pytest.mark.parametrize(("other", "path"), OTHER_NAMES.items())
def test_both_families_of_names_are_the_same_experiment(other, path):
    fill = ["gen_weights=some.weights.h5"]
    assert load_config(other, fill) == load_config(path, fill)


def test_a_config_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("configs/smoke.py") == REPOSITORY / "configs" / "smoke.py"
    own = tmp_path / "configs" / "smoke.py"
    own.parent.mkdir()
    own.write_text("config = {}\n")
    assert find_config("configs/smoke.py") == Path("configs/smoke.py"), "one's own goes first"
