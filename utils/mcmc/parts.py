"""Parts of a batch of chains, where they run faster side by side; the chains are the same."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from nets.layers import static_shape
from utils.devices.strategy import side_by_side
from utils.mcmc.langevin import Chain
from utils.mcmc.noise import Noise


def in_parts(run: Callable[..., Chain], images: tf.Tensor, noise: Noise | None) -> Chain:
    """Return `run(images, noise=noise)`, by equal parts of the batch where that is faster.

    Loops of their own, not a loop over parts: TensorFlow lets a loop that reads variables inside
    another loop's body end before the next one begins.
    """
    parts = side_by_side(images.shape[0])
    if parts == 1:
        return run(images, noise=noise)
    chains = [
        run(own, noise=noise and noise.part(part, parts))
        for part, own in enumerate(tf.split(images, parts))
    ]
    ends, grad_norms, paths = zip(*chains, strict=True)
    path = None if paths[0] is None else tf.concat(paths, axis=1)
    return Chain(tf.concat(ends, axis=0), tf.concat(grad_norms, axis=0), path)


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
    if together and side_by_side(sum(static_shape(x)[0] for x in images)) == 1:
        ends, grad_norms, _ = run_chain(
            tf.concat(images, axis=0),
            num_steps=steps[0],
            noise=lambda step: tf.concat([noise(step) for noise in noises], axis=0),
        )
        samples, burnt = tf.split(ends, 2)
        return samples, burnt, tf.split(grad_norms, 2)[0]
    first, second = (
        run_chain(x, num_steps=count, noise=noise)
        for x, count, noise in zip(images, steps, noises, strict=True)
    )
    return first.images, second.images, first.grad_norms
