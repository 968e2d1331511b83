"""tests/same_bits.py: a few of its comparisons, and that it sees a difference."""

import numpy as np

from tests.same_bits import UPDATES, compare, difference


def test_a_run_cut_in_two_gives_the_bits_of_a_run_in_one_piece(tmp_path, data_dir):
    found = compare("train_longrun", [f"data_dir={data_dir}"], 3, tmp_path)
    assert list(found) == [{}] * 3


def test_a_difference_is_told_with_its_size_and_the_update_it_begins_at():
    one = [{"ebm/0000": np.ones(2, np.float32), "bank/untouched": np.ones(1, bool)}] * UPDATES
    last = {"ebm/0000": np.float32([1, 1 + 2**-20]), "bank/untouched": np.zeros(1, bool)}
    assert difference(one, one) is None
    told = str(difference(one, [*one[:-1], last]))
    assert told == "after update 4: ebm/0000 by 9.5e-07, bank/untouched by 1.0e+00"
