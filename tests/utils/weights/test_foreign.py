"""Weights in other formats are refused by name; checkpoints show the sizes of their network."""

import h5py
import numpy as np
import pytest

from tests.nets.cases import create_small, weights_of
from tests.utils.test_import_weights import ROWS, published_arrays, write_checkpoint
from utils.errors import UserError
from utils.weights.files import network_info, save_weights
from utils.weights.networks import EBM, GENERATOR, create_prior, with_stored_sizes
from utils.weights.published import load_weights

FOREIGN = {
    "gen.pth": ("a PyTorch file", "utils.import_weights {path} {folder}/gen.weights.h5 --net"),
    "gen.pt": ("a PyTorch file", "utils.import_weights"),
    "pytorch_model.bin": ("a PyTorch file", "utils.import_weights"),
    "clf.keras": ("a whole Keras model", ".save_weights('{folder}/clf.weights.h5')"),
    "ebm_1.ckpt.data-00000-of-00001": ("one file of a", "name its prefix {folder}/ebm_1.ckpt"),
    "bank.npz": ("neither a .weights.h5 file nor the prefix", "bank.npz.index"),
}


def _refused(read, path: str) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_weights_is_named_before_and_when_it_is_loaded(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"something")
    for read in (network_info, lambda path: load_weights(None, path)):
        message = _refused(read, str(path))
        for words in FOREIGN[name]:
            assert words.format(path=path, folder=tmp_path) in message


def test_a_folder_of_weights_names_those_inside(tmp_path):
    assert "are a folder" in _refused(network_info, str(tmp_path))
    for name in ("ebm_2.weights.h5", "ebm_1.ckpt.index", "notes.txt"):
        (tmp_path / name).touch()
    message = _refused(network_info, str(tmp_path))
    assert message.endswith("(there are ebm_1.ckpt, ebm_2.weights.h5)")


@pytest.mark.parametrize("row", ROWS)
def test_a_published_checkpoint_shows_the_sizes_of_its_network(row, tmp_path):
    kind, size, config = ROWS[row]
    model = create_small(kind, size, **config)
    arrays = published_arrays(row, weights_of(model, np.float32))
    info = network_info(write_checkpoint(tmp_path, arrays))
    assert info["width"] == model.width
    assert all(
        getattr(model, name, info[name]) == info[name] for name in ("z_sz", "depth") & info.keys()
    )


def test_a_prior_is_as_wide_as_its_checkpoint_whatever_the_ebm_is(tmp_path):
    prior = create_small("ebm_sngan", 32, ebm_width=8, seed=3)
    path = write_checkpoint(
        tmp_path, published_arrays("ebm_sngan_32", weights_of(prior, np.float32))
    )
    config = {"net_type": "ebm_sngan", "image_dims": [32, 32, 3], "prior_weights": path}
    for width in (None, 8, 16):
        loaded = create_prior({**config, "ebm_width": width})
        np.testing.assert_array_equal(loaded.weights[0], prior.weights[0])


def test_a_prior_without_a_word_of_its_width_takes_the_given_one(tmp_path):
    path = str(tmp_path / "prior.weights.h5")
    create_small("ebm_sngan", 32, ebm_width=8).save_weights(path)
    config = {"net_type": "ebm_sngan", "image_dims": [32, 32, 3], "prior_weights": path}
    assert create_prior({**config, "ebm_width": 8}).width == 8


def test_weights_for_images_of_another_size_are_refused_unless_the_network_is_the_same(tmp_path):
    path = str(tmp_path / "net.weights.h5")
    network = create_small("ebm_sngan", 32, ebm_width=8)
    save_weights(network, path, {"type": "ebm_sngan", "image_dims": [32, 32, 3], "width": 8})
    config = {"ebm_weights": path, "net_type": "ebm_sngan", "image_dims": [64, 64, 3]}
    with pytest.raises(UserError, match=r"for images of \[32, 32, 3\], but 'image_dims' is \[64"):
        with_stored_sizes(EBM, {**config, "ebm_width": None})
    save_weights(network, path, {"type": "gen_biggan_cond", "image_dims": [256, 256, 3]})
    config = {"gen_weights": path, "gen_type": "gen_biggan_cond", "image_dims": [224, 224, 3]}
    assert with_stored_sizes(GENERATOR, config) == config


def test_text_in_the_place_of_weights_is_refused(tmp_path):
    path, network = tmp_path / "net.weights.h5", create_small("ebm_sngan", 32, ebm_width=8)
    network.save_weights(path)
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visititems(lambda n, x: names.append(n) if isinstance(x, h5py.Dataset) else None)
        shape = file[names[0]].shape
        del file[names[0]]
        file[names[0]] = np.ones(shape, "S1")
    assert "are damaged: " in _refused(lambda path: load_weights(network, path), str(path))
