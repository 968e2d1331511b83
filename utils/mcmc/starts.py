"""Where chains start: the first content of banks and the images that rejuvenation brings in.

One rule for `train.py` and `train_longrun.py`, by `mcmc_init`. Noise and data come from the host;
generated images are made on the replicas.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from utils.config.checks import trains_generator
from utils.config.keys import BANK_INITS
from utils.data.streams import Dataset, TrainingStream, load_data
from utils.devices.memory import free_memory
from utils.errors import UserError
from utils.mcmc.banks import Bank, Start, bank_share
from utils.replicas import Replicas
from utils.seeds import Key, Purpose, fold, folded, folding_draw, host_rng

Generate = Callable[[tf.Tensor, tf.Tensor, bool], tf.Tensor]  # latents, key, training
HostSource = Callable[[int, int], list[np.ndarray]]  # update, retry -> images for each replica


class Sources(NamedTuple):
    """What a training run reads: the data set, its stream to learn on, and new chain states.

    `batches(update)` gives each local replica (b, h, w, c) data, `new_states(update, retry)` states
    of new chains. Where a generator makes either of them they are empty; without data `dataset` is
    None.
    """

    dataset: Dataset | None
    batches: Callable[[int], list[np.ndarray]]
    new_states: HostSource

    @property
    def datasets(self) -> list[Dataset]:
        """What must not change while a run goes on."""
        return [] if self.dataset is None else [self.dataset]


def open_sources(config: Mapping[str, Any], replicas: Replicas, scale: float = 1.0) -> Sources:
    """Open the data of a training run; new states of uniform noise have this scale.

    Raises UserError for data that are not there.
    """
    none = [np.zeros(0, np.float32)] * len(replicas.local)
    dataset = None if config["data_type"] == "generator" else load_data(config)
    new_states = make_host_source(config, dataset, replicas, scale) or (lambda update, retry: none)
    if dataset is None:
        return Sources(None, lambda update: none, new_states)
    stream = make_stream(config, dataset, replicas, Purpose.DATA)
    return Sources(dataset, stream.batches, new_states)


def make_stream(
    config: Mapping[str, Any], dataset: Dataset, replicas: Replicas, purpose: Purpose
) -> TrainingStream:
    """Return the shuffled stream of a purpose: `.batches(update)` for each local replica."""
    return TrainingStream(
        dataset,
        batch_size=replicas.batch,
        num_replicas=replicas.count,
        local_replicas=replicas.local,
        seed=config["seed"],
        purpose=purpose,
    )


def make_host_source(
    config: Mapping[str, Any], dataset: Dataset | None, replicas: Replicas, scale: float = 1.0
) -> HostSource | None:
    """Return (update, retry) -> each local replica's (b, h, w, c) new chain states; None for coop.

    `persistent` and `noise` give `scale` times uniform noise in [-1, 1]; `data` and
    `data_persistent` give batches of a shuffled stream that is independent of the one learned on.
    """
    if config["mcmc_init"].startswith("coop"):
        return None
    if config["mcmc_init"].startswith("data"):
        # A config of such chains has data.
        stream = make_stream(config, dataset, replicas, Purpose.CHAIN_DATA)  # pyright: ignore[reportArgumentType]
        return lambda update, retry: stream.batches(update)
    shape, factor = (replicas.batch, *config["image_dims"]), np.float32(scale)
    return lambda update, retry: [
        factor * _uniform(host_rng(config["seed"], Purpose.NOISE_IMAGES, update, r, retry), shape)
        for r in replicas.local
    ]


def create_banks(
    config: Mapping[str, Any],
    replicas: Replicas,
    gen: keras.Model | None,
    sources: Sources,
    *,
    empty: bool,
    size: str = "persistent_size",
) -> list[Bank]:
    """Return each local replica's bank of the config's `size`, filled unless it stays `empty`.

    Chains that do not persist (`coop`, `data`, `noise`) have a bank of one batch, wholly
    rejuvenated at every draw. A second bank goes on where the stream of the first one ended.
    """
    shares = bank_shares(config, replicas)
    share, first = shares[size], 0 if size == "persistent_size" else shares["persistent_size"]
    banks = [_empty_bank(config, share) for _ in replicas.local]
    if empty or config["mcmc_init"] not in BANK_INITS:
        return banks
    numbers = range(first // replicas.batch, (first + share) // replicas.batch)
    if config["mcmc_init"] == "persistent":
        scale = np.float32(config["persistent_init_scale"])
        for replica, bank in zip(replicas.local, banks, strict=True):
            rng = host_rng(config["seed"], Purpose.BANK_FILL, numbers.start, replica)
            bank.images = scale * _uniform(rng, bank.images.shape)
        return banks
    make = _batches_of_data if config["mcmc_init"].startswith("data") else _generated_batches
    for place, filled in enumerate(make(config, replicas, gen, sources, numbers)):
        rows = slice(place * replicas.batch, (place + 1) * replicas.batch)
        for bank, (images, *latents) in zip(banks, filled, strict=True):
            bank.images[rows] = images
            bank.latents[rows] = latents[0] if latents else 0
    return banks


def bank_shares(config: Mapping[str, Any], replicas: Replicas) -> dict[str, int]:
    """Return one replica's share of each bank of a run, by config key.

    Raises UserError for a bank without room for a batch, and for banks beyond the free memory.
    """
    sizes = {name: config[name] for name in ("persistent_size", "burnin_size") if name in config}
    if config["mcmc_init"] not in BANK_INITS:
        sizes = {"persistent_size": replicas.batch * replicas.count}
    shares = {n: bank_share(k, replicas.batch, replicas.count, n) for n, k in sizes.items()}
    latents = config["z_sz"] if config["mcmc_init"].startswith("coop") else 0
    place = 4 * (math.prod(config["image_dims"]) + latents) + 8 + 1  # a count and a flag
    needed, free = place * sum(shares.values()) * len(replicas.local), free_memory()
    if needed > free:
        names = sizes if config["mcmc_init"] in BANK_INITS else ("batch_size",)
        told = " and ".join(f"'{name}' {config[name]}" for name in names)
        raise UserError(
            f"{told}: the chains take {needed / 2**30:,.1f} GiB of memory, and "
            f"{free / 2**30:,.1f} GiB are free: choose fewer"
        )
    return shares


def rejuvenate(
    config: Mapping[str, Any], gen: keras.Model | None, key: Key, start: Start
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return images and latents of a start, its rejuvenated ones new where a generator makes them.

    (From noise or data the host has made them.) The generator runs once on all b latents, so that
    batch statistics are those of a whole batch; only the rejuvenated places take its images.
    """
    images, latents, chosen = start.images, start.latents, start.rejuvenated
    if gen is None or not config["mcmc_init"].startswith("coop"):
        return images, latents  # pyright: ignore[reportReturnType]  # on a device they are tensors
    seed, training = key(Purpose.LATENTS), config["gen_batch_norm"] and trains_generator(config)
    latents = tf.where(chosen[:, None], gen.sample_latents(tf.shape(latents)[0], seed), latents)
    generated = make_generate(gen, config["gen_type"])(latents, seed, training)
    return tf.where(chosen[:, None, None, None], generated, images), latents


