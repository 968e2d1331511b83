"""The tables of the life cycle: which score stands in which cell."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from examples.life_cycle_report import best_defenders, pictured, table


def score(steps: int | None, images: int, fid: float) -> dict:
    return {"steps": steps, "images": images, "fid": fid, "kid": fid / 100, "kid_error": 0.001}


def regime(chain: int, first: float, long: dict | None = None) -> dict:
    """Return a regime of two runs: 9 images to 10 times its chain, 4 images to 100 times."""
    many = [score(n, 9, first + n / 1000) for n in (0, chain, 10 * chain)]
    few = [score(n, 4, 10 * first + n / 1000) for n in (0, 2, 20, 30, 200, 300, 3000)]
    few = [s for s in few if s["steps"] <= 100 * chain]
    scores = {10: many, 100: [*few, score(None, 4, 0.5)]}
    of_data = {"energy_of_data": {"mean": -1000.0, "standard_deviation": 40.0}}
    return {"training_chain": chain, "scores": scores, "long": long or {}, "validity": of_data}


def attack(robust: float, steps: int) -> dict:
    shares = {name: {"accuracy": 0.75, "low": 0.5, "high": 0.9} for name in ("natural", "control")}
    own = {"accuracy": robust, "low": robust - 0.1, "high": robust + 0.1}
    return {"images": 8, "langevin_steps": steps, **shares, "robust": own}


def test_every_cell_is_of_its_regime_its_steps_and_its_number_of_images():
    results = {
        "regimes": {"shortrun": regime(2, 1.0), "longrun": regime(30, 2.0)},
        "attacks": {"bare": attack(0.1, 0), "longrun": attack(0.5, 100)},
        "best_defenders": {
            "": {"best": "longrun", "over": {"shortrun": {"share": 0.25, "low": -0.1, "high": 0.5}}}
        },
    }
    text = table(results)
    for line in (
        "| FID[classifier] (KID) of chains | 1x | start (9) | at 1x (9) | at 10x (9) | start (4) "
        "| at 1x (4) | at 10x (4) | at 100x (4) |",
        "| shortrun | 2 steps | 1.00 (0.010 ± 0.001) | 1.00 (0.010 ± 0.001) "
        "| 1.02 (0.010 ± 0.001) | 10.00 (0.100 ± 0.001) | 10.00 (0.100 ± 0.001) "
        "| 10.02 (0.100 ± 0.001) | 10.20 (0.102 ± 0.001) |",
        "| longrun | 30 steps | 2.00 (0.020 ± 0.001) | 2.03 (0.020 ± 0.001) "
        "| 2.30 (0.023 ± 0.001) | 20.00 (0.200 ± 0.001) | 20.03 (0.200 ± 0.001) "
        "| 20.30 (0.203 ± 0.001) | 23.00 (0.230 ± 0.001) |",
        "| held-out pictures |  |  |  |  | 0.50 (0.005 ± 0.001) |  |  |  |",
        "| FID[classifier] of 4 chains after | start | 2 steps | 20 steps | 30 steps | 200 steps "
        "| 300 steps | 3,000 steps |",
        "| shortrun | 10.00 | 10.00 | 10.02 | 10.03 | 10.20 | - | - |",
        "| longrun | 20.00 | 20.00 | 20.02 | 20.03 | 20.20 | 20.30 | 23.00 |",
        "| 4 held-out pictures | 0.50 |  |  |  |  |  |  |",
        "| bare | 0.75 | 0.75 | 0.10 | [0.00, 0.20] |",
        "| behind longrun, 100 steps | 0.75 | 0.75 | 0.50 | [0.40, 0.60] |",
        "| longrun | shortrun | +0.25 | [-0.10, +0.50] |",
    ):
        assert line in text.splitlines(), text


def test_the_drift_of_a_long_chain_is_told_in_standard_deviations_of_data():
    """2 a 1,000 steps over the 10,000 of its last half are 20, of a standard deviation of 40.

    The deviation is that of the 100x run, which has more pictures.
    """
    validity = {
        "energy_of_data": {"mean": -900.0, "standard_deviation": 5.0},
        "energy_drift": {"per_1000_steps": 2.0, "standard_error": 0.4},
        "at": {"200": {"energy": {"mean": -900.0}}, "20000": {"energy": {"mean": -1100.0}}},
    }
    found = [
        score(0, 7, 3.0) | {"of": "generator"},
        score(35, 7, 1.0) | {"of": "samples"},
        score(None, 7, 0.5) | {"of": "held-out data"},
    ]
    results = {
        "regimes": {"shortrun": regime(2, 1.0), "longrun": regime(30, 2.0, {20000: validity})},
        "attacks": {
            "bare": attack(0.1, 0),
            "bare_l2": attack(0.3, 0),
            "longrun_l2": attack(0.5, 9),
        },
        "samples": found,
        "best_defenders": {},
    }
    lines = table(results).splitlines()
    assert "| longrun | 20,000 | -1,100 | -1,000 | +0.50 ± 0.10 |" in lines
    assert "| bare, l2 | 0.75 | 0.75 | 0.30 | [0.20, 0.40] |" in lines
    assert "| behind longrun, 9 steps, l2 | 0.75 | 0.75 | 0.50 | [0.40, 0.60] |" in lines
    assert "| generator | 0 | 3.00 (0.030 ± 0.001) |" in lines
    assert "| held-out data |  | 0.50 (0.005 ± 0.001) |" in lines


def test_chains_that_end_before_their_multiples_have_no_score_there_but_pictures_of_longer_ones():
    """256 chains of `longrun` end at twice their training chain, few reach 10 and 100 times."""
    longrun = regime(1000, 1.0, {10_000: {}, 100_000: {}})
    longrun["scores"][100] = [score(n, 4, 1.0) for n in (0, 1000, 2000)]
    assert pictured(longrun, 100) == [0, 1000, 2000, 10_000, 100_000]
    assert pictured(regime(2, 1.0, {500: {}}), 100) == [0, 2, 20, 200, 500]
    assert pictured(regime(2, 1.0), 100) == [0, 2, 20, 200]
    results = {
        "regimes": {"shortrun": regime(2, 1.0), "longrun": longrun | {"long": {}}},
        "attacks": {"bare": attack(0.1, 0)},
        "best_defenders": {},
    }
    lines = table(results).splitlines()
    assert lines[3].endswith("| 1.00 (0.010 ± 0.001) | 1.00 (0.010 ± 0.001) | - | - |")
    assert "| longrun | 1.00 | - | - | - | - | 1.00 | 1.00 |" in lines


def test_the_best_defender_is_compared_image_by_image(tmp_path: Path):
    """12 of 16 images stay right; the others keep 8 of these, and the 4 other images alone."""
    right = np.arange(16)
    for name, kept in {"shortrun": right < 8, "midrun": right < 12, "longrun": right >= 12}.items():
        folder = tmp_path / f"attack_{name}_l2" / "data_log"
        folder.mkdir(parents=True)
        np.savez(folder / "results.npz", class_path=np.stack([right < 16, kept]))
    attacked = [("bare", "_l2"), ("midrun", "_l2")]
    found = best_defenders(SimpleNamespace(root=tmp_path, attacked=attacked))["l2"]
    assert found["best"] == "midrun"
    assert found["over"]["shortrun"]["share"] == pytest.approx(0.25)
    assert found["over"]["shortrun"]["low"] >= 0, "it loses no image that shortrun keeps"
    assert found["over"]["longrun"]["share"] == pytest.approx(0.5)
