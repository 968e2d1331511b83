"""What the scripts compute on a device compiles by XLA, as a TPU would, and gives the same values.

So it has no shapes that are known late only, and calls nothing on the host. XLA draws other real
numbers than TensorFlow from the same seed: here both are fed the same ones.
"""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

import attack
import fid
import train
from tests.runs import state
from tests.test_any_replicas import RUNS, assert_close

QUICK = "data"
SCORES = ["num_samples=8", "batch_size=8", "ebm_width=4", "gen_width=4", "reference_samples=8"]
ATTACK = ["batch_size=4", "end_batch=1", "adv_steps=1", "record_image_states=True"]


def fed(seed: tf.Tensor, shape, dtype: tf.DType) -> tf.Tensor:
    """Return numbers in [0, 1) by whole-number arithmetic of a seed, to the bit the same by XLA."""
    seed = tf.cast(seed, tf.int64)
    folded = seed[0] * 0x27D4EB2F165667C5 + seed[1] * 0x165667B19E3779F9
    numbers = tf.cast(tf.range(math.prod(shape)), tf.int64) + folded
    numbers = tf.bitwise.right_shift(tf.cast(numbers * 0x1E3779B97F4A7C15, tf.uint64), 44)
    return tf.reshape(tf.cast(numbers, dtype) / 2**20, shape)


@pytest.fixture
def both(monkeypatch):
    """Let draws of real numbers be the same with XLA and without."""
    uniform = tf.random.stateless_uniform

    def fed_normal(shape, seed, dtype=tf.float32, **_):
        return (2 * fed(seed, shape, dtype) - 1) * 3**0.5

    def fed_uniform(shape, seed, minval=0, maxval=1, dtype=tf.float32, **options):
        if tf.as_dtype(dtype).is_integer:
            return uniform(shape, seed, minval, maxval, dtype, **options)
        return minval + (maxval - minval) * fed(seed, shape, dtype)

    def fed_dropout(x, rate, seed, **_):
        return tf.where(fed(seed, x.shape, x.dtype) >= rate, x / (1 - rate), 0)

    monkeypatch.setattr(tf.random, "stateless_normal", fed_normal)
    monkeypatch.setattr(tf.random, "stateless_uniform", fed_uniform)
    monkeypatch.setattr(tf.nn.experimental, "stateless_dropout", fed_dropout)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != QUICK)) for n in RUNS]
)
def test_training_compiled_is_training_in_float64(name, start_run, both):
    """train.py, train_longrun.py and train_clf.py, to nine digits."""
    script, config, *settings = RUNS[name]
    one, other = (
        start_run(script.main, config, *settings, "precision=float64", f"jit={jit}")
        for jit in (False, True)
    )
    assert_close(state(one), state(other), 1e-9)


@pytest.mark.slow
def test_chains_and_features_compiled_are_those_of_fid(start_run, both):
    """To float32 rounding; of acceptances, that of an energy by the temperature."""
    one, other = (
        start_run(fid.main, "configs_fid/smoke.py", *SCORES, f"jit={jit}") for jit in (False, True)
    )
    traces = [np.load(folder / "numpy" / "chains.npz") for folder in (one, other)]
    for name in traces[0].files:
        rounding = {"atol": 0.01} if name == "acceptance" else {"rtol": 1e-4}
        np.testing.assert_allclose(*(t[name] for t in traces), **rounding, err_msg=name)
    scores = [
        [score["fid"] for score in json.loads((folder / "report.json").read_text())["scores"]]
        for folder in (one, other)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["bpda", "smoothed", "full"])
def test_purification_and_gradient_compiled_are_those_of_an_attack(gradient, start_run, both):
    """To float32 rounding, which the sign of a gradient near 0 can turn into a whole step."""
    settings = [*ATTACK, f"attack_gradient={gradient}"]
    one, other = (
        start_run(attack.main, "configs_attack/smoke.py", *settings, f"jit={jit}")
        for jit in (False, True)
    )
    results = [np.load(folder / "data_log" / "results.npz") for folder in (one, other)]
    moved = np.abs(results[0]["ims_adv"] - results[1]["ims_adv"]) > 1e-5
    assert moved.mean() < 0.01
    np.testing.assert_array_equal(results[0]["labs"], results[1]["labs"])


def test_xla_is_for_one_replica(start_run, capsys):
    with pytest.raises(SystemExit) as stop:
        start_run(train.main, "configs/smoke.py", "jit=True", "num_replicas=2")
    assert stop.value.code == 2
    assert "'jit' works with one replica, and there are 2" in capsys.readouterr().err
