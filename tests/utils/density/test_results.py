"""From log weights to the report."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from utils.density.report import DensityReport
from utils.density.results import MEASURED, report_annealing
from utils.density.stages import FORWARD, REVERSE


def test_both_directions_of_perfect_annealing_report_the_same_z_and_likelihood(tmp_path, rng):
    """Weights are Z forward and 1/Z backward; data of energy U have -log p = U + log Z nats."""
    log_z, dims, steps = -70.5, 4 * 4 * 3, 20
    config = {"image_dims": [4, 4, 3], "ais_base": "full", "mcmc_steps": 9, "data_epsilon": 0.03}
    for folder in ("numpy", "plots"):
        (tmp_path / folder).mkdir()
    run = SimpleNamespace(config=config, path=lambda *parts: str(tmp_path.joinpath(*parts)))
    held_out = rng.standard_normal((5, len(MEASURED)))
    forward, backward = (np.tile([log, 0.6], (8, 1)) for log in (log_z, -log_z))
    annealed = {(FORWARD, steps): forward, (REVERSE, steps): backward}

    report_annealing(run, DensityReport(str(tmp_path), {}), held_out, annealed)

    found = json.loads((tmp_path / "report.json").read_text())
    own, bits = found["log_z"]["by_steps"]["20"], found["bits_per_dim"]["by_steps"]["20"]
    nats = held_out[:, 0].mean() + log_z
    for way in (FORWARD, REVERSE):
        assert own[way]["log_z"] == pytest.approx(log_z)
        assert own[way]["effective_size"] == pytest.approx(8)
        assert bits[way] == pytest.approx(nats / dims / math.log(2) + math.log2(127.5))
    assert own["difference"] == pytest.approx(0, abs=1e-9)
    assert bits["difference"] == pytest.approx(0, abs=1e-9)
