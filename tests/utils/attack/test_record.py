import numpy as np
import pytest

from tests.toys import RULES
from utils.attack.record import Record


@pytest.mark.parametrize(
    ("attack", "langevin_steps", "times"),
    [
        ("pgd", 100, 100 * 20 / (41 * 4)),
        ("pgd", 0, 100 / 41),
        ("square", 0, 5000 / 41),
        ("nes", 0, 100 * (20 + 2) / (41 * (4 + 2))),
        ("apgd_t", 0, 100 / 41),
    ],
)
def test_an_attack_as_long_as_autoattack_is_counted_in_what_really_runs(
    attack, langevin_steps, times
):
    """Without Langevin steps all repetitions are alike, so that one of them runs."""
    changes = {"adv_steps": 40, "eot_attack_reps": 4}
    record = Record({**RULES, **changes, "attack": attack, "langevin_steps": langevin_steps})
    record.arrays, record.seconds = {"class_path": np.ones((42, 8), np.uint8)}, 16.0
    cost = record.cost()
    assert cost["times_longer"] == pytest.approx(times)
    assert cost["seconds_per_image_then"] == pytest.approx(2 * times)
