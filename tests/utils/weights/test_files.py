import functools
import json
import unittest.mock

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.errors import UserError
from utils.mcmc.banks import Bank, Shelves
from utils.run import states
from utils.weights import files as checkpoint
from utils.weights import networks


class Arrays:
    """A part of a state that holds arrays only."""

    def __init__(self, **arrays):
        self.arrays = {name: np.asarray(array) for name, array in arrays.items()}

    def state(self):
        return self.arrays

    def restore(self, state):
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in self.arrays.items()}:
            raise ValueError("other shapes")
        self.arrays = state


def _write(root, update: int, parts, replicas: int = 1) -> str:
    folder = str(root / str(update))
    states.write_parts(folder, parts)
    states.declare_state(folder, {"update": update, "replicas": replicas})
    return folder


def test_parts_come_back_to_the_last_bit(tmp_path, rng):
    parts = {
        "ebm": Arrays(a=rng.normal(size=(3, 4)).astype(np.float32)),
        "bank_0_2": Arrays(n=[1, 2]),
    }
    folder = _write(tmp_path, 5, parts)
    empty = {"ebm": Arrays(a=np.zeros((3, 4), np.float32)), "bank_0_2": Arrays(n=[0, 0])}
    header = states.read_header(folder)
    states.restore_parts(folder, header, empty)
    for name, part in parts.items():
        for key, array in part.state().items():
            np.testing.assert_array_equal(empty[name].state()[key], array)
            assert empty[name].state()[key].dtype == array.dtype


def _shelves(size: int, processes: int) -> dict[str, Bank]:
    """Return the banks of several processes that share a batch of 8, with numbered slots."""
    banks, width = {}, 8 // processes
    for first in range(0, 8, width):
        shelves = Shelves(size, 8, slice(first, first + width))
        places = [p for p in range(size) if first <= p % 8 < first + width]
        banks |= Bank(shelves, np.array(places)).parts("bank")
    return banks


@pytest.mark.parametrize("size", [8, 21, 24])
@pytest.mark.parametrize("now", [1, 2, 4])
@pytest.mark.parametrize("before", [1, 2, 4])
def test_banks_go_on_with_any_number_of_processes(tmp_path, size, before, now):
    folder = _write(tmp_path, 1, _shelves(size, before), replicas=before)
    new, expected = _shelves(size, now), _shelves(size, now)
    for bank in new.values():
        bank.images = np.zeros_like(bank.images)
    states.restore_parts(folder, states.read_header(folder), new)
    for name, bank in expected.items():
        np.testing.assert_array_equal(new[name].images, bank.images)


