"""Where chains start: the first contents of banks, and the new images of rejuvenation.

`train.py` and `train_longrun.py` follow the same rule, by `mcmc_init`. Noise and data come from the
host; the replicas generate images.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from nets.layers import static_shape
from utils.config.checks import trains_generator
from utils.config.keys import BANK_INITS
from utils.data.streams import Dataset, TrainingStream, load_data
from utils.devices.memory import free_memory
from utils.devices.pieces import by_pieces, joined, split
from utils.errors import UserError
from utils.mcmc.banks import Bank, Shelves, Start, make_shelves
from utils.replicas import Replicas
from utils.seeds import WHOLE, Key, Purpose, Share, fold, folded, folding_draw, host_rng

Generate = Callable[..., tf.Tensor]  # latents, seed, training, share of the whole batch, moves
HostSource = Callable[[int, int], np.ndarray]  # update, retry -> images of this process's positions
Filling = Callable[[int], tuple[np.ndarray, ...]]  # layer of a bank -> images, perhaps latents


class Sources(NamedTuple):
    """What a training run reads: the data set, a batch per update, and new chain states.

    `batch(update)` gives data (b, h, w, c) in [-1, 1] for this process's positions of the whole
    batch, `new_states(update, retry)` states of new chains. Both are empty where a generator makes
    these images; without data `dataset` is None.
    """

    dataset: Dataset | None
    batch: Callable[[int], np.ndarray]
    new_states: HostSource

    @property
    def datasets(self) -> list[Dataset]:
        """The data sets, which must not change between the parts of a run."""
        return [] if self.dataset is None else [self.dataset]


def open_sources(config: Mapping[str, Any], replicas: Replicas, scale: float = 1.0) -> Sources:
    """Open the data of a training run; `scale` multiplies new states of uniform noise.

    Raises UserError for missing data.
    """
    none = np.zeros(0, np.float32)
    dataset = None if config["data_type"] == "generator" else load_data(config)
    new_states = make_host_source(config, dataset, replicas, scale) or (lambda update, retry: none)
    if dataset is None:
        return Sources(None, lambda update: none, new_states)
    stream = make_stream(config, dataset, replicas, Purpose.DATA)
    return Sources(dataset, stream.batch, new_states)


def make_stream(
    config: Mapping[str, Any], dataset: Dataset, replicas: Replicas, purpose: Purpose
) -> TrainingStream:
    """Return the shuffled stream of a purpose, for this process's positions of the batch."""
    return TrainingStream(
        dataset,
        batch_size=replicas.batch_size,
        positions=replicas.positions,
        seed=config["seed"],
        purpose=purpose,
    )


def make_host_source(
    config: Mapping[str, Any], dataset: Dataset | None, replicas: Replicas, scale: float = 1.0
) -> HostSource | None:
    """Return (update, retry) -> new chain states (b, h, w, c) of this process; None for coop.

    `persistent` and `noise` give `scale` times uniform noise in [-1, 1]. `data` and
    `data_persistent` give batches of a shuffled stream, independent of the one for learning.
    """
    if config["mcmc_init"].startswith("coop"):
        return None
    if config["mcmc_init"].startswith("data"):
        # Chains that start at data have a data set.
        stream = make_stream(config, dataset, replicas, Purpose.CHAIN_DATA)  # pyright: ignore[reportArgumentType]
        return lambda update, retry: stream.batch(update)
    return lambda update, retry: _uniform(
        config, replicas, scale, Purpose.NOISE_IMAGES, update, retry
    )


def create_banks(
    config: Mapping[str, Any],
    replicas: Replicas,
    gen: keras.Model | None,
    sources: Sources,
    *,
    empty: bool,
) -> list[Bank]:
    """Return this process's shelves of the banks of a run, filled unless `empty`.

    The bank of `persistent_size` comes first, then that of `burnin_size` if the config has it. The
    stream that fills it begins where that of the first bank ends. Chains that do not persist
    (`coop`, `data`, `noise`) have a bank of one batch, which is wholly rejuvenated at every draw.
    """
    banks = [_empty_bank(config, own) for own in bank_shelves(config, replicas).values()]
    if empty or config["mcmc_init"] not in BANK_INITS:
        return banks
    fill, filled = make_filling(config, replicas, gen, sources), 0
    for bank in banks:
        for layer in range(bank.shelves.layers):
            rows = bank.shelves.rows(layer)
            arrays = (bank.images, bank.latents)
            for array, values in zip(arrays, fill(filled + layer), strict=False):
                array[rows] = values[: rows.stop - rows.start]
        filled += bank.shelves.layers
    return banks


def bank_shelves(config: Mapping[str, Any], replicas: Replicas) -> dict[str, Shelves]:
    """Return this process's shelves of each bank of a run, by config key.

    Raises UserError for a bank smaller than the batch, and for banks larger than the free memory.
    """
    sizes = {name: config[name] for name in ("persistent_size", "burnin_size") if name in config}
    if config["mcmc_init"] not in BANK_INITS:
        sizes = {"persistent_size": replicas.batch_size}
    batch = (replicas.batch_size, replicas.positions)
    shelves = {name: make_shelves(size, *batch, name) for name, size in sizes.items()}
    latents = config["z_sz"] if config["mcmc_init"].startswith("coop") else 0
    slot = 4 * (math.prod(config["image_dims"]) + latents) + 8 + 1  # bytes, with count and flag
    needed, free = slot * sum(own.num_slots for own in shelves.values()), free_memory()
    if needed > free:
        names = sizes if config["mcmc_init"] in BANK_INITS else ("batch_size",)
        named = " and ".join(f"'{name}' {config[name]}" for name in names)
        raise UserError(
            f"{named}: the chains need {needed / 2**30:,.1f} GiB of memory, but "
            f"{free / 2**30:,.1f} GiB are free: choose fewer"
        )
    return shelves


