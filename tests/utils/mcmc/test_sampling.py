import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nets import create_ebm
from utils.config.load import load_config
from utils.errors import UserError
from utils.mcmc.noise import make_noise
from utils.mcmc.potential import make_potential
from utils.mcmc.sampling import Sampling, run_both
from utils.seeds import Purpose, fold
from utils.weights.files import save_weights

NETWORK = {"image_dims": [32, 32, 3], "net_type": "ebm_sngan", "ebm_width": 4}
SAID = ["mcmc_temp=1e-3", "epsilon=0.02", "tau=0.2", "clip_langevin_grad=True", "seed=3"]


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Return (chain) -> path of weights that say it."""

    def written(chain) -> str:
        path = str(tmp_path_factory.mktemp("weights") / "ebm.weights.h5")
        save_weights(create_ebm(NETWORK), path, {"type": "ebm_sngan", "chain": chain})
        return path

    return written


def test_what_a_config_says_comes_back_from_the_weights(write):
    sampling = Sampling.of_config(load_config("configs/smoke.py", SAID))
    assert (sampling.epsilon, sampling.temperature, sampling.tau) == (0.02, 1e-3, 0.2)
    assert sampling.max_norm == 1.0
    read = Sampling.of_weights(write(sampling.written(7)))
    assert read == dataclasses.replace(sampling, steps=7)


def test_weights_that_say_nothing_or_nonsense(write):
    assert Sampling.of_weights(write({"epsilon": 1, "temperature": 1})) == Sampling(1, 1)
    steps = {"epsilon": 1, "temperature": 1, "steps": "many"}
    for wrong in ({"epsilon": 1}, {"epsilon": None, "temperature": 1}, steps):
        with pytest.raises(UserError, match="record a chain that is damaged"):
            Sampling.of_weights(write(wrong))


def test_its_potential_and_its_chains_are_those_of_the_equation(rng):
    sampling = Sampling(epsilon=0.1, temperature=0.5, tau=0.3, prior_temperature=2.0)
    images = tf.constant(rng.normal(size=(2, 4, 4, 3)))

    def energy(x):
        return tf.reduce_sum(x**2, axis=(1, 2, 3))[:, None]

    expected = make_potential(energy, 0.5, prior=energy, prior_temperature=2.0, tau=0.3)
    potential = sampling.potential(energy, energy)
    np.testing.assert_array_equal(potential(images), expected(images))
    # Without noise a step is x - (eps^2/2) grad U, and U is (1/0.5 + 1/2 + 1/(2 0.3^2)) |x|^2.
    moved = sampling.chains(potential)(images, num_steps=1, noise=None).images
    slope = 2 * (1 / 0.5 + 1 / 2 + 1 / (2 * 0.3**2))
    np.testing.assert_allclose(moved, images * (1 - 0.1**2 / 2 * slope), rtol=1e-12)


def _images(seed: int, batch: int, dtype=np.float64) -> tf.Tensor:
    draws = np.random.Generator(np.random.Philox(seed)).normal(size=(batch, 4, 4, 3))
    return tf.constant(draws.astype(dtype))


def _quartic(x):
    return tf.reduce_sum(x**4 / 4 + x**2 / 2, axis=(1, 2, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pieces", [2, 3, 6])
def test_chains_by_pieces_are_those_of_the_whole_batch_bit_for_bit(pieces, dtype):
    images, sampling = _images(3, 6, dtype), Sampling(epsilon=0.3, temperature=1.0, max_norm=0.5)
    noise = make_noise(fold(7, Purpose.CHAIN), images)
    whole, cut = (
        tf.function(sampling.chains(_quartic, count))(images, num_steps=20, noise=noise)
        for count in (1, pieces)
    )
    np.testing.assert_array_equal(whole.images, cut.images)
    np.testing.assert_array_equal(whole.grad_norms, cut.grad_norms)


@pytest.mark.parametrize("pieces", [1, 2])
def test_two_sets_of_chains_are_those_of_each_set_alone(pieces):
    sets, sampling = [_images(seed, 4) for seed in (1, 2)], Sampling(epsilon=0.3, temperature=1.0)
    noises = [make_noise(fold(seed, Purpose.CHAIN), sets[0]) for seed in (3, 4)]
    chains, steps = sampling.chains(_quartic, pieces), [tf.constant(4)] * 2
    alone = [chains(x, num_steps=4, noise=z) for x, z in zip(sets, noises, strict=True)]
    for together in (True, False)[pieces > 1 :]:
        first, second, grad_norms = run_both(chains, sets, noises, steps, together)
        np.testing.assert_allclose(first, alone[0].images, rtol=1e-12)
        np.testing.assert_allclose(second, alone[1].images, rtol=1e-12)
        np.testing.assert_allclose(grad_norms, alone[0].grad_norms, rtol=1e-12)
