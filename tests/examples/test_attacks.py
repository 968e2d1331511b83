"""The commands of all attacks: which images they attack, and what is refused before the first."""

import shlex
from pathlib import Path

import pytest

from examples import attacks, life_cycle
from utils.config.load import load_config
from utils.config.record import Config


def planned(capsys, *argv: str) -> dict[str, Config]:
    """Return the config of each attack by its folder below `work`."""
    attacks.main([*argv, "--work", "work", "--dry-run"])
    found = {}
    for line in capsys.readouterr().out.splitlines():
        _, script, path, _, folder, _, *changes = shlex.split(line)
        assert script == "attack.py"
        found[str(Path(folder).relative_to("work"))] = load_config(path, changes, "attack")
    return found


def images(config: Config) -> range:
    return range((config.start_batch - 1) * config.batch_size, config.end_batch * config.batch_size)


def test_expensive_attacks_take_the_first_images_of_the_others(capsys):
    found = planned(capsys, "configs_attack/emoji32_table.py", "--only", "linf")
    few = {
        name.removeprefix("linf/") for name, one in found.items() if images(one) == range(48, 64)
    }
    assert few == {"full", "surrogate", "square", "nes"}
    others = [one for name, one in found.items() if name.removeprefix("linf/") not in few]
    assert {images(one) for one in others} == {range(48, 96)}


def test_gradients_are_checked_once_per_defence(capsys):
    found = planned(
        capsys, "configs_attack/emoji32_table.py", "--only", "linf", "three", "l2", "bare"
    )
    assert [name for name, one in found.items() if one.attack_checks] == ["linf/pgd"]
    assert {one.adv_norm for name, one in found.items() if name.startswith("l2/")} == {"l2"}


@pytest.mark.parametrize(
    ("config", "attacked"),
    [("emoji32_table", range(48, 240)), ("fashion_table", range(50, 250))],
)
def test_the_bare_classifier_is_attacked_on_200_images_or_what_emoji_has(capsys, config, attacked):
    """None of them is of the defence's batch 1."""
    found = planned(capsys, f"configs_attack/{config}.py", "--only", "bare")
    assert {images(one) for one in found.values()} == {attacked}
    assert {one.langevin_steps for one in found.values()} == {0}


@pytest.mark.parametrize("name", ["shortrun", "longrun"])
def test_the_page_attacks_the_other_fashion_models_as_the_life_cycle_does(capsys, name):
    page = (Path(attacks.__file__).parents[1] / "docs" / "defence.md").read_text()
    (command,) = [
        line for line in page.splitlines() if f"--work tf_out/attacks/fashion_{name}" in line
    ]
    argv = shlex.split(command)[3:]
    del argv[(work := argv.index("--work")) : work + 2]
    found = planned(capsys, *argv)
    assert set(found) == {"three/pgd", "three/apgd_ce", "three/smoothed"}
    cycle = life_cycle.Cycle(Path("work"), False, "fashion_mnist")
    _, path, _, _, _, *changes = cycle.commands[f"attack_{name}"]
    theirs = load_config(path, changes, "attack")
    for one in found.values():
        assert images(one) == range(48, 96)
        for key in ("epsilon", "mcmc_temp", "tau", "prior_temp", "langevin_steps", "net_type"):
            assert one[key] == theirs[key], key
        for key in ("ebm_weights", "prior_weights"):
            assert (one[key] is None) == (theirs[key] is None)
            assert one[key] is None or Path(one[key]).exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["batch_size=50"], "'batch_size' 50 must be a multiple of 16"),
        (["batch_size=8", "start_batch=3", "end_batch=3"], "'batch_size' 8 must be a multiple"),
        (["batch_size=240"], "'batch_size' 240 is above 200"),
        (["start_batch=1"], "'start_batch' is 1"),
        (["adv_norm=l2"], "'adv_norm' belongs to the groups"),
        (["langevin_steps=1"], "'surrogate_steps' must be below"),
    ],
)
def test_mistakes_of_any_group_show_before_the_first_command(capsys, changes, words):
    with pytest.raises(SystemExit) as stop:
        attacks.main(["configs_attack/emoji32_table.py", "--dry-run", "--set", *changes])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("main", "argv"),
    [(attacks.main, ["CONFIG", "--only", "l3"]), (life_cycle.main, ["--data", "cifar10"])],
)
def test_a_wrong_choice_is_one_line(capsys, main, argv):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
