"""The published networks as plain formulas, one operation after the other.

Nothing is shared with `nets`: architectures are written out as the design gives them, weights are
looked up by their published names, pooling follows convolution, upsampling precedes it. Values and
gradients come in the type of the weights (float64 in most tests).
"""

import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

Weights = Mapping[str, np.ndarray]


def relu(x):
    return tf.where(x > 0, x, tf.zeros_like(x))


def conv(weights: Weights, name: str, x, stride: int = 1, padding: str = "SAME"):
    x = tf.nn.convolution(x, weights[f"{name}/kernel"], strides=stride, padding=padding)
    return x + weights[f"{name}/bias"] if f"{name}/bias" in weights else x


def dense(weights: Weights, name: str, x):
    x = tf.linalg.matmul(x, weights[f"{name}/kernel"])
    return x + weights[f"{name}/bias"] if f"{name}/bias" in weights else x


def quarters(x):
    """Return the four pixels of every 2x2 box, the last of an odd number of rows left out."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]


def down(x):
    return tf.add_n(quarters(x)) / 4


def max_pool(x):
    return tf.reduce_max(tf.stack(quarters(x)), 0)


def resize(x, size: int):
    """Bilinear, half-pixel centres, repeated edges: by the indices and shares of two neighbours."""
    for axis in (1, 2):
        side = x.shape[axis]
        place = (np.arange(size) + 0.5) * side / size - 0.5
        below = np.floor(place).astype(int)
        share = (place - below).reshape([-1 if a == axis else 1 for a in range(4)])
        low = tf.gather(x, np.clip(below, 0, side - 1), axis=axis)
        high = tf.gather(x, np.clip(below + 1, 0, side - 1), axis=axis)
        x = low * (1 - share) + high * share
    return x


def bilinear_up(x):
    return resize(x, 2 * x.shape[1])


def nearest_up(x):
    twice = np.arange(2 * x.shape[1]) // 2
    return tf.gather(tf.gather(x, twice, axis=1), twice, axis=2)


def batch_norm(weights: Weights, name: str, x, epsilon: float):
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    x = (x - mean) / tf.sqrt(variance + epsilon)
    return x * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def head(weights: Weights, name: str, x):
    return dense(weights, name, tf.reduce_mean(relu(x), [1, 2]))


# EBM-SNGAN: whether each block pools
EBM_SNGAN = {32: [True, True, False, False], 64: [True] * 5, 128: [True] * 5 + [False]}


def ebm_sngan(weights: Weights, x, size: int):
    for number, pools in enumerate(EBM_SNGAN[size], start=1):
        name = "conv_1" if number == 1 else f"block{number}"
        y = conv(weights, f"{name}/conv_1", x if number == 1 else relu(x))
        y = conv(weights, f"{name}/conv_2", relu(y))
        if f"{name}/sc/kernel" in weights:
            if number == 1:
                x = conv(weights, f"{name}/sc", down(x))
            else:
                x = conv(weights, f"{name}/sc", x)
                x = down(x) if pools else x
        x = x + (down(y) if pools else y)
    return head(weights, f"lin_{len(EBM_SNGAN[size]) + 1}", x)


def gen_sngan(weights: Weights, z, size: int):
    blocks = {32: 3, 64: 4, 128: 5}[size]
    x = dense(weights, "lin_1", z)
    x = tf.transpose(tf.reshape(x, [-1, x.shape[1] // 16, 4, 4]), [0, 2, 3, 1])
    for number in range(2, blocks + 2):
        name = f"block{number}"
        y = bilinear_up(relu(batch_norm(weights, f"{name}/bn_1", x, 1e-3)))
        y = conv(weights, f"{name}/conv_1", y)
        y = conv(weights, f"{name}/conv_2", relu(batch_norm(weights, f"{name}/bn_2", y, 1e-3)))
        x = y + conv(weights, f"{name}/sc", bilinear_up(x))
    x = relu(batch_norm(weights, f"bn_{blocks + 2}", x, 1e-3))
    return tf.tanh(conv(weights, f"conv_{blocks + 2}", x))


def rows(text: str) -> list[tuple[bool, int, int]]:
    """Read rows as the design writes them: (T,1,2) is a block that resizes, from 1 to 2 units."""
    return [(f == "T", int(i), int(o)) for f, i, o in re.findall(r"\((.),(\d+),(\d+)\)", text)]


EBM_BIGGAN_256 = (
    4,
    "(T,1,2)(F,2,2)(T,2,4)(F,4,4)(T,4,8)(F,8,8)(T,8,8)(F,8,8)(T,8,16)(F,16,16)(T,16,16)(F,16,16)",
)
EBM_BIGGAN = {
    64: (1, "(F,1,1)(T,1,2)(F,2,2)(T,2,4)(F,4,4)(T,4,8)(F,8,8)(T,8,16)(F,16,16)"),
    128: (2, "(T,1,2)(F,2,2)(T,2,4)(F,4,4)(T,4,8)(F,8,8)(T,8,16)(F,16,16)(T,16,16)(F,16,16)"),
    224: EBM_BIGGAN_256,
    256: EBM_BIGGAN_256,
}
GEN_128 = "(F,16,16)(T,16,16)(F,16,16)(T,16,8)(F,8,8)(T,8,4)(F,4,4)(T,4,2)(F,2,2)(T,2,1)"
GEN_256 = (
    "(F,16,16)(T,16,16)(F,16,16)(T,16,8)(F,8,8)(T,8,8)(F,8,8)(T,8,4)(F,4,4)(T,4,2)(F,2,2)(T,2,1)"
)


def attention(weights: Weights, name: str, x):
    theta = conv(weights, f"{name}/snconv1x1_theta", x)
    phi, g = (max_pool(conv(weights, f"{name}/snconv1x1_{part}", x)) for part in ("phi", "g"))
    scores = tf.einsum("bhwc,byxc->bhwyx", theta, phi)
    shares = tf.exp(scores - tf.reduce_max(scores, [3, 4], keepdims=True))
    shares /= tf.reduce_sum(shares, [3, 4], keepdims=True)
    drawn = tf.einsum("bhwyx,byxc->bhwc", shares, g)
    return x + weights[f"{name}/gamma"] * conv(weights, f"{name}/snconv1x1_o_conv", drawn)


def ebm_biggan(weights: Weights, x, size: int):
    place, text = EBM_BIGGAN[size]
    x = conv(weights, "rgb_conv", x)
    number = 0
    for row, (pools, inputs, outputs) in enumerate(rows(text)):
        if row == place:
            x = attention(weights, f"layers_out/{number}", x)
            number += 1
        name = f"layers_out/{number}"
        y = x
        for step in range(3):
            y = conv(weights, f"{name}/conv_{step}", relu(y))
        y = down(relu(y)) if pools else relu(y)
        y = conv(weights, f"{name}/conv_3", y)
        x = down(x) if pools else x
        if outputs > inputs:
            x = tf.concat([x, conv(weights, f"{name}/conv_sc", x)], -1)
        x = x + y
        number += 1
    return head(weights, "linear_head", x)


def gen_biggan(weights: Weights, z, size: int):
    def norm(name, x):
        return batch_norm(weights, name, x, 1e-4)

    text = GEN_128 if size == 128 else GEN_128.removesuffix("(T,2,1)")
    return biggan_body(weights, z, text, norm, norm)


def gen_biggan_cond(weights: Weights, z, size: int, labels, truncation: float):
    classes = dense(weights, "embeddings", np.eye(1000, dtype=z.dtype.as_numpy_dtype)[labels])
    condition = tf.concat([z, classes], 1)

    def statistics(name):
        low = min(int(truncation / 0.02 + 1e-6), 49)
        share = truncation / 0.02 - low
        pairs = (weights[f"{name}/{part}"][low : low + 2] for part in ("mean", "var"))
        return [(1 - share) * pair[0] + share * pair[1] for pair in pairs]

    def norm(name, x):
        mean, variance = statistics(name)
        scale = 1 + dense(weights, f"{name}/scale", condition)[:, None, None]
        offset = dense(weights, f"{name}/offset", condition)[:, None, None]
        return (x - mean) / np.sqrt(variance + 1e-4) * scale + offset

    def last_norm(name, x):
        mean, variance = statistics(name)
        x = (x - mean) / np.sqrt(variance + 1e-4)
        return x * weights[f"{name}/w"] + weights[f"{name}/b"]

    text = GEN_256 if size in (224, 256) else GEN_128
    images = biggan_body(weights, condition, text, norm, last_norm)
    return resize(images, size) if size in (224, 64) else images


def biggan_body(weights: Weights, z, text: str, norm, last_norm):
    x = dense(weights, "gen_z", z)
    x = tf.reshape(x, [-1, 4, 4, x.shape[1] // 16])
    number = 0
    for row, (upsamples, inputs, outputs) in enumerate(rows(text)):
        if row == 8:
            x = attention(weights, f"layers_out/{number}", x)
            number += 1
        name = f"layers_out/{number}"
        y = conv(weights, f"{name}/conv_0", relu(norm(f"{name}/bn_0", x)))
        y = relu(norm(f"{name}/bn_1", y))
        y = conv(weights, f"{name}/conv_1", nearest_up(y) if upsamples else y)
        y = conv(weights, f"{name}/conv_2", relu(norm(f"{name}/bn_2", y)))
        y = conv(weights, f"{name}/conv_3", relu(norm(f"{name}/bn_3", y)))
        x = x[..., : x.shape[-1] // 2] if inputs != outputs else x
        x = y + (nearest_up(x) if upsamples else x)
        number += 1
    return tf.tanh(conv(weights, "conv_to_rgb", relu(last_norm("bn", x)))[..., :3])


def wide_resnet(weights: Weights, x, depth: int):
    x = conv(weights, "conv1", x)
    for group in (1, 2, 3):
        for number in range((depth - 4) // 6):
            stride = 2 if group > 1 and number == 0 else 1
            name = f"layer{group}/{number}"
            y = conv(weights, f"{name}/conv_1", relu(batch_norm(weights, f"{name}/bn_1", x, 1e-5)))
            y = relu(batch_norm(weights, f"{name}/bn_2", y, 1e-5))
            if stride == 2:
                y = tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]])
            y = conv(weights, f"{name}/conv_2", y, stride, "VALID" if stride == 2 else "SAME")
            if f"{name}/shortcut/kernel" in weights:
                x = conv(weights, f"{name}/shortcut", x, stride)
            x = x + y
    x = relu(batch_norm(weights, "bn1", x, 1e-5))
    return dense(weights, "linear", tf.reduce_mean(x, [1, 2]))
