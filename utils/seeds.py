"""Named random streams: every draw of the project is a pure function of a seed and its place.

No generator keeps a state. A stream is named by (seed, purpose, index, index, ...); two draws with
different names are independent, and the same name gives the same draw on every run and resume.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Purpose(enum.IntEnum):
    """What a stream is for. Numbers are part of every result: append, never renumber."""

    WEIGHTS = 1  # initial weights of networks
    DATA = 2  # order and augmentation of the data that the EBM learns on
    CHAIN_DATA = 3  # order and augmentation of data that chains start from
    DATA_NOISE = 4  # data_epsilon
    BANK_FILL = 5  # first content of a bank
    BANK_DRAW = 6  # places drawn from a bank, and who is rejuvenated
    LATENTS = 7  # generator latents of new chains
    CHAIN = 8  # Langevin noise of training chains
    BURN_IN = 9  # Langevin noise of burn-in steps
    GENERATED_DATA = 10  # latents of `data_type: 'generator'`
    NOISE_IMAGES = 11  # uniform starting images
    PLOTS = 12  # what pictures show
    BURN_IN_COUNTS = 13  # first counts of the burn-in bank
    EVALUATION = 14  # evaluation chains, by image
    ATTACK = 15  # attack chains, by image
    CLASSIFIER = 16  # dropout and order in classifier training
    SUBSETS = 17  # of images, for KID
    ATTACK_START = 18  # random starts of attacks, by image
    ATTACK_CONTROL = 19  # random perturbations of an attack's control, by image
    BASE = 20  # exact draws that annealing begins with, by chain
    ANNEALING = 21  # proposals of annealed chains, by chain
    ACCEPTANCE = 22  # which of them are accepted, by chain
    OUTLIERS = 23  # noise of images whose energies are compared, and images that are made
    PROJECTIONS = 24  # directions in a space of features
    PERMUTATIONS = 25  # of chains from two starts
    BOOTSTRAP = 26  # resamples of scores
    ATTACK_SEARCH = 27  # what an attack draws in a step, by image and leg
    ATTACK_PROBES = 28  # directions in which losses are compared, by image and round
    ATTACK_BOOTSTRAP = 29  # images drawn again, for intervals


def fold(seed: int | tf.Tensor, purpose: Purpose, *indices: int | tf.Tensor) -> tf.Tensor:
    """Return the (2,) int64 seed of one stream, for `tf.random.stateless_*(..., alg="philox")`.

    Each index is folded into 64 bits of everything before it, and stands beside them as it is.
    """
    key = tf.stack([tf.cast(seed, tf.int64), tf.constant(int(purpose), tf.int64)])
    for index in indices:
        key = folded(folding_draw(key), index)
    return key


def folding_draw(seed: tf.Tensor) -> tf.Tensor:
    """Return the () int64 first half of `tf.random.fold_in(seed, index, alg="philox")`.

    For loops over indices, which complete it by `folded`: drawn once, not in every turn. (Drawn in
    a loop's body it also costs speed in bfloat16, where TensorFlow 2.21 then leaves the biases out
    of its fused convolutions.)
    """
    free: Any = None  # no bound: the whole range of int64
    return tf.random.stateless_uniform([], seed, free, free, tf.int64, alg="philox")


def folded(drawn: tf.Tensor, index: int | tf.Tensor) -> tf.Tensor:
    """Return the (2,) int64 seed `tf.random.fold_in(seed, index)` from the seed's folding draw."""
    return tf.stack([drawn, tf.cast(index, tf.int64)])


def draw_each(
    draw: Callable[[tf.Tensor], tf.Tensor],
    keys: tf.Tensor,
    shape: Sequence[int] | tf.TensorShape,
    dtype: tf.DType,
) -> tf.Tensor:
    """Return `draw(key)`, of one `shape`, for every row of `keys` (b, ...): (b, *shape)."""
    spec: Any = tf.TensorSpec(shape, dtype)  # the stubs: a type alone
    return tf.map_fn(draw, keys, fn_output_signature=spec)


def host_rng(seed: int, purpose: Purpose, *indices: int) -> np.random.Generator:
    """Return the NumPy generator of one stream, for draws on the host.

    NumPy fills names up with zeros: (seed, purpose) and (seed, purpose, 0) are one stream here.
    """
    entropy = [int(seed), int(purpose), *(int(index) for index in indices)]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


class Share(NamedTuple):
    """One of `count` equal shares of the whole batch: a replica's, or a piece of it."""

    number: int | tf.Tensor = 0
    count: int = 1

    def piece(self, number: int | tf.Tensor, pieces: int) -> "Share":
        """Return one of so many equal pieces of this share."""
        return Share(self.number * pieces + number, self.count * pieces)

    def rows(self, draw: Callable[[int], tf.Tensor], size: int) -> tf.Tensor:
        """Return this share's `size` rows of `draw(n)`, the n rows of the whole batch."""
        if self.count == 1:
            return draw(size)
        whole = draw(size * self.count)
        return tf.reshape(whole, [self.count, size, *whole.shape[1:]])[self.number]


WHOLE = Share()


class Key(NamedTuple):
    """When a draw of training happens, and for which share of the whole batch.

    Every purpose has a stream of its own, the same on all replicas: a replica takes its rows of it.
    """

    seed: int
    number: int | tf.Tensor
    retry: int | tf.Tensor
    share: Share = WHOLE

    def __call__(self, purpose: Purpose) -> tf.Tensor:
        """Return the (2,) seed of a purpose's stream."""
        return fold(self.seed, purpose, self.number, self.retry)
