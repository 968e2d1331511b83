"""How many chains run at once."""

import pytest

from utils.attack.defense import chains_at_once

PUBLISHED = {"batch_size": 64, "eot_attack_reps": 48, "langevin_steps": 2000, "chain_batch": None}


@pytest.mark.parametrize("kind", ["bpda", "none", "full", "smoothed", "surrogate"])
def test_all_chains_of_a_round_run_at_once_on_accelerators_unless_they_are_kept(kind):
    config = {**PUBLISHED, "attack_gradient": kind}
    accelerated = 64 * 48 if kind in ("bpda", "none") else 64
    for device, expected in (("gpu", accelerated), ("tpu", accelerated), ("cpu", 64)):
        assert chains_at_once(config, device) == expected
        assert chains_at_once({**config, "chain_batch": 100}, device) == 100
        assert chains_at_once({**config, "langevin_steps": 0}, device) == 64
