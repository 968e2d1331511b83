"""The weights of a scoring run, and its messages for missing ones."""

import pytest

from nets import create_ebm
from utils.config.load import Command, load_config
from utils.errors import UserError
from utils.learning.models import sized
from utils.mcmc.sampling import Sampling
from utils.scores.networks import list_checkpoints, resolve, resolved
from utils.weights.files import save_weights

CONFIG = {
    "exp_type": "folder", "mcmc_init": "coop", "gen_weights": None, "fixed_gen": False,
    "use_averages": False, "min_step": 200, "max_step": 400, "step_freq": 200,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Return (names) -> a folder with weights of these names, at updates 200 and 400."""

    def make(*names: str) -> str:
        for name in names:
            for step in (200, 400):
                (tmp_path / f"{name}_{step}.weights.h5").touch()
        return str(tmp_path)

    return make


def _names(config: dict) -> list[tuple[str, str]]:
    """Return the files of each checkpoint, without their folder and ending."""
    found = list_checkpoints(config)
    assert [each.name for each in found] == ["200", "400"]
    stems = [(each.ebm, each.gen) for each in found]
    return [tuple(p.rpartition("/")[2].partition(".")[0] for p in pair) for pair in stems]


def test_averages_are_scored_where_they_are_asked_for(folder):
    config = {**CONFIG, "ckpt_folder": folder("ebm", "gen", "ebm_ema", "gen_ema")}
    assert _names(config) == [("ebm_200", "gen_200"), ("ebm_400", "gen_400")]
    averaged = _names({**config, "use_averages": True})
    assert averaged == [("ebm_ema_200", "gen_ema_200"), ("ebm_ema_400", "gen_ema_400")]


def test_a_generator_without_averages_is_taken_as_it_is(folder):
    config = {**CONFIG, "use_averages": True, "ckpt_folder": folder("ebm", "gen", "ebm_ema")}
    assert _names(config) == [("ebm_ema_200", "gen_200"), ("ebm_ema_400", "gen_400")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"min_step": 0, "max_step": 0}, "has no gen_0.weights.h5 and no gen_0.ckpt"),
        ({"max_step": 600}, "has no gen_600.weights.h5"),
        ({"mcmc_init": "noise", "min_step": 0}, "has no ebm_0.weights.h5"),
        ({"min_step": 0}, "; it has updates 200, 400 of gen: set min_step, max_step"),
        ({"use_averages": True}, "has no ebm_ema_200.weights.h5"),
        ({"use_averages": True}, "; it has no updates of ebm_ema"),
    ],
)
def test_the_updates_that_are_there_are_told(folder, changes, words):
    with pytest.raises(UserError, match="ckpt_folder") as refusal:
        list_checkpoints({**CONFIG, "ckpt_folder": folder("ebm", "gen"), **changes})
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("completed", "script", "config"),
    [
        (resolved, "fid", "configs_fid/emoji32_longrun.py"),
        (sized, "train_longrun", "configs_lr/emoji32_conv.py"),
    ],
)
def test_a_run_that_continues_elsewhere_finds_the_weights_of_the_repository(
    completed, script, config, repository, tmp_path, monkeypatch
):
    prior = "examples/weights/emoji32_prior_ebm.weights.h5"
    begun = load_config(config, [f"prior_weights={prior}"], script)
    monkeypatch.chdir(tmp_path)
    command = Command(script, begun, config, "run", dry_run=False, resuming=True, asked={})
    assert completed(command).config["prior_weights"] == str(repository / prior)


def test_checkpoints_that_learned_from_chains_of_different_lengths_need_a_number_of_steps(tmp_path):
    """With a schedule of `mcmc_step_info`."""
    network = {"image_dims": [32, 32, 3], "net_type": "ebm_sngan", "ebm_width": 4}
    sampling = Sampling.of_config(load_config("configs/smoke.py"))
    for step in (200, 400):
        info = {"type": "ebm_sngan", "chain": sampling.written(step // 10)}
        save_weights(create_ebm(network), str(tmp_path / f"ebm_{step}.weights.h5"), info)
    changes = ["exp_type=folder", f"ckpt_folder={tmp_path}", "step_freq=200", "min_step=200"]
    changes += ["max_step=400", "mcmc_init=noise", "mcmc_steps=None", "ebm_width=4"]
    config = load_config("configs_fid/smoke.py", [*changes, "fid_steps=None"], "fid")
    with pytest.raises(UserError, match="record chains of 20 to 40 steps: set 'mcmc_steps'"):
        resolve(config)
    assert resolve(config | {"max_step": 200})["mcmc_steps"] == 20
    assert resolve(config | {"mcmc_steps": 5})["mcmc_steps"] == 5
