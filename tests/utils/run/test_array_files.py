"""Laws of arrays that grow by batches: whole or not there, and gone on from anywhere."""

import numpy as np
import pytest

from utils.errors import UserError
from utils.run.array_files import ArrayFiles


def test_batches_come_back_in_the_order_of_their_images(tmp_path, rng):
    files, rows = ArrayFiles(str(tmp_path / "features")), rng.normal(size=(250, 3))
    assert files.numbers() == []
    for first in (200, 0, 100):
        files.put(first, rows[first : first + 100])
    assert files.numbers() == [0, 100, 200]
    assert np.array_equal(np.concatenate(list(files.batches())), rows)


def test_what_follows_a_place_is_dropped_and_a_half_written_file_is_none(tmp_path):
    files = ArrayFiles(str(tmp_path))
    for first in (0, 8, 12, 16):
        files.put(first, np.zeros(4))
    (tmp_path / ".tmp-00000020.npy").write_bytes(b"half")
    files.drop_from(12)
    assert files.numbers() == [0, 8]
    files.drop()
    assert not tmp_path.exists()


def test_missing_files_are_no_shorter_result(tmp_path):
    files = ArrayFiles(str(tmp_path))
    for first in (0, 3, 6):
        files.put(first, np.arange(first, first + 3))
    np.testing.assert_array_equal(np.concatenate([*files.rows(8)]), np.arange(8))  # 1 is padding
    for gone, left in ((6, 6), (0, 0)):
        (tmp_path / f"{gone:08}.npy").unlink()
        with pytest.raises(UserError, match=f"holds {left} of 8 images: files are missing"):
            list(files.rows(8))
    with pytest.raises(UserError, match=r"00000000.npy is missing: copy the run folder again"):
        files.get(0)


def test_files_of_more_workers_that_one_worker_wrote_again_are_passed_over(tmp_path):
    """Two workers wrote two halves of a batch, and were killed before their state was saved."""
    files = ArrayFiles(str(tmp_path))
    for first, count in ((0, 4), (4, 2), (6, 2), (4, 4)):
        files.put(first, np.arange(first, first + count))
    np.testing.assert_array_equal(np.concatenate([*files.rows(8)]), np.arange(8))
    np.testing.assert_array_equal(np.concatenate([*files.batches()]), np.arange(8))


def test_a_damaged_file_is_named(tmp_path):
    ArrayFiles(str(tmp_path)).put(4, np.zeros(3))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"00000004.npy is damaged"):
        list(ArrayFiles(str(tmp_path)).batches())
