"""The driver of the life cycle: lengths of chains, and stages that are done once."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.life_cycle import FULL, QUICK, make_stages, mean_chain_steps
from benchmarks.stages import Stage, Work
from train_longrun import Banks, put_back
from utils.config.load import load_config
from utils.errors import UserError
from utils.mcmc.banks import Bank, Shelves, choose_rejuvenated, redraw_counts

SMALL = ("num_training_steps=2", "batch_size=4", "ebm_width=4", "gen_width=4", "persistent_size=8")
STAGE = Stage("shortrun", "train", "configs/smoke.py", SMALL, 0, {"ebm": 2})


def _bank(size: int) -> Bank:
    return Bank(Shelves(size, 32, slice(0, 32)), np.zeros((size, 1, 1, 1), np.float32))


@pytest.mark.parametrize("size", [FULL, QUICK], ids=["full", "quick"])
def test_every_stage_has_a_complete_config_and_weights_of_earlier_ones(size):
    stages, paths = make_stages(size)[1], {}
    assert len({stage.name for stage in stages}) == len(stages) == 15
    for stage in stages:
        changes = [change.format(**paths) for change in stage.changes]  # KeyError: not made yet
        load_config(stage.config, changes, stage.script)
        paths |= {f"{stage.name}_{network}": "x" for network in stage.weights}


@pytest.mark.parametrize(("probability", "oldest"), [(0.5, 2), (0.25, 0), (1.0, 0)])
def test_mean_steps_of_a_sample_are_those_of_a_simulated_bank(rng, probability, oldest):
    bank, draws, means = _bank(96), np.zeros(96), []
    for update in range(3000):
        drawn = bank.draw(rng)
        rejuvenated = choose_rejuvenated(drawn.counts, probability, oldest, rng.random(32))
        draws[drawn.places] = draws[drawn.places] * ~rejuvenated + 1
        bank.put(*drawn[:3], (drawn.counts + 1) * ~rejuvenated)
        means += [draws[drawn.places].mean()] * (update > 100)
    row = [20, 5, probability, 0]
    known = mean_chain_steps({"mcmc_step_info": [row], "max_mcmc_updates": oldest})
    assert 5 + 20 * np.mean(means) == pytest.approx(known, rel=0.02)


def test_mean_steps_of_a_longrun_sample_are_those_of_simulated_banks(rng):
    banks, means = Banks(_bank(1600), _bank(320)), []
    redraw_counts(banks.burn_in, 9, rng)
    ends = [np.zeros((32, 1, 1, 1), np.float32)] * 3
    for update in range(12000):
        drawn = [bank.draw(rng) for bank in banks]
        put_back(banks, Banks(*drawn), ends, [20, 10, 9, 0])
        means += [drawn[0].counts.mean() + 20] * (update > 4000)
    known = mean_chain_steps({"mcmc_step_info": [[20, 10, 9, 0]], "burnin_size": 320})
    assert np.mean(means) == pytest.approx(known, rel=0.02)


def test_a_stage_is_done_once_and_refuses_other_settings(tmp_path, monkeypatch, data_dir, capsys):
    monkeypatch.chdir(tmp_path)
    stage = dataclasses.replace(STAGE, changes=(*STAGE.changes, f"data_dir={data_dir}"))
    with Work(tmp_path / "work") as work:
        with pytest.raises(UserError, match="in use by another process"):
            Work(tmp_path / "work")
        work.run(stage)
        assert (work.folder("shortrun") / "checkpoints" / "ebm_2.weights.h5").exists()
    with Work(tmp_path / "work") as work:
        work.run(stage)
        assert "finished before" in capsys.readouterr().out
        assert "update 2/2" in work.log.read_text()
        assert len(list(work.root.glob("shortrun_*"))) == 1
        # What comes later gets the weights by name.
        changes = ("ebm_weights={shortrun_ebm}x",)
        later = dataclasses.replace(STAGE, name="later", changes=changes, weights={})
        with pytest.raises(UserError, match=r"later failed with exit status 2: .*h5x not found"):
            work.run(later)
        with pytest.raises(UserError, match="begun with other settings"):
            work.run(dataclasses.replace(stage, changes=(*stage.changes, "seed=1")))


@pytest.mark.slow
def test_the_whole_path_goes_on_after_a_signal(tmp_path, repository):
    command = [sys.executable, "-m", "benchmarks.life_cycle", "--quick", f"--work={tmp_path}/work"]
    stages = tmp_path / "work" / "stages.json"
    for number, status in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        before = stages.read_text().count("folder") if stages.exists() else 0
        process = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL)
        while not stages.exists() or stages.read_text().count("folder") == before:
            assert process.poll() is None
            time.sleep(0.2)
        time.sleep(10)
        process.send_signal(number)
        assert process.wait() == status
        if number == signal.SIGKILL:  # its script may live on, and would keep others out
            subprocess.run(["pkill", "-KILL", "-f", f"exp_dir={tmp_path}/work"], check=False)
    subprocess.run(command, cwd=repository, check=True, stdout=subprocess.DEVNULL)
    out = tmp_path / "work" / "results"
    results = json.loads((out / "results.json").read_text())
    assert set(results["regimes"]) == {"shortrun", "midrun", "longrun"}
    assert {path.name for path in out.iterdir()} == {
        "results.json", "table.md", "picture.png", "log.txt",
    }  # fmt: skip
    stopped = (out / "log.txt").read_text().count("the same command goes on")
    assert stopped == 1
