"""Keys without effect are told to whoever wrote them, and never to a config of this repository."""

import runpy

import pytest

from tests.source import CONFIGS, REPOSITORY, SCRIPT_OF_FOLDER, place
from utils.config import keys
from utils.config.load import load_config, parse_command
from utils.config.unread_keys import READ

CONFIG_OF = {
    "train": "configs/smoke.py",
    "train_longrun": "configs_lr/smoke.py",
    "fid": "configs_fid/smoke.py",
    "train_clf": "configs_clf/smoke.py",
    "attack": "configs_attack/smoke.py",
}

# what is set on the smoke config, and the keys among it that are then without effect
UNREAD = [
    ("train_longrun", "gen_lr_info=[[1e-4,0]] gen_optim_type=sgd gen_opt_decay=0.9", 3),
    ("train_longrun", "gen_type=gen_sngan gen_width=4", 2),
    ("train", "mcmc_init=data update_generator=False persistent_size=7 max_mcmc_updates=3", 2),
    ("train", "max_langevin_norm=2 max_grad_norm=2 root_path=a/", 3),
    ("train", "data_type=generator data_labels=None data_flip=True split=test", 2),
    ("train", "data_type=image_folder label_attribute=x data_download=True", 2),
    ("train", "data_download=True data_type=emoji32:1.0.0", 1),
    ("train", "random_crop=True data_flip=True", 1),
    ("train", "on_divergence=ignore max_saturated=0.5 max_rollbacks=9", 2),
    ("train", "on_divergence=stop max_saturated=0.5 max_rollbacks=9", 1),
    ("fid", "data_flip=True random_crop=True", 2),
    ("fid", "min_step=5 max_step=9 ckpt_folder=a joint_temp=2", 4),
    ("fid", "exp_type=sample quantize=False heldout_split=test", 2),
    ("fid", "use_averages=True tau=1", 1),
    ("fid", "num_fid_rounds=2 clf_weights=a inception_weights=b", 3),
    ("fid", "mcmc_init=noise gen_weights=a z_sz=3", 2),
    ("fid", "reference_stats=a reference_samples=9 nearest_pictures=0", 1),
    ("train_clf", "epoch_steps_test=3 dropout=0.1", 1),
    ("attack", "data_flip=True random_crop=True attack_memory_gb=9", 3),
    ("attack", "langevin_steps=0 tau=1 ebm_weights=a attack_noise=fixed adv_norm=l2", 3),
    ("attack", "langevin_steps=0 attack_gradient=full adv_norm=l2", 1),
    ("attack", "attack_list=['pgd'] surrogate_steps=1 adv_norm=l2", 2),
    ("attack", "attack=square attack_loss=margin adv_rand_start=False", 2),
]


def _warnings(script: str, argv: list[str], capsys) -> list[str]:
    """Return the lines that a command line is answered with on stderr."""
    capsys.readouterr()
    parse_command(script, "", argv)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(("script", "changes", "unread"), UNREAD)
def test_keys_without_effect_are_one_warning(script, changes, unread, capsys):
    argv = [CONFIG_OF[script], "--set", *changes.split(" ")]
    (line,) = _warnings(script, argv, capsys)
    before, _, named = line.partition(" in this run: ")
    assert (before, len(named.split(", "))) == ("warning: keys without effect", unread), line


def test_reference_samples_say_how_many_pictures_are_searched_for_the_nearest(capsys):
    changes = ["reference_stats=a", "reference_samples=9"]
    assert not _warnings("fid", [CONFIG_OF["fid"], "--set", *changes], capsys)


@pytest.mark.parametrize("script", CONFIG_OF)
def test_every_named_key_is_one_of_its_script(script):
    config = load_config(CONFIG_OF[script], script=script)
    named = READ[script](config).keys()
    assert named <= keys.keys_of(script).keys()


@pytest.mark.parametrize("path", CONFIGS, ids=place)
def test_no_config_of_this_repository_is_warned_of_or_refused(path, capsys):
    script = SCRIPT_OF_FOLDER[path.parent.name].removesuffix(".py")
    written = runpy.run_path(str(path))["config"]
    blank = [name for name, value in written.items() if value == ""]
    filled = load_config(str(path), [f"{name}=some.weights.h5" for name in blank], script)
    is_read = READ[script](filled)
    needed = [f"{name}=some.weights.h5" for name in blank if is_read.get(name, True)]
    argv = [str(path), *(["--set", *needed] if needed else [])]
    assert _warnings(script, argv, capsys) == []


def test_a_config_of_ones_own_is_looked_at_as_well(tmp_path, capsys):
    text = (REPOSITORY / "configs" / "quickstart.py").read_text()
    own = tmp_path / "own.py"
    own.write_text(text)
    assert _warnings("train", [str(own)], capsys) == []
    own.write_text(text + 'config |= {"max_langevin_norm": 3.0}\n')
    (line,) = _warnings("train", [str(own)], capsys)
    assert line.endswith(": max_langevin_norm")


def test_a_perturbation_that_was_meant_as_a_share_is_asked_about(capsys):
    smoke = CONFIG_OF["attack"]
    lines = _warnings("attack", [smoke, "--set", "adv_eps=0.03137", "adv_eta=0.0078"], capsys)
    assert [line.partition(" is in 1/255")[0] for line in lines] == [
        "warning: 'adv_eps' 0.03137",
        "warning: 'adv_eta' 0.0078",
    ]
    assert _warnings("attack", [smoke, "--set", "adv_eps=0.5", "adv_eta=0"], capsys) == []
