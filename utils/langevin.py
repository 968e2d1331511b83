"""Langevin dynamics: the potential, and the one loop that all chains of the project run through."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from utils.devices import side_by_side
from utils.seeds import folded, folding_draw

PHILOX, PHILOX_BYTES = 1, 16  # TensorFlow's number of the generator; what a count of it gives
Potential = Callable[[tf.Tensor], tf.Tensor]
Noise = Callable[[tf.Tensor], tf.Tensor]  # number of a step -> its noise


class Chain(NamedTuple):
    """What `langevin` returns.

    images: (b, h, w, c), the last states. grad_norms: (b,), each image's |(eps^2/2) grad U| at the
    last step, after clipping. path: (num_steps + 1, b, h, w, c), every state from the first on, or
    None.
    """

    images: tf.Tensor
    grad_norms: tf.Tensor
    path: tf.Tensor | None


def make_potential(
    energy: Potential,
    temperature: float,
    *,
    prior: Potential | None = None,
    prior_temperature: float | None = None,
    tau: float | None = None,
    joint_temperature: float = 1.0,
) -> Potential:
    """Return U: (b, h, w, c) images -> (b,) potential of each image.

    U(x) = f(x)/temperature + f_prior(x)/prior_temperature + |x|^2/(2 tau^2), the last two only
    where given. With a prior, `joint_temperature` divides the sum of the first two, not the
    Gaussian term; without one it is ignored. Networks return (b, 1).
    """

    def potential(images: tf.Tensor) -> tf.Tensor:
        value = energy(images)[:, 0] / temperature
        if prior is not None:
            value = (value + prior(images)[:, 0] / prior_temperature) / joint_temperature
        if tau is not None:
            value += tf.reduce_sum(tf.square(images), axis=(1, 2, 3)) / (2 * tau**2)
        return value

    return potential


def langevin(
    images: tf.Tensor,
    potential: Potential,
    *,
    num_steps: int | tf.Tensor,
    epsilon: float,
    noise: Noise | None,
    max_norm: float | None = None,
    first_step: int | tf.Tensor = 0,
    keep_path: bool = False,
) -> Chain:
    """Run x <- x - (eps^2/2) grad U(x) + eps z for `num_steps` steps from `images`.

    `noise(k)` gives z of step k, counted from `first_step`, so that a chain cut into segments is
    the same chain; None runs without noise. With `max_norm` each image's (eps^2/2) grad U is
    clipped to that L2 norm. Images are (b, h, w, c) around [-1, 1] and are never clipped. The
    temperature is inside U (Nijkamp et al. 2019, "On the anatomy of MCMC-based maximum likelihood
    learning of energy-based models").
    """
    first_step, num_steps = tf.cast(first_step, tf.int32), tf.cast(num_steps, tf.int32)
    path = tf.TensorArray(images.dtype, num_steps + 1, element_shape=images.shape)
    path = path.write(0, images) if keep_path else path

    def step(k, x, _, path):
        drift = (epsilon**2 / 2) * gradient_of(potential, x)
        if max_norm is not None:
            drift = tf.clip_by_norm(drift, max_norm, axes=(1, 2, 3))
        x = x - drift
        if noise is not None:
            x = x + epsilon * noise(first_step + k)
        return k + 1, x, drift, path.write(k + 1, x) if keep_path else path

    _, images, drift, path = tf.while_loop(
        lambda k, *_: k < num_steps,
        step,
        (tf.constant(0), images, tf.zeros_like(images), path),
        parallel_iterations=1,
    )
    return Chain(images, image_norms(drift), path.stack() if keep_path else None)


def in_parts(run: Callable[..., Chain], images: tf.Tensor, noise: Noise | None) -> Chain:
    """Run (images, noise) -> chain on equal parts of a batch, side by side where that is faster.

    Loops of their own, not a loop over parts: TensorFlow lets a loop that reads variables inside
    another loop's body end before the next one begins.
    """
    parts = side_by_side(images.shape[0])
    if parts == 1:
        return run(images, noise)
    own = enumerate(tf.split(images, parts))
    chains = [run(x, noise and noise.part(part, parts)) for part, x in own]
    ends, grad_norms, paths = zip(*chains, strict=True)
    path = None if paths[0] is None else tf.concat(paths, axis=1)
    return Chain(tf.concat(ends, axis=0), tf.concat(grad_norms, axis=0), path)


def gradient_of(potential: Potential, images: tf.Tensor) -> tf.Tensor:
    """Return grad U of each image: (b, h, w, c) -> (b, h, w, c)."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        total = tf.reduce_sum(potential(images))
    return tape.gradient(total, images)


def run_both(
    run_chain: Callable[..., Chain],
    images: Sequence[tf.Tensor],
    noises: Sequence[Noise],
    steps: Sequence[tf.Tensor],
    together: bool,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Run two sets of chains; return the ends of both, and the gradient norms of the first.

    `run_chain` is `langevin` with all given but images, steps and noise. `together`: as one batch,
    where both take equally many steps; that fills a processor better, unless parts do (then the
    sets stay apart, for a part must not mix the noise of two).
    """
    if together and side_by_side(sum(x.shape[0] for x in images)) == 1:
        ends, grad_norms, _ = run_chain(
            tf.concat(images, axis=0),
            num_steps=steps[0],
            noise=lambda step: tf.concat([noise(step) for noise in noises], axis=0),
        )
        return *tf.split(ends, 2), tf.split(grad_norms, 2)[0]
    first, second = (
        run_chain(x, num_steps=count, noise=noise)
        for x, count, noise in zip(images, steps, noises, strict=True)
    )
    return first.images, second.images, first.grad_norms


def image_norms(images: tf.Tensor) -> tf.Tensor:
    """Return the L2 norm of each image: (b, h, w, c) -> (b,)."""
    return tf.sqrt(tf.reduce_sum(tf.square(images), axis=(1, 2, 3)))


def share_saturated(images: tf.Tensor) -> tf.Tensor:
    """Return each image's share of values far outside [-1, 1], by more than 0.25: (b,)."""
    return tf.reduce_mean(tf.cast(tf.abs(images) > 1.25, tf.float32), axis=(1, 2, 3))


def take_part(values: tf.Tensor, part: int, parts: int) -> tf.Tensor:
    """Return part number `part` of a batch cut into equal parts: (b, ...) -> (b/parts, ...)."""
    return tf.split(values, parts)[part]


class BatchNoise:
    """Step -> standard normal noise of a chain, (b, h, w, c) as `like`, of a (2,) seed.

    Every step has its own stream. A part of the batch gets its own part of the stream, and draws no
    more: Philox can begin anywhere.
    """

    def __init__(self, stream: tf.Tensor, like: tf.Tensor, part: int = 0, parts: int = 1):
        self.stream, self.like, self.place = stream, like, (part, parts)

    def part(self, part: int, parts: int) -> "BatchNoise":
        """Return the noise of one of so many equal parts of the batch."""
        return BatchNoise(self.stream, self.like, part, parts)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the noise of a step."""
        (part, parts), like = self.place, self.like
        key = folded(self.stream, step)
        if parts == 1:
            return tf.random.stateless_normal(tf.shape(like), key, dtype=like.dtype, alg="philox")
        shape = [like.shape[0] // parts, *like.shape[1:]]
        blocks, rest = divmod(math.prod(shape) * like.dtype.size, PHILOX_BYTES)
        if rest:
            return take_part(BatchNoise(self.stream, like)(step), part, parts)
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=key)
        return tf.raw_ops.StatelessRandomNormalV2(
            shape=shape,
            key=key,
            counter=tf.stack([counter[0] + part * blocks, counter[1]]),
            alg=PHILOX,
            dtype=like.dtype,
        )


def make_noise(seed: tf.Tensor, like: tf.Tensor) -> BatchNoise:
    """Return the noise of a chain from a (2,) seed of `utils.seeds.fold`."""
    return BatchNoise(folding_draw(seed), like)
