"""Learn an energy-based model with Langevin chains: shortrun, midrun, and longrun's prior.

    python3 train.py configs/quickstart.py [--set KEY=VALUE ...] [--dry-run]
    python3 train.py --resume RUN_DIR [--set KEY=VALUE ...]

One update draws chain states from a bank, rejuvenates some of them, runs K Langevin steps, learns
the energy by maximum likelihood against these samples, lets the generator follow them, and puts
the states back. How long chains run before they are rejuvenated decides what the model is for.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from utils import starts
from utils.banks import Bank, bank_share, choose_rejuvenated
from utils.config import parse_command
from utils.data import Dataset, TrainingStream, load_data
from utils.devices import local_replicas, make_strategy, replica_batch, to_host, to_replicas
from utils.errors import one_line_errors
from utils.experiment import Outcome, Run, time_update
from utils.guard import rate_scale
from utils.keys import BANK_INITS
from utils.langevin import make_noise, share_saturated
from utils.models import (
    Models,
    create_models,
    make_positives,
    resolve_sizes,
    saved_networks,
)
from utils.optim import learn_energy, learn_generator, row_at
from utils.potential import create_potential, make_langevin
from utils.run_folder import require_same_inputs
from utils.seeds import Purpose, fold, host_rng

NUM_SHOWN = 64  # images in a picture


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    command = parse_command("train", __doc__, argv)
    strategy = make_strategy(command.config["device_type"], command.config["num_replicas"])
    resuming = command.run_dir is not None
    config = command.config if resuming else resolve_sizes(command.config)
    command = dataclasses.replace(command, config=config)
    batch = replica_batch(config["batch_size"], strategy)

    dataset = None if config["data_type"] == "generator" else load_data(config)
    data = dataset and starts.make_stream(config, dataset, batch, strategy, Purpose.DATA)
    new_states = starts.make_host_source(config, dataset, batch, strategy)
    models = create_models(config, strategy, load_learned=not resuming)
    banks = create_banks(config, models, dataset, batch, strategy, empty=resuming)
    update = make_update(config, models, banks, data, new_states, batch, strategy)
    networks = saved_networks(config, models)
    if command.dry_run:
        require_same_inputs(command, datasets=[dataset] if dataset else [])
        time_update(update, config["num_training_steps"], networks)
        return

    run = Run(
        command,
        strategy,
        parts={**models.parts(), **{f"bank_{number}": bank for number, bank in banks.items()}},
        networks=networks,
        pictures=make_pictures(config, models, banks),
        start_pictures={"data": data.batches(0)[0][:NUM_SHOWN]} if data and not resuming else {},
        datasets=[dataset] if dataset else [],
    )
    for number in run.updates():
        run.after(number, update(number, run.retry))


def create_banks(
    config: Mapping[str, Any],
    models: Models,
    dataset: Dataset | None,
    batch: int,
    strategy: tf.distribute.Strategy,
    *,
    empty: bool,
) -> dict[int, Bank]:
    """Return the bank of each local replica, by global number.

    Chains that do not persist (`coop`, `data`, `noise`) have a bank of one batch, wholly
    rejuvenated at every draw.
    """
    persistent = config["mcmc_init"] in BANK_INITS
    size = config["persistent_size"] if persistent else batch * strategy.num_replicas_in_sync
    share = bank_share(size, batch, strategy.num_replicas_in_sync)
    name = "persistent_size" if persistent else "batch_size"
    starts.require_memory(config, {name: share}, strategy)
    if empty or not persistent:
        banks = starts.empty_banks(config, share, strategy)
    else:
        banks = starts.fill_banks(
            config, share, batch, dataset=dataset, gen=models.gen,
            trains_gen=models.gen_learner is not None, strategy=strategy,
        )  # fmt: skip
    return dict(zip(local_replicas(strategy), banks, strict=True))


def make_update(
    config: Mapping[str, Any],
    models: Models,
    banks: Mapping[int, Bank],
    data: TrainingStream | None,
    new_states: starts.HostSource | None,
    batch: int,
    strategy: tf.distribute.Strategy,
) -> Callable[[int, int], Outcome]:
    """Return (number, retry) -> outcome, one update over all replicas and banks.

    `data` is None where the EBM learns on generated images, `new_states` where chains start anew
    from the generator.
    """
    replica_update = make_replica_update(config, models, batch, strategy.num_replicas_in_sync)

    @tf.function
    def on_replicas(place, inputs):
        samples, latents, metrics = strategy.run(replica_update, (*place, *inputs))
        for learner in models.learners:
            if learner.average is not None:
                learner.average.update()
        means = {name: strategy.reduce("MEAN", x, axis=None) for name, x in metrics.items()}
        return samples, latents, means

    def update(number: int, retry: int = 0) -> Outcome:
        steps, burn_in, probability, _ = row_at(config["mcmc_step_info"], number)
        rates = [learner.set_rate(number, rate_scale(retry)) for learner in models.learners]
        drawn = draw_starts(config, banks, batch, probability, number, retry)
        if new_states is not None:
            for start, images in zip(drawn, new_states(number, retry), strict=True):
                start.images[start.rejuvenated] = images[start.rejuvenated]
        batches = data.batches(number) if data else [np.zeros(0, np.float32)] * len(banks)
        inputs = [
            (images, start.images, start.latents, start.rejuvenated, start.fresh)
            for images, start in zip(batches, drawn, strict=True)
        ]
        place = tuple(tf.constant(x, tf.int32) for x in (number, retry, steps, burn_in))
        samples, latents, metrics = on_replicas(place, to_replicas(strategy, inputs))
        ends = to_host(strategy, (samples, latents))
        for bank, start, (images, z) in zip(banks.values(), drawn, ends, strict=True):
            bank.put(start.places, images, z, (start.counts + 1) * ~start.rejuvenated)
        metrics = {name: float(value) for name, value in metrics.items()}
        metrics |= {"ebm_lr": rates[0], "gen_lr": rates[1] if len(rates) > 1 else 0.0}
        return Outcome(metrics, steps + burn_in, ends[0][0])

    return update


class Start(NamedTuple):
    """What one replica's chains start from, and which of them start anew; see `banks.Drawn`."""

    places: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    counts: np.ndarray
    rejuvenated: np.ndarray
    fresh: np.ndarray


