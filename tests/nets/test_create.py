"""What `create_ebm`, `create_gen` and `create_clf` promise to the scripts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nets.wide_resnet import WideResNet
from tests.nets.cases import (
    ALL_NETWORKS,
    NETWORKS,
    apply,
    create_small,
    distance,
    draw_input,
    train_like,
    values_and_gradients,
    weights_of,
)
from utils.seeds import Share

SMALLEST = [  # one of every kind
    pytest.param(*network, marks=[pytest.mark.slow] * (network[0] == "gen_biggan_cond"))
    for network in dict(reversed(NETWORKS)).items()
]
EBMS = [network for network in ALL_NETWORKS if network.values[0].startswith("ebm")]
SEED = tf.constant([3, 4])


@pytest.mark.parametrize(("kind", "size"), SMALLEST)
def test_a_network_works_on_every_replica_in_graphs_with_any_batch(kind, size, rng):
    alone = create_small(kind, size)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        mirrored = create_small(kind, size)
    start, same = weights_of(mirrored), weights_of(alone)
    assert all(np.array_equal(start[name], same[name]) for name in start)
    x = draw_input(alone, size, 3, rng).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, *x.shape[1:]])])
    def gradients(x):
        def on_replica(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                total = tf.reduce_sum(apply(mirrored, kind, x))
            return tape.gradient(total, x)

        return strategy.experimental_local_results(strategy.run(on_replica, (x,)))

    with tf.GradientTape() as tape:
        tape.watch(eager := tf.constant(x))
        total = tf.reduce_sum(apply(alone, kind, eager))
    expected = tape.gradient(total, eager).numpy()
    for result in gradients(x):
        assert distance(result.numpy(), expected) < 1e-4
    assert gradients(x[:1])[0].shape == (1, *x.shape[1:])


@pytest.mark.parametrize(("kind", "size"), SMALLEST)
def test_weights_files_restore_a_network(kind, size, rng, tmp_path):
    model = create_small(kind, size)
    train_like(model, rng)
    path = str(tmp_path / "saved.weights.h5")
    model.save_weights(path)
    other = create_small(kind, size, seed=1)
    other.load_weights(path)
    stored, restored = weights_of(model), weights_of(other)
    assert all(np.array_equal(stored[name], restored[name]) for name in stored)


@pytest.mark.parametrize(("kind", "size"), SMALLEST)
def test_bfloat16_keeps_variables_outputs_and_gradients_in_float32(kind, size, rng):
    model = create_small(kind, size, precision="bfloat16")
    assert model.compute_dtype == "bfloat16"
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    x = draw_input(model, size, 2, rng).astype(np.float32)
    y, gradient = values_and_gradients(lambda x: apply(model, kind, x), x)
    assert y.dtype == gradient.dtype == np.float32


@pytest.mark.parametrize(("kind", "size"), EBMS)
def test_bfloat16_gradients_point_where_float32_gradients_do(kind, size, rng):
    exact, fast = (create_small(kind, size, precision=p) for p in ("float32", "bfloat16"))
    train_like(exact, rng)
    for variable, value in zip(fast.variables, exact.variables, strict=True):
        variable.assign(tf.convert_to_tensor(value))
    x = draw_input(exact, size, 4, rng).astype(np.float32)
    (_, exact), (_, fast) = (values_and_gradients(model, x) for model in (exact, fast))
    sums = [np.sum(a * b, (1, 2, 3)) for a, b in ((exact, fast), (exact, exact), (fast, fast))]
    assert np.min(sums[0] / np.sqrt(sums[1] * sums[2])) >= 0.99


@pytest.mark.parametrize(
    ("config", "fused"),
    [
        ({}, True),
        ({"device_type": "cpu"}, True),
        ({"device_type": "gpu"}, False),
        ({"device_type": "gpu", "jit": True}, True),
        ({"device_type": "tpu"}, False),
        ({"device_type": "gpu", "conv": "fused"}, True),
        ({"device_type": "cpu", "conv": "plain"}, False),
    ],
)
def test_convolutions_are_chosen_by_what_computes_unless_the_key_says(config, fused):
    model = create_small("ebm_sngan", 32, **config)
    assert model.blocks[0].conv_2.fused is model.blocks[2].conv_1.fused is fused


@pytest.fixture(scope="module")
def conditional():
    """Return a conditional generator."""
    gen = create_small("gen_biggan_cond", 64)
    train_like(gen, np.random.Generator(np.random.Philox(np.random.SeedSequence(1))))
    return gen


@pytest.mark.parametrize("kind", ["gen_sngan", "gen_biggan", "gen_biggan_cond"])
def test_latents_are_a_pure_function_of_the_seed(kind, conditional):
    gen = conditional if kind == "gen_biggan_cond" else create_small(kind, 64)
    z = gen.sample_latents(500, SEED).numpy()
    assert z.shape == (500, 128)
    assert z.dtype == np.float32
    assert np.array_equal(z, gen.sample_latents(500, SEED))
    assert not np.array_equal(z, gen.sample_latents(500, SEED + 1))
    expected_std = 1 if kind == "gen_sngan" else 0.8796  # of a normal truncated at 2
    assert z.std() == pytest.approx(expected_std, rel=0.01)
    assert (np.abs(z).max() <= 2) == (kind != "gen_sngan")


def test_conditional_latents_shrink_with_the_truncation(conditional):
    whole = conditional.sample_latents(4, SEED)
    half = conditional.sample_latents(4, SEED, truncation=0.5)
    np.testing.assert_allclose(half, whole / 2)


def test_labels_are_uniform_and_a_function_of_their_seed(conditional):
    labels = conditional.sample_labels(50_000, SEED).numpy()
    assert np.array_equal(labels, conditional.sample_labels(50_000, SEED))
    counts = np.bincount(labels, minlength=1000)
    assert len(counts) == 1000
    chi_squared = np.sum((counts - 50) ** 2 / 50)
    assert abs(chi_squared - 999) < 4 * np.sqrt(2 * 999)


def test_conditional_images_depend_on_label_and_truncation(conditional):
    z, labels = conditional.sample_latents(2, SEED), np.array([3, 700])
    first = conditional(z, labels=labels)
    assert np.array_equal(conditional(z, labels=labels, truncation=1.0), first)
    assert not np.allclose(conditional(z, labels=labels + 1), first, atol=1e-3)
    assert not np.allclose(conditional(z, labels=labels, truncation=0.5), first, atol=1e-3)


def test_a_classifier_drops_out_by_its_seed_only_in_training(rng):
    clf = create_small("clf_wrn", 32, dropout=0.3)
    x = draw_input(clf, 32, 4, rng).astype(np.float32)
    assert np.array_equal(clf(x), clf(x, seed=SEED))
    first, again, other = (clf(x, seed=SEED + n, training=True).numpy() for n in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)
    with pytest.raises(ValueError, match="needs a seed"):
        clf(x, training=True)


def test_dropout_of_a_share_is_that_of_the_whole_batch(rng):
    block = create_small("clf_wrn", 32, dropout=0.3).blocks[0]
    whole = block.dropped(tf.zeros((6, 2, 2, 5)), SEED, rows=Share().rows)
    assert sorted(np.unique(whole)) == [0, np.float32(1 / 0.7)]
    own = [block.dropped(tf.zeros((2, 2, 2, 5)), SEED, rows=Share(r, 3).rows) for r in range(3)]
    np.testing.assert_array_equal(tf.concat(own, 0), whole)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"net_type": "ebm_dcgan"}, "net_type 'ebm_dcgan' is not one of ebm_sngan, ebm_biggan"),
        ({"image_dims": [48, 48, 3]}, r"ebm_sngan has no image_dims \[48, 48, 3\], only 32x32"),
        ({"image_dims": [32, 64, 3]}, "only 32x32, 64x64, 128x128"),
        ({"net_type": "ebm_biggan", "image_dims": [64, 64, 1]}, "images of 3 channels, not 1"),
    ],
)
def test_a_config_without_a_network_is_refused(change, match):
    with pytest.raises(ValueError, match=match):
        create_small("ebm_sngan", 32, **change)


@pytest.mark.parametrize("depth", [4, 12, 27])
def test_an_impossible_depth_is_refused(depth):
    with pytest.raises(ValueError, match="10, 16, 22, 28"):
        WideResNet(10, depth=depth)
