"""A record is typed, frozen and a mapping; old keys are accepted and left out."""

import pytest
from pydantic import ValidationError

from utils.config import keys
from utils.config.kinds import label, list_of, number, whole
from utils.config.load import complete, load_config
from utils.config.record import read
from utils.errors import UserError

BASE = "configs/smoke.py"


def test_a_record_is_read_by_name_and_as_a_mapping():
    config = load_config(BASE)
    assert config.epsilon == config["epsilon"] == config.get("epsilon") == dict(config)["epsilon"]
    assert {**config, "epsilon": 3.0}["epsilon"] == 3.0
    assert config.get("epsilom", 7) == 7
    assert "epsilon" in config
    assert "epsilom" not in config
    assert len(config) == len(list(config)) == len(keys.keys_of("train"))
    assert config == dict(config)
    assert dict(config) == config


def test_a_record_cannot_be_changed_but_copied_with_changes():
    config = load_config(BASE)
    before = dict(config)
    with pytest.raises(ValidationError):
        config.epsilon = 3.0
    with pytest.raises(TypeError):
        config["epsilon"] = 3.0
    changed = config | {"epsilon": 3.0}
    assert (changed.epsilon, type(changed)) == (3.0, type(config))
    assert config == before
    assert changed == {**before, "epsilon": 3.0}


@pytest.mark.parametrize("name", ["epsilom", "root_path", "num_classes"])
def test_what_is_no_key_is_no_attribute(name):
    with pytest.raises(AttributeError, match=name):
        getattr(load_config(BASE), name)
    with pytest.raises(KeyError, match=name):
        load_config(BASE)[name]


def test_a_changed_default_is_no_longer_the_default():
    """Records share no lists, neither with each other nor with the table."""
    one, other = (load_config("configs_attack/smoke.py", script="attack") for _ in range(2))
    one.pixel_scale_clf.append(3)
    assert other.pixel_scale_clf == keys.CLF_PIXELS == [-1.0, 1.0]


# script, key of old files: what it may say, what not, and the words of the refusal
FOSSILS = {
    ("train", "root_path"): (["ebm-life-cycle/", "", None], 3, "path or None, not 3"),
    ("train", "ebm_lr_type"): (["step"], "cosine", "`step`, not 'cosine'"),
    ("train", "ebm_optim_weights"): ([None], "a", "None: replaced by `--resume RUN_DIR`, not 'a'"),
    ("train", "gen_optim_weights"): ([None], "", "None: replaced by `--resume RUN_DIR`"),
    ("train", "im_persistent_path"): ([None], "a", "None: replaced by `--resume RUN_DIR`"),
    ("train", "z_persistent_path"): ([None], "a", "None: replaced by `--resume RUN_DIR`"),
    ("train_longrun", "burnin_grad_updates"): ([0, 0.0], 5, "int >= 0, <= 0, not 5"),
    ("train_clf", "epoch_steps_test"): ([99, None], 0, "int >= 1 or None, not 0"),
}
FILES = {"train": BASE, "train_longrun": "configs_lr/smoke.py", "train_clf": "configs_clf/smoke.py"}


@pytest.mark.parametrize(("script", "name"), FOSSILS)
def test_keys_of_old_files_are_checked_and_left_out(script, name):
    allowed, refused, words = FOSSILS[script, name]
    config = load_config(FILES[script], script=script)
    for value in allowed:
        assert complete({**config, name: value}, script, "x") == config
    with pytest.raises(UserError) as refusal:
        complete({**config, name: refused}, script, "x")
    assert f"'{name}' must be {words}" in str(refusal.value)


def test_the_fossils_are_those_and_no_keys():
    assert {key.name for key in keys.FOSSILS} == {name for _, name in FOSSILS}
    assert not {key.name for key in keys.FOSSILS} & {key.name for key in keys.KEYS}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (whole(ge=0, le=64), "int >= 0, <= 64"),
        (number(gt=0, le=0.99), "number > 0, <= 0.99"),
        (whole(ge=1) | None, "int >= 1 or None"),
        (list_of(number(), "[low, high]") | None, "[low, high] or None"),
        (bool, "bool"),
    ],
)
def test_a_type_says_what_to_write(kind, said):
    assert label(kind) == said


@pytest.mark.parametrize("script", ["train", "train_longrun", "fid", "train_clf", "attack"])
def test_defaults_are_values_that_a_user_may_write(script):
    known = {n: k for n, k in keys.keys_of(script).items() if k.default is not keys.REQUIRED}
    written = {name: key.default for name, key in known.items()}
    record, problems = read(written, known)
    assert not problems
    assert record == written