def draw_starts(
    config: Mapping[str, Any],
    banks: Mapping[int, Bank],
    batch: int,
    probability: float,
    number: int,
    retry: int,
) -> list[Start]:
    """Draw each replica's states and decide who is rejuvenated; fresh states will burn in."""
    if config["mcmc_init"] not in BANK_INITS:
        probability = 1.0
    drawn = []
    for replica, bank in banks.items():
        rng = host_rng(config["seed"], Purpose.BANK_DRAW, number, replica, retry)
        places, images, latents, counts, untouched = bank.draw(batch, rng)
        rejuvenated = choose_rejuvenated(counts, probability, config["max_mcmc_updates"], rng)
        fresh = rejuvenated | untouched
        drawn.append(Start(places, images, latents, counts, rejuvenated, fresh))
    return drawn


def make_replica_update(
    config: Mapping[str, Any], models: Models, batch: int, replicas: int
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]]:
    """Return the update of one replica, the algorithm itself: data and states in, samples out.

    Images are (b, h, w, 3) in [-1, 1], latents (b, z); `rejuvenated` and `fresh` are (b,) bool.
    """
    sample = make_sample(config, models)
    learn = make_learn(config, models, batch, replicas)

    def replica_update(number, retry, steps, burn_in, data, *start):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group

        def key(purpose: Purpose) -> tf.Tensor:
            return fold(config["seed"], purpose, number, replica, retry)

        samples, latents, grad_norm = sample(key, steps, burn_in, *start)
        energy_diff, gen_loss = learn(key, data, samples, latents)
        metrics = {
            "energy_diff": energy_diff,
            "grad_norm": grad_norm,
            "gen_loss": gen_loss,
            "saturated": tf.reduce_mean(share_saturated(samples)),
        }
        return samples, latents, metrics

    return replica_update


def make_sample(
    config: Mapping[str, Any], models: Models
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Return the MCMC part of an update: states to samples, their latents, and |drift|."""
    generate = models.gen and starts.make_generate(models.gen, config["gen_type"])
    burns_in = any(row[1] for row in config["mcmc_step_info"])
    run_chain = make_langevin(config, create_potential(config, models.ebm.network, models.prior))

    def sample(key, steps, burn_in, images, latents, rejuvenated, fresh):
        # Rejuvenate from the generator (from noise or data, the host has done it).
        if config["mcmc_init"].startswith("coop"):
            images, latents = starts.renew(
                images, latents, rejuvenated, gen=models.gen, generate=generate,
                key=key(Purpose.LATENTS),
                training=config["gen_batch_norm"] and models.gen_learner is not None,
            )  # fmt: skip

        # Burn in what is new. The whole batch runs, so that shapes stay fixed (TPUs need that).
        if burns_in:
            noise = make_noise(key(Purpose.BURN_IN), images)
            burnt = run_chain(images, num_steps=burn_in, noise=noise).images
            images = tf.where(fresh[:, None, None, None], burnt, images)

        noise = make_noise(key(Purpose.CHAIN), images)
        samples, grad_norms, _ = run_chain(images, num_steps=steps, noise=noise)
        return samples, latents, tf.reduce_mean(grad_norms)

    return sample


def make_learn(
    config: Mapping[str, Any], models: Models, batch: int, replicas: int
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Return the learning part of an update: energy difference and the generator's loss."""
    prepare = make_positives(config, models, batch)

    def learn(key, data, samples, latents):
        energy_diff = learn_energy(
            models.ebm,
            prepare(key, data),
            samples,
            temperature=config["mcmc_temp"],
            num_replicas=replicas,
        )

        # The generator follows the samples.
        gen_loss = tf.constant(0.0)
        if models.gen_learner is not None:
            gen_loss = learn_generator(
                models.gen_learner, latents, samples,
                training=config["gen_batch_norm"], num_replicas=replicas,
            )  # fmt: skip
        return energy_diff, gen_loss

    return learn


def make_pictures(
    config: Mapping[str, Any], models: Models, banks: Mapping[int, Bank]
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return samples -> the images to draw by name: samples, bank and generator."""
    first_bank = next(iter(banks.values()))

    def pictures(samples: np.ndarray) -> dict[str, np.ndarray]:
        images = {"shortrun": samples[:NUM_SHOWN]}
        if config["mcmc_init"] in BANK_INITS:
            images["persistent"] = first_bank.images[:NUM_SHOWN]
        if models.gen is not None:
            images["generator"] = starts.draw_generator(config, models.gen, NUM_SHOWN)
        return images

    return pictures


if __name__ == "__main__":
    main()
