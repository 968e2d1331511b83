"""How many chains run at once, and what potential they follow."""

import numpy as np
import pytest

from utils.attack.defense import Use, chains_at_once, create_defense
from utils.config.load import load_config
from utils.replicas import Replicas

PUBLISHED = {"batch_size": 64, "eot_attack_reps": 48, "langevin_steps": 2000, "chain_batch": None}


@pytest.mark.parametrize("kind", ["bpda", "none", "full", "smoothed", "surrogate"])
def test_all_chains_of_a_round_run_at_once_on_accelerators_unless_they_are_kept(kind):
    config = {**PUBLISHED, "attack_gradient": kind}
    accelerated = 64 * 48 if kind in ("bpda", "none") else 64
    for device, expected in (("gpu", accelerated), ("tpu", accelerated), ("cpu", 64)):
        assert chains_at_once(config, device) == expected
        assert chains_at_once({**config, "chain_batch": 100}, device) == 100
        assert chains_at_once({**config, "langevin_steps": 0}, device) == 64


def test_a_prior_equal_to_the_ebm_halves_the_temperature_of_purification(rng):
    """Both add up: f/T + f/T is f/(T/2). The Gaussian term of `tau` pulls towards grey."""
    images = rng.uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)

    def purified(*changes: str) -> np.ndarray:
        config = load_config("configs_attack/smoke.py", ["langevin_steps=5", *changes], "attack")
        classes = config["data_labels"]
        defense = create_defense(config, classes, Replicas(config))
        return defense.purify(images, np.arange(3), Use.PICTURE).rows

    ebm = "examples/weights/emoji32_nonconv_ebm.weights.h5"
    both = purified(f"prior_weights={ebm}", "prior_temp=1e-3")
    np.testing.assert_allclose(both, purified("mcmc_temp=5e-4"), atol=1e-4)
    assert np.abs(both - purified()).max() > 1e-2
    assert np.abs(purified("tau=0.02")).mean() < np.abs(purified()).mean()
