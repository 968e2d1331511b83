"""The networks of a training run: built, loaded, with their learners and their descriptions."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from utils.config.checks import trains_generator, uses_generator
from utils.config.load import Command
from utils.config.record import Config
from utils.learning.learners import Learner, Part, SavedNetwork, create_learner, row_at
from utils.mcmc.noise import make_noise
from utils.mcmc.sampling import Sampling
from utils.mcmc.starts import draw_latents, make_generate
from utils.replicas import Replicas
from utils.seeds import Key, Purpose
from utils.weights.files import locate
from utils.weights.networks import EBM, GENERATOR, create_prior, network_at, with_stored_sizes

WEIGHTS = ("ebm_weights", "gen_weights", "prior_weights")


@dataclasses.dataclass(frozen=True)
class Models:
    """The EBM, and the prior and generator that a config may ask for.

    `gen_learner` is None for a frozen generator; `prior` is always frozen.
    """

    ebm: Learner
    prior: keras.Model | None
    gen: keras.Model | None
    gen_learner: Learner | None

    @property
    def learners(self) -> list[Learner]:
        """The learners of the EBM and, if it is trained, of the generator."""
        return [self.ebm] if self.gen_learner is None else [self.ebm, self.gen_learner]

    def set_rates(self, update: int, scale: float) -> dict[str, float]:
        """Set and return the learning rates of an update, by the names of their metrics."""
        rates = {"ebm_lr": self.ebm.set_rate(update, scale), "gen_lr": 0.0}
        if self.gen_learner is not None:
            rates["gen_lr"] = self.gen_learner.set_rate(update, scale)
        return rates

    def update_averages(self) -> None:
        """Update the moving averages; call this in cross-replica context."""
        for learner in self.learners:
            if learner.average is not None:
                learner.average.update()

    def parts(self) -> dict[str, Part]:
        """Return the parts that must survive a resume; frozen weights are loaded from files."""
        parts = self.ebm.parts("ebm")
        if self.gen_learner is not None:
            parts |= self.gen_learner.parts("gen")
        return parts


def resolve_sizes(config: Config) -> Config:
    """Return the config with located weights, and the sizes of networks that these store."""
    result = with_stored_sizes(EBM, locate(config, WEIGHTS))
    if uses_generator(result):
        result = with_stored_sizes(GENERATOR, result)
    return result


def sized(command: Command) -> Command:
    """Return the command with located weights, for a new run also with the sizes they store."""
    config = command.config
    config = locate(config, WEIGHTS) if command.resuming else resolve_sizes(config)
    return dataclasses.replace(command, config=config)


def create_models(config: Mapping[str, Any], replicas: Replicas, *, load_learned: bool) -> Models:
    """Build the networks of a config on all replicas and load their weights.

    `load_learned` False loads no weights into networks that learn: a state will restore them.
    """
    gen, gen_learner = None, None
    learned = config if load_learned else {**config, "ebm_weights": "", "gen_weights": ""}
    with replicas.strategy.scope():
        ebm = _create_learner(config, network_at(EBM, learned), "ebm")
        if uses_generator(config):
            trains = trains_generator(config)
            gen = network_at(GENERATOR, learned if trains else config)
            gen_learner = _create_learner(config, gen, "gen") if trains else None
        prior = create_prior(config)
    return Models(ebm, prior, gen, gen_learner)


def make_positives(
    config: Mapping[str, Any], models: Models, replicas: Replicas
) -> Callable[[Key, tf.Tensor], tf.Tensor]:
    """Return (key, data (b, h, w, c)) -> positive samples: data plus `data_epsilon` noise.

    With `data_type` generator, G(z) takes the place of data.
    """
    gen = models.gen

    def positives(key: Key, data: tf.Tensor) -> tf.Tensor:
        if gen is not None and config["data_type"] == "generator":
            seed = key(Purpose.GENERATED_DATA)
            generate = make_generate(gen, replicas.pieces)
            latents = draw_latents(gen, seed, replicas.batch, key.share)
            data = generate(latents, seed, models.gen_learner is not None, key.share)
        data = tf.cast(data, models.ebm.network.variable_dtype)
        noise = make_noise(key(Purpose.DATA_NOISE), data, key.share)
        return data + config["data_epsilon"] * noise(0)

    return positives


def saved_networks(config: Mapping[str, Any], models: Models) -> dict[str, SavedNetwork]:
    """Return the networks that a run saves; names are the beginnings of their file names."""
    sampling, ebm = Sampling.of_config(config), models.ebm.network
    about = {"type": config["net_type"], "image_dims": config["image_dims"], "width": ebm.width}

    def about_ebm(update: int) -> dict[str, Any]:
        steps = row_at(config["mcmc_step_info"], update - 1)[0]
        return {**about, "chain": sampling.written(steps)}

    saved = {"ebm": SavedNetwork(ebm, models.ebm.average, about_ebm)}
    if models.gen is not None:
        about_gen = {"type": config["gen_type"], "image_dims": config["image_dims"]}
        about_gen |= {"width": models.gen.width, "z_sz": models.gen.z_sz}
        average = models.gen_learner.average if models.gen_learner is not None else None
        saved["gen"] = SavedNetwork(models.gen, average, lambda _: about_gen)
    return saved


def _create_learner(config: Mapping[str, Any], network: keras.Model, name: str) -> Learner:
    return create_learner(
        network,
        kind=config[f"{name}_optim_type"],
        rates=config[f"{name}_lr_info"],
        decay=config[f"{name}_opt_decay"],
        max_grad_norm=config["max_grad_norm"] if config[f"clip_{name}_grad"] else None,
    )
