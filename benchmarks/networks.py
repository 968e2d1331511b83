"""Speed of the networks, compared with the published order of operations, in one run.

    python3 -m benchmarks.networks [--only ebm_sngan_32 ...] [--repeats 7] [--json PATH]

EBMs: image-steps/s, where a step computes energy and input gradient. Generators and classifier:
images/s. "As published" means: pooling after the convolutions, shortcuts that convolve large
images, all channels of BigGAN's last layer, and TensorFlow's own convolutions. The four variants
of a network take turns; rates are medians, with the best in brackets.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import utils.before_tensorflow

import keras
import numpy as np
import tensorflow as tf

from nets import create_clf, create_ebm, create_gen, layers, sngan
from utils.config.command_line import whole_number
from utils.errors import one_line_errors

# name: (type, image size, width or None for the published one, batch)
NETWORKS = {
    "ebm_sngan_32": ("ebm_sngan", 32, None, 16),
    "ebm_sngan_32, width 64": ("ebm_sngan", 32, 64, 32),
    "ebm_sngan_32, width 32": ("ebm_sngan", 32, 32, 32),
    "ebm_sngan_64": ("ebm_sngan", 64, None, 8),
    "ebm_sngan_128": ("ebm_sngan", 128, None, 2),
    "ebm_biggan_64": ("ebm_biggan", 64, None, 8),
    "ebm_biggan_128": ("ebm_biggan", 128, None, 4),
    "ebm_biggan_224": ("ebm_biggan", 224, None, 2),
    "gen_sngan_32": ("gen_sngan", 32, None, 16),
    "gen_sngan_64": ("gen_sngan", 64, None, 8),
    "gen_sngan_128": ("gen_sngan", 128, None, 4),
    "gen_biggan_64": ("gen_biggan", 64, None, 4),
    "gen_biggan_128": ("gen_biggan", 128, None, 2),
    "gen_biggan_cond_128": ("gen_biggan_cond", 128, None, 2),
    "gen_biggan_cond_256": ("gen_biggan_cond", 256, None, 1),
    "clf_wrn_28_10": ("wrn", 32, None, 16),
}
PRECISIONS = ("float32", "bfloat16")


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print one table row per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--repeats", type=whole_number(1), default=7)
    parser.add_argument("--json", type=Path, help="also write the rates to this file")
    arguments = parser.parse_args(argv)
    print("| network | batch | parameters | as published | ours | ratio | bf16 | ours | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    report = {}
    for name in arguments.only:
        report[name] = measure(*NETWORKS[name], repeats=arguments.repeats)
        print(table_row(name, report[name]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


def measure(kind: str, size: int, width: int | None, batch: int, *, repeats: int) -> dict[str, Any]:
    """Return batch, parameters, and the rates (median, best) of the variants of a network."""
    passes: dict[str, Callable] = {}
    for precision in PRECISIONS:
        model = create(kind, size, width, precision)
        with as_published():
            passes[f"{precision} as published"] = traced(model, kind, size, batch)
        passes[f"{precision} ours"] = traced(model, kind, size, batch)
    seconds: dict[str, list[float]] = {variant: [] for variant in passes}
    for _ in range(repeats):
        for variant, run in passes.items():
            start = time.perf_counter()
            run()
            seconds[variant].append(time.perf_counter() - start)
    rates = {v: (batch / float(np.median(s)), batch / min(s)) for v, s in seconds.items()}
    return {"batch": batch, "parameters": model.count_params(), "rates": rates}


def create(kind: str, size: int, width: int | None, precision: str) -> keras.Model:
    """Return a network of the table."""
    config = {"image_dims": [size, size, 3], "precision": precision}
    if kind == "wrn":
        return create_clf({**config, "num_classes": 10, "clf_width": width})
    if kind.startswith("ebm"):
        return create_ebm({**config, "net_type": kind, "ebm_width": width})
    return create_gen({**config, "gen_type": kind, "gen_width": width})


def traced(model: keras.Model, kind: str, size: int, batch: int) -> Callable[[], np.ndarray]:
    """Return a pass of the network over a fixed batch, which was traced and run once."""
    if kind.startswith("gen"):
        x = model.sample_latents(batch, tf.constant([0, 0]))
    else:
        x = tf.random.stateless_uniform([batch, size, size, 3], [0, 0], -1, 1)

    options = {"labels": tf.range(batch)} if kind == "gen_biggan_cond" else {}

    @tf.function(reduce_retracing=True)
    def step(x):
        if not kind.startswith("ebm"):
            return model(x, **options)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(model(x))
        return tape.gradient(total, x)

    step(x)
    return lambda: step(x).numpy()


@contextlib.contextmanager
def as_published() -> Iterator[None]:
    """Trace networks inside this context with the published order of operations."""
    replaced = {
        (layers, "conv_mean_pool"): lambda x, kernel: layers.mean_pool(
            tf.nn.conv2d(x, kernel, 1, "SAME")
        ),
        (layers, "conv_same"): lambda x, kernel, fused: tf.nn.conv2d(x, kernel, 1, "SAME"),
        (layers.Conv, "call"): convolve_all,
        (sngan.EbmBlock, "call"): published_ebm_block,
        (sngan.GenBlock, "call"): published_gen_block,
    }
    ours = {target: getattr(*target) for target in replaced}
    for target, function in replaced.items():
        setattr(*target, function)
    try:
        yield
    finally:
        for target, function in ours.items():
            setattr(*target, function)


def convolve_all(conv: layers.Conv, x: tf.Tensor) -> tf.Tensor:
    """`Conv.call`, which drops channels after computing them."""
    keep, conv.keep = conv.keep, None
    y = OUR_CONV_CALL(conv, x)
    conv.keep = keep
    return y[..., :keep] if keep else y


OUR_CONV_CALL = layers.Conv.call


def published_ebm_block(block: sngan.EbmBlock, x: tf.Tensor) -> tf.Tensor:
    """`EbmBlock.call`, with pooling after the convolution of the shortcut, except in the stem."""
    y = block.conv_2(tf.nn.relu(block.conv_1(x if block.is_stem else tf.nn.relu(x))))
    if block.is_stem:
        return y + block.sc(layers.mean_pool(x))
    x = block.sc(x) if block.sc else x
    return y + (layers.mean_pool(x) if block.down else x)


def published_gen_block(block: sngan.GenBlock, x: tf.Tensor, **_) -> tf.Tensor:
    """`GenBlock.call`, whose shortcut convolves the large image."""
    y = layers.upsample_bilinear(tf.nn.relu(block.bn_1(x)))
    y = block.conv_2(tf.nn.relu(block.bn_2(block.conv_1(y))))
    return y + block.sc(layers.upsample_bilinear(x))


def table_row(name: str, measured: dict[str, Any]) -> str:
    """Return a Markdown row: rates as median [best], and ratios of the medians."""
    cells = [name, str(measured["batch"]), f"{measured['parameters']:,}"]
    for precision in PRECISIONS:
        before, after = (measured["rates"][f"{precision} {v}"] for v in ("as published", "ours"))
        cells += [f"{median:.3g} [{best:.3g}]" for median, best in (before, after)]
        cells.append(f"{after[0] / before[0]:.2f}")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