def rejuvenate(
    config: Mapping[str, Any], gen: keras.Model | None, key: Key, start: Start, pieces: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """Return images (b, h, w, c) and latents (b, z) of a start, rejuvenated by the generator.

    The third value is all images (b, h, w, c) of the generator. It runs once, on all b latents, so
    that batch statistics are those of a whole batch; only rejuvenated chains take its images. It
    learns from all of them, and its moving averages take the step of this learning here, too.
    Without a generator the host has rejuvenated the images, and the third value is None.
    """
    images, latents, chosen = start.images, start.latents, start.rejuvenated
    if gen is None or not config["mcmc_init"].startswith("coop"):
        return images, latents, None  # pyright: ignore[reportReturnType]  # on a device: tensors
    seed, training = key(Purpose.LATENTS), config["gen_batch_norm"] and trains_generator(config)
    drawn = draw_latents(gen, seed, latents.shape[0], key.share)
    latents = tf.where(chosen[:, None], drawn, latents)
    generate = make_generate(gen, pieces)
    generated = generate(latents, seed, training, key.share, moves=2)
    return tf.where(chosen[:, None, None, None], generated, images), latents, generated


def generate_states(
    config: Mapping[str, Any], gen: keras.Model | None, key: Key, replicas: Replicas
) -> tf.Tensor:
    """Return new chain states (b, h, w, c) of a frozen generator; 0 rows without a generator."""
    if gen is None or not config["mcmc_init"].startswith("coop"):
        return tf.zeros((0, *config["image_dims"]))
    seed = key(Purpose.LATENTS)
    latents = draw_latents(gen, seed, replicas.batch, key.share)
    return make_generate(gen, replicas.pieces)(latents, seed, False, key.share)


def draw_latents(gen: keras.Model, seed: tf.Tensor, batch: int, share: Share = WHOLE) -> tf.Tensor:
    """Return the latents (batch, z) of a share of the whole batch, from a (2,) seed."""
    return share.rows(lambda count: gen.sample_latents(count, seed), batch)


def make_generate(gen: keras.Model, pieces: int = 1) -> Generate:
    """Return (latents (b, z), seed, training, share, moves) -> images (b, h, w, c) in [-1, 1].

    The work is done in pieces. Conditional generators draw uniform labels from `seed`, by `share`.
    In training, batch statistics are those of all pieces, and moving averages take `moves` steps
    towards them.
    """

    def generate(
        latents: tf.Tensor, seed: tf.Tensor, training: bool, share: Share = WHOLE, moves: int = 1
    ) -> tf.Tensor:
        if training:
            return joined(gen(split(latents, pieces), training=True, moves=moves))
        labels = []
        if hasattr(gen, "sample_labels"):
            of_labels, (batch, _) = folded(folding_draw(seed), 1), static_shape(latents)
            labels = [share.rows(lambda count: gen.sample_labels(count, of_labels), batch)]
        return by_pieces(lambda number, *own: gen(*own, training=False), pieces, latents, *labels)

    return generate


def draw_generator(config: Mapping[str, Any], gen: keras.Model, count: int) -> np.ndarray:
    """Return `count` generated images for pictures, always from the same latents."""
    key = fold(config["seed"], Purpose.PLOTS)
    generate = make_generate(gen)
    return generate(gen.sample_latents(count, key), key, False).numpy()


def make_filling(
    config: Mapping[str, Any], replicas: Replicas, gen: keras.Model | None, sources: Sources
) -> Filling:
    """Return layer -> images (and latents for coop) at this process's positions of the layer.

    A generator that will be updated runs with training=True, which moves its batch statistics.
    """
    if config["mcmc_init"] == "persistent":
        scale = config["persistent_init_scale"]
        return lambda layer: (_uniform(config, replicas, scale, Purpose.BANK_FILL, layer),)
    if config["mcmc_init"].startswith("data"):
        # Chains that start at data have a data set.
        stream = make_stream(config, sources.dataset, replicas, Purpose.BANK_FILL)  # pyright: ignore[reportArgumentType]
        return lambda layer: (stream.batch(layer),)
    generate = make_generate(gen, replicas.pieces)
    training = trains_generator(config)

    def on_replica(key: Key) -> tuple[tuple[tf.Tensor, tf.Tensor], dict]:
        seed = key(Purpose.BANK_FILL)
        latents = draw_latents(gen, seed, replicas.batch, key.share)
        return (generate(latents, seed, training, key.share), latents), {}

    on_replicas = replicas.compile(on_replica, config["seed"])
    return lambda layer: on_replicas((layer, 0), ())[0]


def _empty_bank(config: Mapping[str, Any], shelves: Shelves) -> Bank:
    """Return a bank of zeros, to be filled by a state or by the first rejuvenation."""
    coop, count = config["mcmc_init"].startswith("coop"), shelves.num_slots
    latents = np.zeros((count, config["z_sz"]), np.float32) if coop else None
    dtype = np.float64 if config["precision"] == "float64" else np.float32
    return Bank(shelves, np.zeros((count, *config["image_dims"]), dtype), latents)


def _uniform(
    config: Mapping[str, Any], replicas: Replicas, scale: float, purpose: Purpose, *indices: int
) -> np.ndarray:
    """Return `scale` times uniform noise in [-1, 1], the rows of this process's positions."""
    shape = (replicas.batch_size, *config["image_dims"])
    noise = 2 * host_rng(config["seed"], purpose, *indices).random(shape, np.float32) - 1
    return np.float32(scale) * noise[replicas.positions]
