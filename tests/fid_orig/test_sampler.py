"""Laws of evaluation chains: an image is a function of its number, not of its batch."""

import numpy as np
import pytest
import tensorflow as tf

from fid_orig.sampler import load_sampler
from nets import create_ebm, create_gen
from utils.errors import UserError
from utils.seeds import Purpose, fold_each
from utils.weights.files import save_weights

SHAPE = [32, 32, 3]
SIZES = {"image_dims": SHAPE, "ebm_width": 8, "gen_width": 8, "z_sz": 4}
CHAIN = {"steps": 3, "epsilon": 1e-2, "temperature": 1e-3, "tau": None, "max_norm": None}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return paths of a small EBM's and generator's weights, and the generator."""
    folder = tmp_path_factory.mktemp("weights")
    ebm, gen = str(folder / "ebm.weights.h5"), str(folder / "gen.weights.h5")
    info = {"image_dims": SHAPE, "width": 8}
    network = create_ebm({**SIZES, "net_type": "ebm_sngan"})
    save_weights(network, ebm, {**info, "type": "ebm_sngan", "chain": CHAIN})
    still = CHAIN | {"epsilon": 0.0}
    save_weights(
        network, ebm.replace("ebm", "still"), {**info, "type": "ebm_sngan", "chain": still}
    )
    network = create_gen({**SIZES, "gen_type": "gen_sngan"})
    save_weights(network, gen, {**info, "type": "gen_sngan", "z_sz": 4})
    return {"ebm": ebm, "still": ebm.replace("ebm", "still"), "gen": gen, "network": network}


@pytest.mark.parametrize("gen", ["gen", None])
def test_a_sample_does_not_depend_on_its_batch(weights, gen):
    sampler = load_sampler(weights["ebm"], gen and weights["gen"], seed=3)
    together = sampler(np.arange(6))
    apart = np.concatenate([sampler(np.array([0, 1, 2, 3])), sampler(np.array([4, 5]))])
    np.testing.assert_allclose(apart, together, atol=1e-4)  # float32 sums of other orders
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_chains_start_at_the_generators_images_or_at_uniform_noise(weights):
    """With step size 0 a chain returns its start."""
    numbers = np.arange(40)
    latents = tf.stack(
        [
            weights["network"].sample_latents(1, key)[0]
            for key in fold_each(0, Purpose.LATENTS, numbers)
        ]
    )
    expected = weights["network"](latents, training=False)
    generated = load_sampler(weights["still"], weights["gen"])(numbers)
    np.testing.assert_allclose(generated, expected, atol=1e-5)
    noise = load_sampler(weights["still"], None)(numbers)
    assert np.abs(noise).max() <= 1
    assert noise.std() == pytest.approx(1 / np.sqrt(3), rel=0.01)  # 120,000 draws: 3 parts in 1,000


def test_another_seed_gives_other_samples(weights):
    one, other = (load_sampler(weights["ebm"], None, seed=seed)([0]) for seed in (0, 1))
    assert np.abs(one - other).max() > 0.1


def test_weights_without_their_chain_or_of_another_size_are_refused(weights, tmp_path):
    bare = str(tmp_path / "bare.weights.h5")
    weights["network"].save_weights(bare)
    with pytest.raises(UserError, match="do not record the chain"):
        load_sampler(bare, None)
    coop = str(tmp_path / "coop.weights.h5")
    info = {"image_dims": SHAPE, "width": 8, "type": "gen_sngan"}
    save_weights(weights["network"], coop, info | {"chain": CHAIN | {"init": "coop_persistent"}})
    with pytest.raises(UserError, match="start at a generator: give its weights"):
        load_sampler(coop, None)
    with pytest.raises(UserError, match=r"are not of a generator of \[32, 32, 3\] images"):
        load_sampler(weights["ebm"], bare)
