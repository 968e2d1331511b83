"""The life cycle: its commands, the lengths of chains, and stages that are done once."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import processes
from examples.life_cycle import Cycle, Work, mean_chain_steps
from train_longrun import Banks, put_back
from utils.config.load import load_config
from utils.mcmc.banks import Bank, Shelves, choose_rejuvenated, redraw_counts

ROOT = Path("work")


def _bank(size: int) -> Bank:
    return Bank(Shelves(size, 32, slice(0, 32)), np.zeros((size, 1, 1, 1), np.float32))


@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
@pytest.mark.parametrize(("data", "count"), [("emoji32", 15), ("fashion_mnist", 24)])
def test_every_command_has_a_folder_of_its_own_and_reads_weights_of_earlier_ones(
    quick, data, count
):
    commands, made = Cycle(ROOT, quick, data).commands, []
    assert len(commands) == count
    for name, command in commands.items():
        script, path, option, folder, _, *changes = command
        assert (option, folder, changes[-1]) == ("--run-dir", f"work/{name}", "exp_dir=work")
        config = load_config(path, changes, script.removesuffix(".py"))
        for value in config.values():
            assert not str(value).startswith("work/") or value in made
        made += _last_weights(folder, script, config)


def test_many_chains_end_where_more_is_not_feasible_and_few_go_on():
    commands = Cycle(ROOT, False, "fashion_mnist").commands
    for name, last in (("midrun_100x", 20_000), ("longrun_100x", 20_000), ("longrun_1000000", 1e6)):
        assert load_config(*commands[name][1:2], commands[name][5:], "fid")["mcmc_steps"] == last
    scored = "fid_steps=[0,10000,20000,100000]"
    assert scored in commands["longrun_100000"], "1x, 10x, and the last step of many chains"


def _last_weights(folder: str, script: str, config: Mapping[str, Any]) -> list[str]:
    """Return the paths of the weights that the last update of a run leaves."""
    if script == "train_clf.py":
        return [f"{folder}/checkpoints/clf_{config['num_epochs']}.weights.h5"]
    if not script.startswith("train"):
        return []
    networks = ("ebm", "gen") if "coop" in config["mcmc_init"] else ("ebm",)
    last = config["num_training_steps"]
    return [f"{folder}/checkpoints/{network}_{last}.weights.h5" for network in networks]


@pytest.mark.parametrize(("probability", "oldest"), [(0.5, 2), (0.25, 0), (1.0, 0)])
def test_mean_steps_of_a_sample_are_those_of_a_simulated_bank(rng, probability, oldest):
    bank, draws, means = _bank(96), np.zeros(96), []
    for update in range(3000):
        drawn = bank.draw(rng)
        rejuvenated = choose_rejuvenated(drawn.counts, probability, oldest, rng.random(32))
        draws[drawn.slots] = draws[drawn.slots] * ~rejuvenated + 1
        bank.put(*drawn[:3], (drawn.counts + 1) * ~rejuvenated)
        means += [draws[drawn.slots].mean()] * (update > 100)
    row = [20, 5, probability, 0]
    known = mean_chain_steps({"mcmc_step_info": [row], "max_mcmc_updates": oldest})
    assert 5 + 20 * np.mean(means) == pytest.approx(known, rel=0.02)


def test_mean_steps_of_a_longrun_sample_are_those_of_simulated_banks(rng):
    banks, means = Banks(_bank(1600), _bank(320)), []
    redraw_counts(banks.burn_in, 9, rng)
    ends = [np.zeros((32, 1, 1, 1), np.float32)] * 3
    for update in range(12000):
        drawn = banks.update.draw(rng), banks.burn_in.draw(rng)
        put_back(banks, drawn, ends, [20, 10, 9, 0])
        means += [drawn[0].counts.mean() + 20] * (update > 4000)
    known = mean_chain_steps({"mcmc_step_info": [[20, 10, 9, 0]], "burnin_size": 320})
    assert np.mean(means) == pytest.approx(known, rel=0.02)


def test_a_command_is_noted_when_it_is_done_and_ends_all_where_it_is_refused(tmp_path, monkeypatch):
    """Of a script that refuses seed=1 as the five do: exit status 2."""
    script = "import sys\nprint('update 2/2')\nsys.exit(2 * ('seed=1' in sys.argv))\n"
    (tmp_path / "train.py").write_text(script)
    monkeypatch.setattr(processes, "REPOSITORY", tmp_path)
    command = ["train.py", "configs/smoke.py", "--run-dir", "work/shortrun", "--set"]
    work = Work(tmp_path / "work")
    work.run("shortrun", command)
    assert "update 2/2" in work.log.read_text()
    after = Work(tmp_path / "work")
    assert after.finished == {"shortrun": command}
    assert after.seconds == work.seconds
    with pytest.raises(SystemExit) as stop:
        after.run("shortrun", [*command, "seed=1"])
    assert stop.value.code == 2
    assert "shortrun ended with exit status 2" in work.log.read_text()
    assert Work(tmp_path / "work").finished == {"shortrun": command}


@pytest.mark.slow
def test_the_whole_path_goes_on_after_a_signal(tmp_path, repository):
    command = [sys.executable, "-m", "examples.life_cycle", "--quick", f"--work={tmp_path}/work"]
    stages, before = tmp_path / "work" / "stages.json", 0
    for number, status in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL)
        while (finished := _finished(stages)) == before:
            assert process.poll() is None
            time.sleep(0.2)
        before = finished
        time.sleep(10)
        process.send_signal(number)
        assert process.wait() == status
    for _ in range(60):  # the script of the killed one lives on, till it has something to say
        status = subprocess.run(command, cwd=repository, check=False).returncode
        if status != 2:
            break
        time.sleep(1)
    assert status == 0
    out = tmp_path / "work" / "results"
    results = json.loads((out / "results.json").read_text())
    assert set(results["regimes"]) == {"shortrun", "midrun", "longrun"}
    assert len(results["stages"]) == 15
    assert {path.name for path in out.iterdir()} == {
        "results.json", "table.md", "picture.png", "log.txt",
    }  # fmt: skip


def _finished(stages: Path) -> int:
    return len(json.loads(stages.read_text())["finished"]) if stages.exists() else 0
