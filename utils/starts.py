"""Where chains start: the first content of banks and the images that rejuvenation brings in.

One rule for `train.py` and `train_longrun.py`, by `mcmc_init`. Noise and data come from the host;
generated images are made on the replicas.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.banks import Bank
from utils.data import Dataset, TrainingStream
from utils.devices import local_replicas, to_host
from utils.errors import UserError
from utils.memory import free_memory
from utils.seeds import Purpose, fold, folded, folding_draw, host_rng

Generate = Callable[[tf.Tensor, tf.Tensor, bool], tf.Tensor]  # latents, key, training
HostSource = Callable[[int, int], list[np.ndarray]]  # update, retry -> images for each replica


def make_generate(gen: keras.Model, gen_type: str) -> Generate:
    """Return (latents (b, z), key, training) -> images (b, h, w, 3).

    The conditional BigGAN draws uniform labels from `key` at every call.
    """
    if gen_type != "gen_biggan_cond":
        return lambda latents, key, training: gen(latents, training=training)

    def generate(latents: tf.Tensor, key: tf.Tensor, training: bool) -> tf.Tensor:
        labels = gen.sample_labels(tf.shape(latents)[0], folded(folding_draw(key), 1))
        return gen(latents, labels=labels, training=training)

    return generate


def make_stream(
    config: Mapping[str, Any],
    dataset: Dataset,
    batch: int,
    strategy: tf.distribute.Strategy,
    purpose: Purpose,
) -> TrainingStream:
    """Return the shuffled stream of a purpose: `.batches(update)` for each local replica."""
    return TrainingStream(
        dataset,
        batch_size=batch,
        num_replicas=strategy.num_replicas_in_sync,
        local_replicas=local_replicas(strategy),
        seed=config["seed"],
        purpose=purpose,
    )


def make_host_source(
    config: Mapping[str, Any],
    dataset: Dataset | None,
    batch: int,
    strategy: tf.distribute.Strategy,
    scale: float = 1.0,
) -> HostSource | None:
    """Return (update, retry) -> each local replica's (b, h, w, 3) new chain states; None for coop.

    `persistent` and `noise` give `scale` times uniform noise in [-1, 1]; `data` and
    `data_persistent` give batches of a shuffled stream that is independent of the one learned on.
    """
    if config["mcmc_init"].startswith("coop"):
        return None
    replicas = local_replicas(strategy)
    if config["mcmc_init"].startswith("data"):
        stream = make_stream(config, dataset, batch, strategy, Purpose.CHAIN_DATA)
        return lambda update, retry: stream.batches(update)
    shape, scale = (batch, *config["image_dims"]), np.float32(scale)
    return lambda update, retry: [
        scale * _uniform(host_rng(config["seed"], Purpose.NOISE_IMAGES, update, r, retry), shape)
        for r in replicas
    ]


def fill_banks(
    config: Mapping[str, Any],
    share: int,
    batch: int,
    *,
    dataset: Dataset | None,
    gen: keras.Model | None,
    trains_gen: bool,
    strategy: tf.distribute.Strategy,
    first: int = 0,
) -> list[Bank]:
    """Return each local replica's filled bank of `share` places, `share / batch` batches.

    `first` is the number of its first batch: a second bank goes on where the first one ended.

    `persistent`: `persistent_init_scale` times uniform noise. `data_persistent`: data. Coop:
    latents z and G(z), made in batches of `batch`, with training=True for a generator that is
    trained (this moves its batch-norm statistics).
    """
    replicas = local_replicas(strategy)
    if config["mcmc_init"].startswith("coop"):
        generate = make_generate(gen, config["gen_type"])
        return _generated_banks(
            config, gen, generate, strategy,
            share=share, batch=batch, training=trains_gen, first=first,
        )  # fmt: skip
    if config["mcmc_init"].startswith("data"):
        stream = make_stream(config, dataset, batch, strategy, Purpose.BANK_FILL)
        banks = empty_banks(config, share, strategy)
        for i in range(share // batch):
            for bank, images in zip(banks, stream.batches(first + i), strict=True):
                bank.images[i * batch : (i + 1) * batch] = images
        return banks
    shape, scale = (share, *config["image_dims"]), np.float32(config["persistent_init_scale"])
    return [
        Bank(scale * _uniform(host_rng(config["seed"], Purpose.BANK_FILL, first, r), shape))
        for r in replicas
    ]


def require_memory(
    config: Mapping[str, Any], shares: Mapping[str, int], strategy: tf.distribute.Strategy
) -> None:
    """Raise UserError unless memory is free for banks of a replica's `shares`, by config key."""
    latents = config["z_sz"] if config["mcmc_init"].startswith("coop") else 0
    place = 4 * (math.prod(config["image_dims"]) + latents) + 8 + 1  # a count and a flag
    needed, free = place * sum(shares.values()) * len(local_replicas(strategy)), free_memory()
    if needed > free:
        sizes = " and ".join(f"'{name}' {config[name]}" for name in shares)
        raise UserError(
            f"{sizes}: the chains take {needed / 2**30:,.1f} GiB of memory, and "
            f"{free / 2**30:,.1f} GiB are free: choose fewer"
        )


def empty_banks(
    config: Mapping[str, Any], share: int, strategy: tf.distribute.Strategy
) -> list[Bank]:
    """Return banks of the right shapes for a state, or a first rejuvenation, to fill."""
    shape = (share, *config["image_dims"])
    coop = config["mcmc_init"].startswith("coop")
    return [
        Bank(
            np.zeros(shape, np.float32),
            np.zeros((share, config["z_sz"]), np.float32) if coop else None,
        )
        for _ in local_replicas(strategy)
    ]


def draw_generator(config: Mapping[str, Any], gen: keras.Model, count: int) -> np.ndarray:
    """Return `count` generated images for pictures, of the same latents every time."""
    key = fold(config["seed"], Purpose.PLOTS)
    generate = make_generate(gen, config["gen_type"])
    return generate(gen.sample_latents(count, key), key, False).numpy()


def renew(
    images: tf.Tensor,
    latents: tf.Tensor,
    chosen: tf.Tensor,
    *,
    gen: keras.Model,
    generate: Generate,
    key: tf.Tensor,
    training: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Give the `chosen` (b,) places new latents and the generator's images.

    The generator runs once on all b latents, so that batch statistics are those of a whole batch;
    only the chosen places take its images.
    """
    latents = tf.where(chosen[:, None], gen.sample_latents(tf.shape(latents)[0], key), latents)
    generated = generate(latents, key, training)
    return tf.where(chosen[:, None, None, None], generated, images), latents


def _generated_banks(
    config, gen, generate, strategy, *, share, batch, training, first
) -> list[Bank]:
    @tf.function
    def make_batch(number: tf.Tensor):
        def on_replica():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            key = fold(config["seed"], Purpose.BANK_FILL, first, number, replica)
            latents = gen.sample_latents(batch, key)
            return generate(latents, key, training), latents

        return strategy.run(on_replica)

    banks = empty_banks(config, share, strategy)
    for i in range(share // batch):
        rows = slice(i * batch, (i + 1) * batch)
        generated = to_host(strategy, make_batch(tf.constant(i)))
        for bank, (images, latents) in zip(banks, generated, strict=True):
            bank.images[rows], bank.latents[rows] = images, latents
    return banks


def _uniform(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    return 2 * rng.random(shape, np.float32) - 1