def generate(config: Mapping[str, Any], gen: keras.Model | None, key: Key, batch: int) -> tf.Tensor:
    """Return new chain states where a frozen generator makes them, (b, h, w, c), else none."""
    if gen is None or not config["mcmc_init"].startswith("coop"):
        return tf.zeros((0, *config["image_dims"]))
    seed = key(Purpose.LATENTS)
    return make_generate(gen, config["gen_type"])(gen.sample_latents(batch, seed), seed, False)


def make_generate(gen: keras.Model, gen_type: str) -> Generate:
    """Return (latents (b, z), key, training) -> images (b, h, w, c).

    The conditional BigGAN draws uniform labels from `key` at every call.
    """
    if gen_type != "gen_biggan_cond":
        return lambda latents, key, training: gen(latents, training=training)

    def generate(latents: tf.Tensor, key: tf.Tensor, training: bool) -> tf.Tensor:
        labels = gen.sample_labels(tf.shape(latents)[0], folded(folding_draw(key), 1))
        return gen(latents, labels=labels, training=training)

    return generate


def draw_generator(config: Mapping[str, Any], gen: keras.Model, count: int) -> np.ndarray:
    """Return `count` generated images for pictures, of the same latents every time."""
    key = fold(config["seed"], Purpose.PLOTS)
    generate = make_generate(gen, config["gen_type"])
    return generate(gen.sample_latents(count, key), key, False).numpy()


def _empty_bank(config: Mapping[str, Any], share: int) -> Bank:
    """Return a bank of the right shapes for a state, or a first rejuvenation, to fill."""
    coop = config["mcmc_init"].startswith("coop")
    latents = np.zeros((share, config["z_sz"]), np.float32) if coop else None
    return Bank(np.zeros((share, *config["image_dims"]), np.float32), latents)


def _batches_of_data(
    config: Mapping[str, Any], replicas: Replicas, _, sources: Sources, numbers: range
) -> Iterator[list[tuple[np.ndarray]]]:
    """Yield each local replica's images, batch by batch."""
    # A config of such chains has data.
    stream = make_stream(config, sources.dataset, replicas, Purpose.BANK_FILL)  # pyright: ignore[reportArgumentType]
    for number in numbers:
        yield [(images,) for images in stream.batches(number)]


def _generated_batches(
    config: Mapping[str, Any], replicas: Replicas, gen: keras.Model, _, numbers: range
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Yield each local replica's images G(z) and latents z, batch by batch.

    With training=True for a generator that will be updated: this moves its batch-norm statistics.
    """
    generate, training = make_generate(gen, config["gen_type"]), trains_generator(config)

    def on_replica(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        key = fold(config["seed"], Purpose.BANK_FILL, numbers.start, number, replica)
        latents = gen.sample_latents(replicas.batch, key)
        return generate(latents, key, training), latents

    make_batch = replicas.each(on_replica)
    for place in range(len(numbers)):
        yield make_batch((place,))


def _uniform(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    return 2 * rng.random(shape, np.float32) - 1
