import functools

import numpy as np
import pytest
import tensorflow as tf

from utils.mcmc.langevin import Dynamics, langevin
from utils.mcmc.noise import make_noise
from utils.mcmc.parts import in_parts, run_both
from utils.seeds import Purpose, fold

SHAPE = (6, 4, 4, 3)


def _images(seed: int, shape=SHAPE) -> tf.Tensor:
    return tf.constant(np.random.Generator(np.random.Philox(seed)).normal(size=shape))


def _quartic(x):
    return tf.reduce_sum(x**4 / 4 + x**2 / 2, axis=(1, 2, 3))


@pytest.mark.parametrize("keep", [False, True], ids=["ends", "path"])
@pytest.mark.parametrize("parts", [2, 3, 6])
def test_parts_side_by_side_are_the_chain_of_the_whole_batch(monkeypatch, parts, keep):
    """In float64, to 1e-12: images do not depend on each other."""
    start, known = _images(3), {}
    noise = make_noise(fold(7, Purpose.CHAIN), start)
    for count in (1, parts):
        monkeypatch.setattr("utils.mcmc.parts.side_by_side", lambda batch, n=count: n)
        run = functools.partial(
            langevin, dynamics=Dynamics(_quartic, 0.3, 0.5), num_steps=20, keep_path=keep
        )
        known[count] = tf.function(in_parts)(run, start, noise)
    for one, other in zip(known[1], known[parts], strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("batch", [3, 4, 6])
def test_two_sets_of_chains_are_those_of_each_set_alone(monkeypatch, batch, threads):
    """As one batch or two, in parts or not; two sets of three could be cut in two, three cannot."""
    monkeypatch.setattr("utils.devices.strategy.CORES", 2)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", threads)
    sets = [_images(seed, (batch, 4, 4, 3)) for seed in (1, 2)]
    noises = [make_noise(fold(seed, Purpose.CHAIN), sets[0]) for seed in (3, 4)]

    def run_chain(images, *, num_steps, noise):
        run = functools.partial(langevin, dynamics=Dynamics(_quartic, 0.3), num_steps=num_steps)
        return in_parts(run, images, noise)

    alone = [run_chain(x, num_steps=4, noise=z) for x, z in zip(sets, noises, strict=True)]
    for together in (True, False):
        steps = [tf.constant(4)] * 2
        first, second, grad_norms = run_both(run_chain, sets, noises, steps, together)
        np.testing.assert_allclose(first, alone[0].images, rtol=1e-12)
        np.testing.assert_allclose(second, alone[1].images, rtol=1e-12)
        np.testing.assert_allclose(grad_norms, alone[0].grad_norms, rtol=1e-12)
