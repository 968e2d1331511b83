"""Npz files hold every array under its name, as NumPy reads them."""

import numpy as np

from utils.files.npz import read_npz, write_npz


def test_arrays_of_any_name_are_read_back(tmp_path, rng):
    path = str(tmp_path / "a.npz")
    arrays = {
        "images": rng.integers(0, 256, (2, 3, 3, 3)).astype(np.uint8),
        "file": np.arange(3),  # np.savez has arguments of these two names
        "allow_pickle": np.array(0.5, np.float32),
        "inner/name": np.asfortranarray(rng.normal(size=(2, 3))),
    }
    write_npz(path, {**arrays, "text": "é", "number": 3})
    with np.load(path) as found:
        assert sorted(found.files) == sorted([*arrays, "text", "number"])
        assert (found["text"], found["number"]) == ("é", 3)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    assert read_npz(path).keys() == {*arrays, "text", "number"}
