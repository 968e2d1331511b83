"""The values of a config: literals, defaults, paths, and rules between keys."""

import pytest

from utils.config import keys
from utils.config.load import complete, load_config, parse_overrides
from utils.errors import UserError

BASE = "configs/smoke.py"


def test_overrides_are_literals_and_bare_words_are_strings():
    changes = parse_overrides(["a=1e-3", "b=word", "c=[1, 2]", "d=None", "e='x=y'", "f=p/q.h5"])
    expected = {"a": 1e-3, "b": "word", "c": [1, 2], "d": None, "e": "x=y", "f": "p/q.h5"}
    assert changes == expected


def test_defaults_are_filled_in_and_integers_may_be_written_as_floats():
    config = load_config(BASE, ["batch_size=16.0", "mcmc_temp=1"])
    assert config["batch_size"] == 16
    assert isinstance(config["batch_size"], int)
    assert isinstance(config["mcmc_temp"], float)
    assert set(config) == set(keys.keys_of("train"))
    assert config["seed"] == 0
    assert config["tau"] is None


def test_a_tau_of_zero_is_none():
    for tau in ("0", "0.0", "None"):
        assert load_config(BASE, [f"tau={tau}"])["tau"] is None
    assert load_config(BASE, ["tau=0.15"])["tau"] == 0.15


@pytest.mark.parametrize(
    ("script", "change", "said"),
    [
        ("train", "net_type=ebm_biggan", "'ebm_biggan' exists for 3 channels, not 1"),
        ("train", "gen_type=gen_biggan", "'gen_biggan' exists for 3 channels, not 1"),
        ("attack", "clf_type=efficientnet_b0", "'efficientnet_b0' exists for 3 channels, not 1"),
        (
            "attack",
            "image_dims_clf=[64,64,3]",
            "must have the channels of 'image_dims' [64",
        ),
    ],
)
def test_networks_of_colour_images_refuse_grey_ones(script, change, said):
    path = {"train": BASE, "attack": "configs_attack/smoke.py"}[script]
    with pytest.raises(UserError) as refusal:
        load_config(path, ["image_dims=[64,64,1]", change], script)
    assert said in str(refusal.value)


@pytest.mark.parametrize("name", ["exp_name", "exp_dir", "data_dir", "split"])
def test_a_text_of_digits_is_told_to_be_quoted(name):
    with pytest.raises(UserError) as refusal:
        load_config(BASE, [f"{name}=2024"])
    assert f"not 2024 (as text: {name}='\"2024\"')" in str(refusal.value)
    assert load_config(BASE, [f'{name}="2024"'])[name] == "2024"
    with pytest.raises(UserError, match=r"'seed' must be int .*, not -1$"):
        load_config(BASE, ["seed=-1"])


def test_paths_that_this_run_does_not_load_may_be_empty():
    """A frozen generator's path matters only where a generator is built."""
    config = load_config("configs/cifar10_prior_sngan.py", ["gen_weights=g.weights.h5"])
    assert complete({**config, "gen_weights": "", "mcmc_init": "data_persistent"}, "train", "x")


def test_longrun_needs_the_path_of_its_prior():
    with pytest.raises(UserError, match="'prior_weights' is still empty: fill in the path"):
        load_config("configs_lr/emoji32_conv.py", script="train_longrun")


def test_a_variable_of_the_environment_is_its_value_in_every_path(monkeypatch):
    monkeypatch.setenv("SCRATCH", "/scratch/you")
    config = load_config(BASE, ["exp_dir=$SCRATCH/runs", "data_dir=${SCRATCH}/data"])
    assert (config["exp_dir"], config["data_dir"]) == ("/scratch/you/runs", "/scratch/you/data")


def test_a_tilde_is_the_home_folder_in_every_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/you")
    changes = ["exp_dir=~/runs", "data_dir=~/data", "ebm_weights=~/ebm.weights.h5", "exp_name=~"]
    config = load_config(BASE, changes)
    assert (config["exp_dir"], config["data_dir"]) == ("/home/you/runs", "/home/you/data")
    assert config["ebm_weights"] == "/home/you/ebm.weights.h5"
    assert config["exp_name"] == "~"
