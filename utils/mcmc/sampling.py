"""How a chain runs: read from a config or a weights file, written into weights files, run."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from pydantic import TypeAdapter, ValidationError

from utils.config.record import Config
from utils.devices.pieces import by_pieces
from utils.errors import UserError
from utils.mcmc.langevin import Chain, Dynamics, langevin
from utils.mcmc.noise import BatchNoise
from utils.mcmc.potential import Potential, make_potential
from utils.weights.files import network_info


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Step size, temperatures, start and number of steps of chains.

    None in `tau`, `max_norm` and `prior_temperature` means: no Gaussian term, no clipping of the
    drift, no prior. `data_epsilon` is the standard deviation of the noise on the training data.
    """

    epsilon: float
    temperature: float
    init: str | None = None
    steps: int | None = None
    tau: float | None = None
    max_norm: float | None = None
    prior_temperature: float | None = None
    joint_temperature: float = 1.0
    data_epsilon: float = 0.0

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> "Sampling":
        """Return the sampling of a config of any script, without `steps`."""
        clips = config.get("clip_langevin_grad", False)
        return cls(
            epsilon=config["epsilon"],
            temperature=config["mcmc_temp"],
            init=config.get("mcmc_init"),
            tau=config["tau"],
            max_norm=config["max_langevin_norm"] if clips else None,
            prior_temperature=config["prior_temp"] if config["prior_weights"] else None,
            joint_temperature=config.get("joint_temp", 1.0),
            data_epsilon=config.get("data_epsilon") or 0.0,
        )

    @classmethod
    def of_weights(cls, path: str) -> "Sampling | None":
        """Return the sampling that an EBM was trained with, None if its weights record none.

        Raises UserError for a wrong record.
        """
        stored = (network_info(path) or {}).get("chain")
        if stored is None:
            return None
        try:
            return TypeAdapter(cls).validate_python(stored)
        except ValidationError as error:
            raise UserError(f"weights {path} record a chain that is damaged: {stored}") from error

    def written(self, steps: int) -> dict[str, Any]:
        """Return the record of a weights file, for chains of `steps` steps."""
        stored = dataclasses.asdict(self) | {"steps": steps}
        del stored["joint_temperature"]  # used by fid.py only
        return stored

    def potential(self, ebm: keras.Model, prior: keras.Model | None = None) -> Potential:
        """Return U: images (b, h, w, c) around [-1, 1] -> potentials (b,)."""
        return make_potential(
            ebm,
            self.temperature,
            prior=prior,
            prior_temperature=self.prior_temperature,
            tau=self.tau,
            joint_temperature=self.joint_temperature,
        )

    def chains(self, potential: Potential, pieces: int = 1) -> Callable[..., Chain]:
        """Return (images, num_steps, noise, ...) -> Chain: `langevin` in this potential.

        With more than one piece, `noise` must be a `BatchNoise`: each piece takes its rows.
        """
        dynamics = Dynamics(potential, self.epsilon, self.max_norm)
        chain = functools.partial(langevin, dynamics=dynamics)
        if pieces == 1:
            return chain

        def run(images: tf.Tensor, *, num_steps: tf.Tensor, noise: BatchNoise) -> Chain:
            ends = by_pieces(
                lambda number, own: chain(
                    own, num_steps=num_steps, noise=noise.piece(number, pieces)
                )[:2],
                pieces,
                images,
            )
            return Chain(*ends, path=None)

        return run


def run_both(
    run_chain: Callable[..., Chain],
    images: Sequence[tf.Tensor],
    noises: Sequence[BatchNoise],
    steps: Sequence[tf.Tensor],
    together: bool,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Run two sets of chains; return the ends of both, and the gradient norms of the first.

    `run_chain` takes images, number of steps and noise, as `Sampling.chains` returns it.
    `together` runs both sets as one batch, which needs equal numbers of steps: faster where a batch
    is one piece.
    """
    if together:
        ends, grad_norms, _ = run_chain(
            tf.concat(images, axis=0),
            num_steps=steps[0],
            noise=lambda step: tf.concat([noise(step) for noise in noises], axis=0),
        )
        samples, burnt = tf.split(ends, 2)
        return samples, burnt, tf.split(grad_norms, 2)[0]
    first, second = (
        run_chain(x, num_steps=count, noise=noise)
        for x, count, noise in zip(images, steps, noises, strict=True)
    )
    return first.images, second.images, first.grad_norms


def require_prior(ebm_weights: str, prior_weights: str | None) -> None:
    """Raise UserError for an EBM that corrects a prior but would run without one."""
    stored = Sampling.of_weights(ebm_weights)
    if stored is not None and stored.prior_temperature is not None and not prior_weights:
        raise UserError(
            f"weights {ebm_weights} are half of a potential, they correct a prior EBM: set "
            f"prior_weights, and prior_temp={stored.prior_temperature:g}"
        )


def resolve_sampling(config: Config, ebm_weights: str | None) -> Config:
    """Return the config, its open keys of sampling filled from the EBM's weights.

    `mcmc_steps` None takes the recorded number of steps; `epsilon` None takes step size,
    temperature, tau and clipping. Raises UserError for weights that record no chain.
    `data_epsilon` None takes the recorded value, else 0.
    """
    result = {}
    if ebm_weights:
        require_prior(ebm_weights, config["prior_weights"])
    stored = Sampling.of_weights(ebm_weights) if ebm_weights else None
    if config["data_epsilon"] is None:
        result["data_epsilon"] = 0.0 if stored is None else stored.data_epsilon
    if config["mcmc_steps"] is not None and config["epsilon"] is not None:
        return config | result
    if stored is None or config["mcmc_steps"] is stored.steps is None:
        mute = f"weights {ebm_weights} do not record the chain they were trained with"
        raise UserError(
            f"{mute if ebm_weights else 'no ebm_weights'}: "
            "set 'mcmc_steps', 'epsilon' and 'mcmc_temp'"
        )
    if config["mcmc_steps"] is None:
        result["mcmc_steps"] = stored.steps
    if config["epsilon"] is None:
        result |= {"epsilon": stored.epsilon, "mcmc_temp": stored.temperature, "tau": stored.tau}
        result["clip_langevin_grad"] = stored.max_norm is not None
        result["max_langevin_norm"] = stored.max_norm or config["max_langevin_norm"]
    return config | result
