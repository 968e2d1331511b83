"""Chains of the networks, in whatever way they convolve, are chains of the plain formulas."""

import numpy as np
import pytest
import tensorflow as tf

from tests.nets import plain
from tests.nets.cases import create, distance, train_like, weights_of
from utils.mcmc.langevin import Dynamics, langevin
from utils.mcmc.noise import make_noise
from utils.mcmc.potential import make_potential
from utils.seeds import Purpose, fold

EPSILON, TEMPERATURE, STEPS = 0.05, 3e-5, 20
TERMS = {
    "energy": {},
    "tau": {"tau": 0.3},
    "prior": {"prior_temperature": 5e-5},
    "clipping": {"max_norm": 0.5},
    "all": {"tau": 0.3, "prior_temperature": 5e-5, "joint_temperature": 1.7, "max_norm": 0.5},
}


@pytest.mark.parametrize(
    ("size", "channels", "name"),
    [*((32, 3, name) for name in TERMS), (64, 3, "all"), (128, 3, "all"), (32, 1, "all")],
)
def test_fused_chain_is_the_plain_chain_step_for_step(size, channels, name, rng):
    """Same noise, float64; 1e-9 leaves room for 20 steps of rounding, none for another chain."""
    terms, dims = dict(TERMS[name]), [size, size, channels]
    ebm, prior = (_ebm(dims, seed, rng) for seed in (1, 2))
    start = tf.constant(rng.uniform(-1, 1, (2 if size == 32 else 1, *dims)))
    noise = make_noise(fold(3, Purpose.CHAIN), start)
    max_norm = terms.pop("max_norm", None)
    with_prior = prior if "prior_temperature" in terms else None
    chain = tf.function(langevin)(
        start,
        Dynamics(make_potential(ebm, TEMPERATURE, prior=with_prior, **terms), EPSILON, max_norm),
        num_steps=STEPS,
        noise=noise,
        keep_path=True,
    )
    weights = [weights_of(network) for network in (ebm, prior)]
    path, norms = _plain_chain(size, *weights, start.numpy(), noise, terms, max_norm)
    assert norms.max() > 0.1  # the potential moves the images, and does so until the end
    for computed, expected in zip(chain.path.numpy(), path, strict=True):
        assert distance(computed, expected) <= 1e-9
    np.testing.assert_allclose(chain.grad_norms, norms, rtol=1e-9)


def _ebm(dims: list[int], seed: int, rng: np.random.Generator):
    size, width = dims[0], 4 if dims[0] == 32 else 16  # the narrowest
    sizes = {"image_dims": dims, "ebm_width": width}
    ebm = create("ebm_sngan", size, precision="float64", seed=seed, **sizes)
    train_like(ebm, rng)
    return ebm


def _plain_chain(size, weights, prior_weights, x, noise, terms, max_norm):
    """Return the path, and the norms of the last drift, from the design's formula of U."""
    path = [x]
    for step in range(STEPS):
        slope = _slope(weights, x, size) / TEMPERATURE
        if "prior_temperature" in terms:
            slope += _slope(prior_weights, x, size) / terms["prior_temperature"]
            slope /= terms.get("joint_temperature", 1.0)
        if "tau" in terms:
            slope += x / terms["tau"] ** 2
        drift = EPSILON**2 / 2 * slope
        norms = np.sqrt(np.sum(drift**2, axis=(1, 2, 3)))
        if max_norm is not None:
            drift *= np.minimum(1, max_norm / norms)[:, None, None, None]
            norms = np.minimum(norms, max_norm)
        x = x - drift + EPSILON * noise(step).numpy()
        path.append(x)
    return path, norms


def _slope(weights, x, size: int) -> np.ndarray:
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        energy = tf.reduce_sum(plain.ebm_sngan(weights, x, size))
    return tape.gradient(energy, x).numpy()
