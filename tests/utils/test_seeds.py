"""Names of random streams: part of every result, so that none may ever change."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from nets.layers import WEIGHTS
from utils.seeds import Purpose, fold, fold_each, folded, folding_draw, host_rng


def test_purposes_keep_their_numbers():
    names = (
        "WEIGHTS DATA CHAIN_DATA DATA_NOISE BANK_FILL BANK_DRAW LATENTS CHAIN BURN_IN "
        "GENERATED_DATA NOISE_IMAGES PLOTS BURN_IN_COUNTS EVALUATION ATTACK CLASSIFIER SUBSETS "
        "ATTACK_START ATTACK_CONTROL BASE ANNEALING ACCEPTANCE OUTLIERS PROJECTIONS PERMUTATIONS "
        "BOOTSTRAP ATTACK_SEARCH ATTACK_PROBES ATTACK_BOOTSTRAP"
    )
    assert {purpose.name: int(purpose) for purpose in Purpose} == {
        name: number for number, name in enumerate(names.split(), start=1)
    }
    assert WEIGHTS == Purpose.WEIGHTS


def test_streams_of_different_names_differ():
    names = [(0, Purpose.CHAIN), (1, Purpose.CHAIN), (0, Purpose.BURN_IN), (0, Purpose.CHAIN, 1)]
    names += [(0, Purpose.CHAIN, 1, 2), (0, Purpose.CHAIN, 2, 1)]
    seeds = [tuple(fold(*name).numpy()) for name in names]
    draws = [host_rng(*name).integers(2**32) for name in names]
    assert len(set(seeds)) == len(set(draws)) == len(names)


def test_updates_that_shared_their_noise_in_32_bits_do_not():
    one, other = (fold(0, Purpose.CHAIN, number, 0, 0).numpy() for number in (49_714, 102_230))
    assert one[0] != other[0]
    assert one.dtype == np.int64


def test_streams_of_a_long_training_all_differ():
    """Of 2^17 updates 32-bit seeds share about two pairs: 2^34 pairs in 2^32 seeds, halved."""
    numbers = tf.range(2**17)
    draws = tf.vectorized_map(lambda n: fold(0, Purpose.CHAIN, n, 0, 0)[0], numbers)
    assert len(np.unique(draws)) == len(numbers)


@pytest.mark.parametrize("name", [(7, Purpose.DATA), (7, Purpose.DATA, 3, 5)])
def test_a_name_is_the_same_stream_each_time(name):
    np.testing.assert_array_equal(fold(*name), fold(*name))
    one, other = (host_rng(*name) for _ in range(2))
    for _ in itertools.repeat(None, 3):
        assert one.random() == other.random()


def test_a_folding_draw_and_an_index_are_the_seed_folded_with_it():
    for seed, index in ([3, 4], 0), ([-7, 2**31 - 1], 5), ([0, 0], -1):
        seed = tf.constant(seed, tf.int64)
        expected = tf.random.fold_in(seed, tf.constant(index, tf.int64), alg="philox")
        computed = folded(folding_draw(seed), index)
        np.testing.assert_array_equal(computed, expected)


def test_many_names_have_the_seeds_of_each():
    numbers, names = np.arange(3), np.arange(8).reshape(2, 4)
    together = fold_each(0, Purpose.BASE, numbers, 5), fold_each(0, Purpose.ATTACK, names)
    assert np.array_equal(together[0], [fold(0, Purpose.BASE, 5, number) for number in numbers])
    assert np.array_equal(together[1], [fold(0, Purpose.ATTACK, *name) for name in names])
