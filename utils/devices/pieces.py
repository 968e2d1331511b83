"""Pieces of a batch, worked on side by side inside one graph: so every core has work."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Images of a piece: fewer take longer by the image, more leave the caches of a core.
FEWEST, MOST, SLOWER = 8, 16, 1.1


def choose_pieces(batch: int, cores: int) -> int:
    """Return into how many equal pieces to cut a batch for so many cores; one core needs one.

    Of those of at least 8 images, the fewest that end soonest with as many at work as there are
    cores, where an image of a piece of more than 16 counts as 1.1.
    """
    if cores == 1:
        return 1
    numbers = [n for n in range(1, batch // FEWEST + 1) if batch % n == 0] or [1]

    def images_in_turn(pieces: int) -> float:
        """Return how many images the busiest core works on."""
        images = batch // pieces
        return -(-pieces // cores) * images * (SLOWER if images > MOST else 1)

    return min(numbers, key=images_in_turn)


def in_pieces(function: Callable[..., Any], pieces: int, *rows: Any) -> list[Any]:
    """Return `function(number, *own)` of each of so many equal pieces of nested arrays of rows.

    A single piece is the function called as it is. For more it is traced once, for its number is a
    tensor, and called side by side: none waits for another. `function` may read variables and must
    not change any.
    """
    if pieces == 1:
        return [function(0, *rows)]
    # Calls that stay calls: written out, each piece takes as long to trace and to optimise again.
    traced = tf.function(function, autograph=False, experimental_attributes={"_noinline": True})
    return [traced(tf.constant(number), *own) for number, own in enumerate(split(rows, pieces))]


def by_pieces(function: Callable[..., Any], pieces: int, *rows: Any) -> Any:
    """Return the nested arrays of rows that `in_pieces` gives for each piece, joined in order."""
    return joined(in_pieces(function, pieces, *rows))


def split(rows: Any, pieces: int) -> list[Any]:
    """Return the equal pieces of nested arrays of rows."""
    flat = [tf.split(array, pieces) for array in tf.nest.flatten(rows)]
    return [tf.nest.pack_sequence_as(rows, own) for own in zip(*flat, strict=True)]


def joined(pieces: list[Any]) -> Any:
    """Return the nested arrays of which these are the pieces."""
    if len(pieces) == 1:
        return pieces[0]
    return tf.nest.map_structure(lambda *own: tf.concat(own, axis=0), *pieces)


def why_not_pieces(pieces: int, batch: int) -> str:
    """Return what is wrong with pieces that do not divide a replica's batch."""
    return f"'pieces' {pieces} does not divide a replica's batch of {batch} images"
