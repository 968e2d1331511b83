"""Pieces of a batch that one graph computes side by side, to keep every core busy."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Images per piece. A piece costs one image more than it has (BESIDE); with more than MOST images it
# leaves the caches of a core, and each takes SLOWER times as long.
FEWEST, BESIDE, MOST, SLOWER = 4, 1, 16, 1.1


def choose_pieces(batch: int, cores: int) -> int:
    """Return the number of equal pieces of a batch for `cores` cores; 1 for one core.

    Pieces have at least 4 images. The number is the smallest for which the busiest core has the
    least work: a piece counts as one image more than it has, with over 16 images as 1.1 times that.
    """
    if cores == 1:
        return 1
    numbers = [n for n in range(1, batch // FEWEST + 1) if batch % n == 0] or [1]

    def work(pieces: int) -> float:
        """Return the work of the busiest core, in images."""
        images = batch // pieces
        return -(-pieces // cores) * (images + BESIDE) * (SLOWER if images > MOST else 1)

    return min(numbers, key=work)


def in_pieces(function: Callable[..., Any], pieces: int, *rows: Any) -> list[Any]:
    """Return `function(number, *own)` for each of `pieces` equal pieces of nested arrays of rows.

    For one piece the function is called directly. For more it is traced once, with the number of
    the piece as a tensor; the calls do not wait for each other. `function` may read variables but
    must not change any.
    """
    if pieces == 1:
        return [function(0, *rows)]
    # Not inlined: TensorFlow would otherwise trace and optimise the function once per piece.
    traced = tf.function(function, autograph=False, experimental_attributes={"_noinline": True})
    return [traced(tf.constant(number), *own) for number, own in enumerate(split(rows, pieces))]


def by_pieces(function: Callable[..., Any], pieces: int, *rows: Any) -> Any:
    """Return the nested arrays of rows that `in_pieces` returns, joined in the order of pieces."""
    return joined(in_pieces(function, pieces, *rows))


def split(rows: Any, pieces: int) -> list[Any]:
    """Return the equal pieces of nested arrays of rows."""
    flat = [tf.split(array, pieces) for array in tf.nest.flatten(rows)]
    return [tf.nest.pack_sequence_as(rows, own) for own in zip(*flat, strict=True)]


def joined(pieces: list[Any]) -> Any:
    """Return the nested arrays that these pieces make up, in order."""
    if len(pieces) == 1:
        return pieces[0]
    return tf.nest.map_structure(lambda *own: tf.concat(own, axis=0), *pieces)


def why_not_pieces(pieces: int, batch: int) -> str:
    """Return the message for pieces that do not divide the batch of a replica."""
    return (
        f"'pieces' {pieces} does not divide a replica's batch of {batch} images: for example add "
        f"--set pieces={math.gcd(pieces, batch)}"
    )
