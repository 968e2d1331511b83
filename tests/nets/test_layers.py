"""Shared layers against the operations that they replace."""

import numpy as np
import pytest
import tensorflow as tf

from nets import layers
from nets.layers import (
    Conv,
    SelfAttention,
    conv_mean_pool,
    conv_same,
    glorot_limit,
    mean_pool,
    resize_bilinear,
    share_of,
    upsample_bilinear,
)
from tests.nets.cases import create_small, distance, weights_of


def derivatives(operation, x, kernel, weights):
    """Return values, their gradients, and the gradients of the squared input gradient.

    Of a function that bends, so that the second derivatives see every part of the first.
    """
    with tf.GradientTape() as outer:
        outer.watch([x, kernel])
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = operation(x, kernel)
            total = tf.reduce_sum(tf.tanh(y / 10) * weights)
        first = tape.gradient(total, [x, kernel])
        square = tf.reduce_sum(tf.square(first[0]))
    return [y, *first, *outer.gradient(square, [x, kernel])]


def assert_same_derivatives(ours, plain, x, kernel, rng):
    """Assert that two operations are one in float64: 1e-12 is rounding over their few sums."""
    weights = rng.standard_normal(plain(x, kernel).shape)
    results = [derivatives(operation, x, kernel, weights) for operation in (ours, plain)]
    for mine, reference in zip(*results, strict=True):
        assert distance(mine.numpy(), reference.numpy()) <= 1e-12


def same(x, kernel):
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def same_then_pool(x, kernel):
    return tf.nn.avg_pool2d(same(x, kernel), 2, 2, "VALID")


@pytest.fixture
def ways(monkeypatch):
    """Return the names of the ways that convolutions take; 9 channels are wide here."""
    taken = []

    def spy(name, way):
        return lambda *arguments: taken.append(name) or way(*arguments)

    for name in ("conv_to_image", "conv_from_image", "conv_by_product"):
        monkeypatch.setattr(layers, name, spy(name, getattr(layers, name)))
    monkeypatch.setattr(layers, "WIDE_CHANNELS", 9)
    return taken


@pytest.mark.parametrize("shape", [(2, 2), (6, 4), (32, 32)])
@pytest.mark.parametrize("channels", [5, 9])
def test_pooled_convolution_is_convolution_then_pooling(channels, shape, ways, rng):
    x = tf.constant(rng.standard_normal((3, *shape, channels)))
    kernel = tf.constant(rng.standard_normal((3, 3, channels, 4)))
    assert_same_derivatives(conv_mean_pool, same_then_pool, x, kernel, rng)
    by_product = channels == 9 and shape != (32, 32)
    assert ways == ["conv_by_product"] * by_product


CONVOLUTIONS = [  # way, kernel size, channels, image
    *(("conv_to_image", 3, channels, (6, 4)) for channels in ((8, 3), (3, 3), (8, 1), (1, 1))),
    *(("conv_to_image", 3, (8, 3), shape) for shape in ((2, 2), (32, 32))),
    *(("conv_from_image", 3, (3, 8), shape) for shape in ((2, 2), (6, 4), (32, 32))),
    ("conv_from_image", 3, (1, 8), (6, 4)),
    *(("conv_by_product", 3, (9, 5), shape) for shape in ((1, 1), (4, 4), (3, 5))),
    (None, 3, (9, 5), (4, 6)),  # too many places
    (None, 3, (8, 5), (4, 4)),
    (None, 3, (8, 3), (5, 6)),
    (None, 3, (3, 8), (6, 5)),
    (None, 1, (3, 9), (4, 4)),
]


@pytest.mark.parametrize(("way", "size", "channels", "shape"), CONVOLUTIONS)
def test_convolution_is_a_convolution_whichever_way(way, size, channels, shape, ways, rng):
    x = tf.constant(rng.standard_normal((3, *shape, channels[0])))
    kernel = tf.constant(rng.standard_normal((size, size, *channels)))
    assert_same_derivatives(conv_same, same, x, kernel, rng)
    assert ways[:1] == ([way] if way else [])  # gradients follow


