"""Every network computes what the plain formula says, values and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from nets import layers
from tests.nets.cases import (
    ALL_NETWORKS,
    apply,
    apply_plain,
    create_small,
    distance,
    draw_input,
    train_like,
    values_and_gradients,
    weights_of,
)

CONVS = ("fused", "plain")
GREY_NETWORKS = [("ebm_sngan", 32), ("ebm_sngan", 64), ("gen_sngan", 32), ("clf_wrn", 32)]


@pytest.mark.parametrize(("kind", "size"), ALL_NETWORKS)
def test_network_equals_its_plain_formula_in_float64(kind, size, rng):
    assert_plain(kind, size, 3, rng)


@pytest.mark.parametrize(("kind", "size"), GREY_NETWORKS)
def test_network_of_grey_images_equals_its_plain_formula_in_float64(kind, size, rng):
    assert_plain(kind, size, 1, rng)


def assert_plain(kind, size, channels, rng):
    model = create_small(kind, size, image_dims=[size, size, channels], precision="float64")
    train_like(model, rng)
    x = draw_input(model, size, 2, rng, channels)
    ours = values_and_gradients(lambda x: apply(model, kind, x), x)
    theirs = values_and_gradients(lambda x: apply_plain(weights_of(model), kind, size, x), x)
    assert ours[0].shape == theirs[0].shape
    assert channels in (ours[0].shape[-1], x.shape[-1])
    assert distance(ours[0], theirs[0]) <= 1e-10
    assert distance(ours[1], theirs[1]) <= 1e-10


@pytest.mark.parametrize(("kind", "size"), [("ebm_sngan", 32), ("gen_sngan", 32)])
def test_plain_and_fused_convolutions_make_one_network_in_float64(kind, size, rng):
    """Of the same variables; each by the operations that are its own."""
    fused, plain = (create_small(kind, size, precision="float64", conv=c) for c in CONVS)
    train_like(fused, rng)
    plain.set_weights(fused.get_weights())
    x = draw_input(fused, size, 2, rng)
    graphs = [tf.function(lambda x, model=model: apply(model, kind, x)) for model in (fused, plain)]
    ours, theirs = (values_and_gradients(graph, x) for graph in graphs)
    assert distance(ours[0], theirs[0]) <= 1e-10
    assert distance(ours[1], theirs[1]) <= 1e-10
    operations = [
        {node.op for node in graph.get_concrete_function(tf.constant(x)).graph.as_graph_def().node}
        for graph in graphs
    ]
    assert operations[0] != operations[1]


@pytest.mark.parametrize(
    ("kind", "size"),
    [("ebm_sngan", 32), ("ebm_sngan", 64), ("ebm_sngan", 128), ("ebm_biggan", 64)],
)
def test_gradients_by_the_weights_equal_those_of_the_plain_formula(kind, size, rng):
    """Of what an EBM learns by: a difference of energies. In float64."""
    model = create_small(kind, size, precision="float64")
    train_like(model, rng)
    x, signs = draw_input(model, size, 2, rng), np.array([[1.0], [-1.0]])
    weights = {name: tf.Variable(value) for name, value in weights_of(model).items()}
    with tf.GradientTape(persistent=True) as tape:
        ours = tf.reduce_sum(signs * model(x))
        theirs = tf.reduce_sum(signs * apply_plain(weights, kind, size, x))
    names = list(weights)  # in the order of the model's variables
    expected = tape.gradient(theirs, list(weights.values()))
    computed = tape.gradient(ours, model.trainable_variables)
    for name, mine, reference in zip(names, computed, expected, strict=True):
        assert np.max(np.abs(reference)) > 0, name
        assert distance(mine.numpy(), reference.numpy()) <= 1e-10, name


def test_wide_network_equals_its_plain_formula_for_any_batch(rng, monkeypatch):
    """The products by which the last block of the published width convolves, in a narrow one."""
    monkeypatch.setattr(layers, "WIDE_CHANNELS", 16)
    model = create_small("ebm_sngan", 64, precision="float64")
    train_like(model, rng)
    x = draw_input(model, 64, 2, rng)
    signature = [tf.TensorSpec([None, 64, 64, 3], tf.float64)]
    energies = tf.function(model, input_signature=signature)
    ours = values_and_gradients(energies, x)
    theirs = values_and_gradients(lambda x: apply_plain(weights_of(model), "ebm_sngan", 64, x), x)
    products = [
        op
        for op in energies.get_concrete_function().graph.get_operations()
        if "conv_2" in op.name and op.type == "MatMul"
    ]
    assert products
    assert distance(ours[0], theirs[0]) <= 1e-10
    assert distance(ours[1], theirs[1]) <= 1e-10


@pytest.mark.parametrize(("kind", "size"), ALL_NETWORKS)
def test_network_equals_its_plain_formula_to_rounding_in_float32(kind, size, rng):
    """A ReLU that rounding flips moves one image's gradient by 1e-3, hence the median image."""
    model = create_small(kind, size)
    train_like(model, rng)
    x = draw_input(model, size, 3, rng)
    ours = values_and_gradients(lambda x: apply(model, kind, x), x.astype(np.float32))
    theirs = values_and_gradients(lambda x: apply_plain(weights_of(model), kind, size, x), x)
    errors = [distance(mine, reference) for mine, reference in zip(ours[1], theirs[1], strict=True)]
    assert ours[0].dtype == ours[1].dtype == np.float32
    assert distance(ours[0], theirs[0]) <= 1e-5
    assert np.median(errors) <= 1e-5
