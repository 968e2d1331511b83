"""The number of replicas, or of pieces, changes nothing of a run but the rounding of sums."""

import functools
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import train
import train_clf
import train_longrun
from nets import create_clf, create_gen
from tests.runs import SMALL_TRAINING, assert_same, rows, state
from utils.devices.strategy import CORES

LONGRUN = [
    "num_training_steps=4", "batch_size=4", "ebm_width=4", "persistent_size=10", "burnin_size=6",
    "mcmc_step_info=[[2,3,2,0]]",
]  # fmt: skip
CLF = [
    "num_epochs=1", "epoch_steps_tr=4", "batch_size=8", "dropout=0.3", "random_crop=True",
    "lr_list=[0.05]", "lr_switch_epochs=None",
]  # fmt: skip
RUNS = {
    "generator": (train, "configs/smoke.py", *SMALL_TRAINING, "persistent_size=10"),
    "burn-in": (
        train, "configs/smoke.py", *SMALL_TRAINING, "persistent_size=10", "data_epsilon=0.1",
        "mcmc_init=persistent", "update_generator=False", "mcmc_step_info=[[2,1,0.5,0]]",
    ),
    "data": (
        train, "configs/smoke.py", *SMALL_TRAINING, "mcmc_init=data", "update_generator=False",
    ),
    "longrun": (train_longrun, "configs_lr/smoke.py", *LONGRUN),
    "classifier": (train_clf, "configs_clf/smoke.py", *CLF),
}  # fmt: skip


@pytest.fixture
def run(start_run):
    """Return (name of RUNS, replicas, changes) -> run folder."""

    def start(name: str, replicas: int, *changes: str):
        script, config, *settings = RUNS[name]
        return start_run(script.main, config, *settings, f"num_replicas={replicas}", *changes)

    return start


SHAPE = {"image_dims": [32, 32, 3]}
NETWORKS = {  # by name in a state, with the number of variables that its optimizer has of each
    "gen": (lambda: create_gen({"gen_type": "gen_sngan", "gen_width": 4, **SHAPE}), 2),
    "clf": (lambda: create_clf({"num_classes": 9, "clf_depth": 10, "clf_width": 1, **SHAPE}), 1),
}


@functools.cache
def undetermined(name: str) -> frozenset[str]:
    """Return the names in a state of a network's arrays that rounding alone decides.

    A batch norm takes these biases away again: their gradients are 0 but for rounding, of which
    Adam makes steps of the usual size. Its moving mean holds them.
    """
    create, slots = NETWORKS[name]
    network = create()
    paths = [variable.path for variable in network.variables]
    biases = [path for path in paths if re.search(r"/(block|layer|conv1/).*bias", path)]
    assert len(biases) == 9
    means = [path for path in paths if path.endswith("moving_mean")]
    names = {f"{name}/{paths.index(path):04d}" for path in biases + means}
    for place, variable in enumerate(network.trainable_variables):
        if variable.path in biases:  # an optimizer has two variables of its own
            first = 2 + slots * place
            names |= {f"{name}_optimizer/{n:04d}" for n in range(first, first + slots)}
            names.add(f"{name}_average/{place:04d}")
    return frozenset(names)


def assert_close(one: dict, other: dict, tolerance: float) -> None:
    """Assert that the arrays of two states are close in relative L2 norm."""
    assert list(one) == list(other)
    left_out = set().union(*(undetermined(n) for n in NETWORKS if f"{n}/0000" in one))
    for name in sorted(set(one) - left_out):
        first, second = one[name].astype(np.float64), other[name].astype(np.float64)
        distance, size = np.linalg.norm(first - second), np.linalg.norm(first)
        assert distance <= tolerance * size, f"{name}: {distance / size:.1e}"


def test_two_replicas_give_the_run_of_one_and_their_state_goes_on_with_one(run, capsys):
    """But for float32 rounding."""
    whole, part = run("generator", 1), run("generator", 2, "num_training_steps=2")
    train.main(["--resume", str(part), "--set", "num_replicas=1", "num_training_steps=4"])
    assert "state of 2 replicas, now 1: the run continues" in capsys.readouterr().out
    assert_close(state(whole), state(part), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_any_number_of_replicas_gives_the_same_run_in_float64(run, name):
    """Whatever the order of sums, to nine digits."""
    one, *others = (state(run(name, count, "precision=float64")) for count in (1, 2, 4))
    for other in others:
        assert_close(one, other, 1e-9)


@pytest.mark.slow
def test_the_smoke_config_gives_the_same_run_after_20_updates_in_float64(start_run):
    one, *others = (
        state(start_run(train.main, "configs/smoke.py", "precision=float64", f"num_replicas={n}"))
        for n in (1, 2, 4)
    )
    for other in others:
        assert_close(one, other, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("now", [1, 4])
def test_a_state_of_two_replicas_goes_on_with_others_as_if_nothing_had_been(run, now):
    whole = run("generator", 2, "precision=float64")
    part = run("generator", 2, "precision=float64", "num_training_steps=2")
    train.main(["--resume", str(part), "--set", f"num_replicas={now}", "num_training_steps=4"])
    assert_close(state(whole), state(part), 1e-9)
    assert len(rows(part)) == 4


@pytest.mark.slow
def test_the_same_number_of_replicas_gives_the_same_bits(run):
    assert_same(state(run("generator", 4)), state(run("generator", 4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_any_number_of_pieces_gives_the_same_run_in_float64(run, name):
    """On one replica or two, to nine digits."""
    whole = state(run(name, 1, "precision=float64", "pieces=1"))
    for replicas, pieces in ((1, 2), (1, 4), (2, 2)):
        cut = state(run(name, replicas, "precision=float64", f"pieces={pieces}"))
        assert_close(whole, cut, 1e-9)


@pytest.mark.slow
@pytest.mark.skipif(CORES < 2, reason="one core")
@pytest.mark.parametrize("name", RUNS)
def test_the_same_pieces_give_the_same_bits_on_one_core_and_on_two(name, repository, tmp_path):
    script, config, *settings = RUNS[name]
    allowed, states = sorted(os.sched_getaffinity(0)), []
    for cores in (1, 2):
        folder = tmp_path / str(cores)
        subprocess.run(
            [sys.executable, script.__file__, config, "--run-dir", folder, "--set", *settings,
             "pieces=2"],
            cwd=repository, check=True, capture_output=True,
            preexec_fn=functools.partial(os.sched_setaffinity, 0, allowed[:cores]),
        )  # fmt: skip
        states.append(state(folder))
    assert_same(*states)