def test_mean_pooling_drops_the_last_row_of_an_odd_size():
    x = tf.reshape(tf.range(49, dtype=tf.float64), [1, 7, 7, 1])
    pooled = mean_pool(x)[0, :, :, 0].numpy()
    assert pooled.shape == (3, 3)
    assert pooled[0, 0] == (0 + 1 + 7 + 8) / 4


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.bfloat16])
def test_bilinear_upsampling_has_half_pixel_centres_and_repeated_edges(dtype):
    x = tf.tile(tf.reshape(tf.constant([0, 1, 2, 3], dtype), [1, 4, 1, 1]), [1, 1, 4, 1])
    doubled = upsample_bilinear(x)
    assert doubled.dtype == dtype
    expected = [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    for column in range(8):
        assert tf.cast(doubled[0, :, column, 0], tf.float64).numpy().tolist() == expected


def test_bilinear_upsampling_and_its_gradient_compile_in_bfloat16(rng):
    x = tf.constant(rng.standard_normal((2, 4, 4, 3)), tf.bfloat16)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(tf.square(upsample_bilinear(tf.nn.relu(x))))
        return tape.gradient(total, x)

    compiled = tf.function(gradient, jit_compile=True)(x)
    assert compiled.dtype == tf.bfloat16
    # To the last of 8 bits.
    np.testing.assert_allclose(
        *(tf.cast(g, tf.float32) for g in (compiled, gradient(x))), rtol=0.01
    )


def test_resizing_is_that_of_tensorflow(rng):
    x = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    for size in (28, 16, 40):
        assert np.abs(resize_bilinear(x, size) - tf.image.resize(x, [size, size])).max() < 1e-5


def test_kept_channels_are_the_first_of_all(rng):
    x = tf.constant(rng.standard_normal((2, 4, 4, 3)), tf.float32)
    few, all_of_them = Conv(5, 3, "few", keep=2), Conv(5, 3, "all")
    few(x), all_of_them(x)
    kernel = rng.standard_normal((3, 3, 3, 5))
    few.kernel.assign(kernel), all_of_them.kernel.assign(kernel)
    np.testing.assert_allclose(few(x), all_of_them(x)[..., :2], rtol=1e-5, atol=1e-6)


def test_attention_works_with_a_symbolic_batch(rng):
    attention = SelfAttention(16, "attention")
    run = tf.function(attention, input_signature=[tf.TensorSpec([None, 6, 6, 16])])
    x = tf.constant(rng.standard_normal((3, 6, 6, 16)), tf.float32)
    np.testing.assert_array_equal(run(x), x)  # gamma and kernels start at 0 without start_weights
    assert run(x[:1]).shape == (1, 6, 6, 16)


def test_a_share_of_a_width_is_whole():
    assert share_of(48, 16) == 768
    with pytest.raises(ValueError, match="multiple of 16"):
        create_small("ebm_sngan", 64, ebm_width=24)


def test_start_is_glorot_uniform_and_of_its_own_seed():
    starts = [weights_of(create_small("ebm_sngan", 32, seed=seed)) for seed in (0, 0, 1)]
    kernels = {name: w for name, w in starts[0].items() if name.endswith("kernel")}
    for name, kernel in kernels.items():
        limit = glorot_limit(kernel.shape)
        assert limit == pytest.approx(
            np.sqrt(6 / (np.prod(kernel.shape[:-2]) * sum(kernel.shape[-2:])))
        )
        assert np.abs(kernel).max() <= limit
        assert abs(kernel.std() / limit * np.sqrt(3) - 1) < 0.35
        assert np.array_equal(kernel, starts[1][name])
        assert not np.array_equal(kernel, starts[2][name])
    same_shape = [kernels[f"block{n}/conv_{i}/kernel"] for n in (2, 3, 4) for i in (1, 2)]
    assert len({kernel.tobytes() for kernel in same_shape}) == len(same_shape)
    assert all(not w.any() for name, w in starts[0].items() if name.endswith("bias"))


def test_attention_starts_with_a_drawn_gamma_and_the_classifier_with_larger_kernels():
    gammas = [
        weights_of(create_small("ebm_biggan", 64, seed=seed))["layers_out/1/gamma"]
        for seed in range(4)
    ]
    assert all(0 < abs(gamma[0]) <= np.sqrt(3) for gamma in gammas)
    classifier = weights_of(create_small("clf_wrn", 32))
    kernel, linear = classifier["layer3/1/conv_1/kernel"], classifier["linear/kernel"]
    limit = glorot_limit(kernel.shape)
    assert 1.2 * limit < np.abs(kernel).max() <= np.sqrt(2) * limit
    assert np.abs(linear).max() <= glorot_limit(linear.shape)
