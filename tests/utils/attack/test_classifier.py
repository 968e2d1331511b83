"""How a classifier's classes are matched to those of the data."""

import pytest

from nets import create_clf
from utils.attack.classifier import class_numbers, require_enough_classes
from utils.errors import UserError
from utils.weights.files import save_weights

SIZES = {"image_dims": [16, 16, 3], "clf_depth": 10, "clf_width": 1, "num_classes": 3}


@pytest.fixture(scope="module")
def weights_of(tmp_path_factory):
    """Return (classes) -> path of a small classifier whose file names these classes."""
    folder, network = tmp_path_factory.mktemp("weights"), create_clf(SIZES)

    def save(classes: list[str] | int) -> str:
        path = str(folder / f"{classes}.weights.h5")
        save_weights(network, path, {"type": "wrn", "classes": classes})
        return path

    return save


def numbers(path: str, names: str) -> list[int]:
    config = {"clf_type": "wrn", "clf_weights": path, "data_type": "image_folder"}
    return class_numbers(config, names.split()).tolist()


def test_classes_of_the_data_are_found_by_name_and_some_may_be_missing(weights_of):
    path = weights_of(["bird", "cat", "dog"])
    for names, expected in (
        ("bird cat dog", [0, 1, 2]),
        ("bird cat", [0, 1]),
        ("dog bird", [2, 0]),
    ):
        assert numbers(path, names) == expected
    with pytest.raises(UserError, match=r"also have fox: set data_labels to \['cat'\]"):
        numbers(path, "cat fox")


def test_classes_without_names_must_be_as_many_as_the_datas(weights_of):
    path = weights_of(3)
    assert numbers(path, "bird cat dog") == [0, 1, 2]
    with pytest.raises(UserError, match="have 3 classes without names; the data have 2"):
        numbers(path, "bird cat")


@pytest.mark.parametrize("attack", ["apgd_dlr", "apgd_t"])
def test_ratios_of_four_logits_need_four_classes(attack):
    config = {"attack": "ensemble", "attack_list": ["square", attack]}
    with pytest.raises(UserError, match=f"attack '{attack}' compares 4 logits"):
        require_enough_classes(config, 3)
    require_enough_classes(config, 4)
    require_enough_classes({"attack": "apgd_ce", "attack_gradient": "bpda"}, 3)
    with pytest.raises(UserError, match="has one class"):
        require_enough_classes({"attack": "pgd", "attack_gradient": "bpda"}, 1)