def test_a_state_without_its_declaration_does_not_exist(tmp_path):
    _write(tmp_path, 3, {"ebm": Arrays(a=[1])})
    states.write_parts(str(tmp_path / "7"), {"ebm": Arrays(a=[2])})
    assert states.list_states(str(tmp_path)) == [3]
    assert states.list_states(str(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    "harm", ["cut", "flip", "gone", "json", "empty json", "another update", "no replicas"]
)
def test_damage_is_named(tmp_path, harm):
    folder = _write(tmp_path, 3, {"ebm": Arrays(a=np.arange(100))})
    part, declaration = tmp_path / "3" / "ebm.npz", tmp_path / "3" / "state.json"
    content = bytearray(part.read_bytes())
    if harm == "cut":
        part.write_bytes(content[:-10])
    elif harm == "flip":
        content[300] ^= 1
        part.write_bytes(content)
    elif harm == "gone":
        part.unlink()
    elif harm in ("another update", "no replicas"):
        other = {"another update": {"update": 4}, "no replicas": {"replicas": 0}}[harm]
        declaration.write_text(json.dumps(json.loads(declaration.read_text()) | other))
    else:
        declaration.write_text("{" if harm == "json" else "{}")
    with pytest.raises(UserError, match="3 is damaged"):
        states.read_header(folder)


def test_the_newest_states_are_kept_and_half_written_older_ones_go(tmp_path):
    for update in (1, 2, 3):
        _write(tmp_path, update, {"ebm": Arrays(a=[update])})
    states.write_parts(str(tmp_path / "2000"), {"ebm": Arrays(a=[0])})
    (tmp_path / "0").mkdir()
    states.drop_states(str(tmp_path), keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "2000", "3"]
    states.drop_states_after(str(tmp_path), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["2"]


def test_a_state_of_another_config_is_refused(tmp_path):
    folder = _write(tmp_path, 3, {"ebm": Arrays(a=[1])})
    header = states.read_header(folder)
    with pytest.raises(UserError, match="no part 'bank_0_8'"):
        states.restore_parts(folder, header, {"bank_0_8": Arrays(a=[1])})
    with pytest.raises(UserError, match="no part 'gen'"):
        states.restore_parts(folder, header, {"gen": Arrays(a=[1])})
    with pytest.raises(UserError, match="'ebm' of the state is of another network"):
        states.restore_parts(folder, header, {"ebm": Arrays(a=[1, 2])})


def test_object_arrays_are_refused_without_running_them(tmp_path):
    folder = _write(tmp_path, 3, {"ebm": Arrays(a=[1])})
    np.savez(tmp_path / "3" / "ebm.npz", a=np.array([{}], dtype=object))
    header = {"files": {"ebm.npz": {}}, "replicas": 1}
    with pytest.raises(UserError, match="is damaged"):
        states.restore_parts(folder, header, {"ebm": Arrays(a=[1])})


def _network() -> keras.Model:
    network = keras.Sequential([keras.layers.Dense(2)])
    network.build((None, 3))
    return network


def test_weights_files_say_what_they_are(tmp_path):
    path, info = str(tmp_path / "ebm_3.weights.h5"), {"type": "ebm_sngan", "width": 2}
    first, second = _network(), _network()
    checkpoint.save_weights(first, path, info)
    assert checkpoint.network_info(path) == info
    second.load_weights(path)
    np.testing.assert_array_equal(first.variables[0].numpy(), second.variables[0].numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["ebm_3.weights.h5"]


def test_a_config_takes_its_sizes_from_the_weights_and_may_not_disagree(tmp_path):
    path = str(tmp_path / "ebm.weights.h5")
    checkpoint.save_weights(_network(), path, {"type": "ebm_sngan", "width": 2})
    config = {"ebm_weights": path, "net_type": "ebm_sngan", "ebm_width": None}
    config["image_dims"] = [32, 32, 3]
    sized = functools.partial(networks.with_stored_sizes, networks.EBM)
    assert sized(config)["ebm_width"] == 2
    assert sized({**config, "ebm_width": 2})["ebm_width"] == 2
    with pytest.raises(UserError, match="'ebm_width' is 3"):
        sized({**config, "ebm_width": 3})
    with pytest.raises(UserError, match="type 'ebm_sngan'"):
        sized({**config, "net_type": "ebm_biggan"})
    checkpoint.save_weights(_network(), path, {"type": "ebm_sngan", "image_dims": [32, 32, 1]})
    with pytest.raises(
        UserError, match=r"images of \[32, 32, 1\], but 'image_dims' is \[32, 32, 3"
    ):
        sized({**config, "image_dims": [32, 32, 3]})
    unset = {**config, "ebm_weights": None}
    assert sized(unset) == unset


def test_foreign_and_damaged_weights_are_told_in_a_line(tmp_path):
    foreign, damaged = tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"
    with h5py.File(foreign, "w") as file:
        file.attrs["other"] = json.dumps({})
    damaged.write_bytes(b"not hdf5")
    assert checkpoint.network_info(str(foreign)) is None
    with pytest.raises(UserError, match="are damaged"):
        checkpoint.network_info(str(damaged))
    with h5py.File(damaged, "w") as file:
        file.attrs["network"] = json.dumps({"image_dims": 32})
    with pytest.raises(UserError, match="damaged: their network cannot have image_dims 32"):
        checkpoint.network_info(str(damaged))
    for name in ("c.weights.h5", "published/ebm_1.ckpt"):
        with pytest.raises(UserError, match="not found"):
            checkpoint.network_info(str(tmp_path / name))


def test_an_error_of_reading_that_may_pass_is_no_damage(tmp_path, monkeypatch):
    """A state that counted as damaged would be deleted."""
    for update in (1, 2):
        _write(tmp_path, update, {"ebm": Arrays(a=[update])})
    error = tf.errors.UnavailableError(None, None, "503")
    monkeypatch.setattr(states, "fingerprint", unittest.mock.Mock(side_effect=error))
    with pytest.raises(UserError, match=r"state .*/2 cannot be read: 503; try again"):
        states.newest_state(str(tmp_path))
