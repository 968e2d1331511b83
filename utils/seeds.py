"""Named random streams: every draw of the project is a pure function of a seed and a name.

No generator keeps a state. The name of a stream is (seed, purpose, index, index, ...). Draws with
different names are independent; the same name gives the same draw in every run and resume.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Purpose(enum.IntEnum):
    """The purpose of a stream. Its number is part of every result: append, never renumber."""

    WEIGHTS = 1  # initial weights of networks
    DATA = 2  # order and augmentation of the data that the EBM learns on
    CHAIN_DATA = 3  # order and augmentation of data that chains start from
    DATA_NOISE = 4  # data_epsilon
    BANK_FILL = 5  # first content of a bank
    BANK_DRAW = 6  # slots drawn from a bank, and which states are rejuvenated
    LATENTS = 7  # generator latents of new chains
    CHAIN = 8  # Langevin noise of training chains
    BURN_IN = 9  # Langevin noise of burn-in steps
    GENERATED_DATA = 10  # latents of `data_type: 'generator'`
    NOISE_IMAGES = 11  # uniform noise that chains start from
    PLOTS = 12  # images in pictures
    BURN_IN_COUNTS = 13  # new counts of the burn-in bank
    EVALUATION = 14  # evaluation chains, by image
    ATTACK = 15  # attack chains, by image
    CLASSIFIER = 16  # dropout and order in classifier training
    SUBSETS = 17  # subsets of images, for KID
    ATTACK_START = 18  # random starts of attacks, by image
    ATTACK_CONTROL = 19  # random perturbations of an attack's control, by image
    BASE = 20  # exact samples of the base of annealing, by chain
    ANNEALING = 21  # proposals of annealed chains, by chain
    ACCEPTANCE = 22  # acceptance of these proposals, by chain
    OUTLIERS = 23  # noise on images whose energies are compared, and generated outliers
    PROJECTIONS = 24  # directions in feature space
    PERMUTATIONS = 25  # permutations of chains from two starts
    BOOTSTRAP = 26  # resamples of scores
    ATTACK_SEARCH = 27  # random choices of an attack's step, by image and leg
    ATTACK_PROBES = 28  # directions in which losses are compared, by image and round
    ATTACK_BOOTSTRAP = 29  # resamples of images, for intervals


def fold(seed: int | tf.Tensor, purpose: Purpose, *indices: int | tf.Tensor) -> tf.Tensor:
    """Return the (2,) int64 seed of one stream, for `tf.random.stateless_*(..., alg="philox")`.

    Each index is folded with 64 bits of everything before it; the index itself is the other half.
    """
    key = tf.stack([tf.cast(seed, tf.int64), tf.constant(int(purpose), tf.int64)])
    for index in indices:
        key = folded(folding_draw(key), index)
    return key


def folding_draw(seed: tf.Tensor) -> tf.Tensor:
    """Return the () int64 first half of `tf.random.fold_in(seed, index, alg="philox")`.

    A loop over indices draws it once and completes it with `folded` in each iteration. (A draw in
    the body of the loop would also slow down bfloat16: TensorFlow 2.21 then leaves the biases out
    of its fused convolutions.)
    """
    free: Any = None  # no bound: the whole range of int64
    return tf.random.stateless_uniform([], seed, free, free, tf.int64, alg="philox")


def folded(drawn: tf.Tensor, index: int | tf.Tensor) -> tf.Tensor:
    """Return the (2,) int64 seed `tf.random.fold_in(seed, index)`, from `folding_draw(seed)`."""
    return tf.stack([drawn, tf.cast(index, tf.int64)])


def draw_each(
    draw: Callable[[tf.Tensor], tf.Tensor],
    keys: tf.Tensor,
    shape: Sequence[int] | tf.TensorShape,
    dtype: tf.DType,
) -> tf.Tensor:
    """Return `draw(key)` of shape `shape` for each row of `keys` (b, ...): (b, *shape)."""
    spec: Any = tf.TensorSpec(shape, dtype)  # the type stubs expect a type alone
    return tf.map_fn(draw, keys, fn_output_signature=spec)


def fold_each(seed: int, purpose: Purpose, names: tf.Tensor, *common: int | tf.Tensor) -> tf.Tensor:
    """Return the seeds (b, 2) of the streams (seed, purpose, *common, *name) of `names`.

    A name is a whole number, as of an image, or several of them: `names` are (b,) or (b, k).
    """
    names = tf.cast(names, tf.int32)
    return draw_each(
        lambda name: fold(seed, purpose, *common, *tf.unstack(tf.reshape(name, [-1]))),
        names, [2], tf.int64,
    )  # fmt: skip


def host_rng(seed: int, purpose: Purpose, *indices: int) -> np.random.Generator:
    """Return the NumPy generator of one stream, for draws on the host.

    NumPy pads names with zeros: (seed, purpose) and (seed, purpose, 0) name the same stream.
    """
    entropy = [int(seed), int(purpose), *(int(index) for index in indices)]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


class Share(NamedTuple):
    """Share `number` of `count` equal shares of the whole batch: of a replica, or of a piece."""

    number: int | tf.Tensor = 0
    count: int = 1

    def piece(self, number: int | tf.Tensor, pieces: int) -> "Share":
        """Return piece `number` of `pieces` equal pieces of this share."""
        return Share(self.number * pieces + number, self.count * pieces)

    def rows(self, draw: Callable[[int], tf.Tensor], size: int) -> tf.Tensor:
        """Return this share's `size` rows of `draw(n)`, the n rows of the whole batch."""
        if self.count == 1:
            return draw(size)
        whole = draw(size * self.count)
        return tf.reshape(whole, [self.count, size, *whole.shape[1:]])[self.number]


WHOLE = Share()


class Key(NamedTuple):
    """The name of the draws of a training step, and a share of the whole batch.

    Each purpose has its own stream, the same on all replicas; a replica takes its rows of it.
    """

    seed: int
    step: int | tf.Tensor
    retry: int | tf.Tensor
    share: Share = WHOLE

    def __call__(self, purpose: Purpose) -> tf.Tensor:
        """Return the (2,) seed of a purpose's stream."""
        return fold(self.seed, purpose, self.step, self.retry)
