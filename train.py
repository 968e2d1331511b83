"""Learn an energy-based model with Langevin chains: shortrun, midrun, and longrun's prior.

    python3 train.py configs/quickstart.py [--set KEY=VALUE ...]
    python3 train.py configs/quickstart.py --dry-run
    python3 train.py configs/quickstart.py --run-dir DIR
    python3 train.py --resume RUN_DIR [--set KEY=VALUE ...]

One update draws chain states from a bank, rejuvenates some of them, runs K Langevin steps, learns
the energy by maximum likelihood against these samples, trains the generator on them, and puts the
states back. How long chains run before they are rejuvenated decides what the model is for.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import utils.before_tensorflow

import numpy as np
import tensorflow as tf

from utils.config.keys import BANK_INITS
from utils.config.load import parse_command
from utils.errors import one_line_errors
from utils.images import NUM_SHOWN
from utils.learning.learners import row_at
from utils.learning.losses import learn_energy, learn_generator
from utils.learning.models import Models, create_models, make_positives, saved_networks, sized
from utils.mcmc import starts
from utils.mcmc.banks import Bank, Start, choose_rejuvenated
from utils.mcmc.langevin import share_saturated
from utils.mcmc.noise import make_noise
from utils.mcmc.sampling import Sampling
from utils.replicas import Replicas
from utils.report.pages import write_own_page
from utils.run.folder import Inputs
from utils.run.guard import rate_scale
from utils.run.plan import EBM_PLAN
from utils.run.training import Outcome, Training, dry_run
from utils.seeds import Key, Purpose, host_rng


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train the model of a config, or resume its training."""
    command = sized(parse_command("train", __doc__, argv))
    config, resuming = command.config, command.resuming

    # Devices, data, networks, chains.
    replicas = Replicas(config)
    sources = starts.open_sources(config, replicas)
    models = create_models(config, replicas, load_learned=not resuming)
    [bank] = starts.create_banks(config, replicas, models.gen, sources, empty=resuming)
    update = make_update(config, replicas, sources, models, bank)
    networks = saved_networks(config, models)
    inputs = Inputs(sources.datasets)
    if command.dry_run:
        dry_run(command, update, networks, inputs)
        return

    # Train.
    run = Training(
        command, replicas, models.parts() | bank.parts("bank"),
        networks=networks, inputs=inputs,
        plan=dataclasses.replace(EBM_PLAN, pictures=make_pictures(config, models, bank)),
    )  # fmt: skip
    if run.step == 0 and sources.dataset is not None:
        run.plot({"data": sources.batch(0)[:NUM_SHOWN]})
    for step in run.steps():
        run.after(step, update(step, run.retry))
    write_own_page(run)


def make_update(
    config: Mapping[str, Any],
    replicas: Replicas,
    sources: starts.Sources,
    models: Models,
    bank: Bank,
) -> Callable[[int, int], Outcome]:
    """Return the update, (step, retry) -> Outcome: the replicas' part, and the host's around it."""
    sampling = Sampling.of_config(config)
    chain = sampling.chains(sampling.potential(models.ebm.network, models.prior), replicas.pieces)
    positives = make_positives(config, models, replicas)
    burns_in = any(row[1] for row in config["mcmc_step_info"])

    def replica_update(key: Key, steps, burn_in, data: tf.Tensor, start: Start):
        with tf.GradientTape() as tape:  # the generator runs once, here, and learns below
            images, latents, generated = starts.rejuvenate(
                config, models.gen, key, start, replicas.pieces
            )
        if burns_in:  # the whole batch burns in, because TPUs need fixed shapes
            noise = make_noise(key(Purpose.BURN_IN), images, key.share)
            burnt = chain(images, num_steps=burn_in, noise=noise)
            images = tf.where(start.fresh[:, None, None, None], burnt.images, images)
        noise = make_noise(key(Purpose.CHAIN), images, key.share)
        samples, grad_norms, _ = chain(images, num_steps=steps, noise=noise)
        energy_diff = learn_energy(
            models.ebm, positives(key, data), samples,
            temperature=sampling.temperature, num_replicas=replicas.count, pieces=replicas.pieces,
        )  # fmt: skip
        gen_loss = learn_generator(models.gen_learner, tape, generated, samples, replicas.count)
        return (samples, latents), {
            "energy_diff": energy_diff,
            "grad_norm": tf.reduce_mean(grad_norms),
            "gen_loss": gen_loss,
            "saturated": tf.reduce_mean(share_saturated(samples)),
        }

    on_replicas = replicas.compile(replica_update, config["seed"], then=models.update_averages)

    def update(step: int, retry: int = 0) -> Outcome:
        steps, burn_in, probability, _ = row_at(config["mcmc_step_info"], step)
        rates = models.set_rates(step, rate_scale(retry))
        start = draw(config, sources, bank, probability, (step, retry))
        (samples, latents), metrics = on_replicas(
            (step, retry), (steps, burn_in), sources.batch(step), start
        )
        bank.put(start.slots, samples, latents, (start.age + 1) * ~start.rejuvenated)
        return Outcome(metrics | rates, steps + burn_in, samples)

    return update


def draw(
    config: Mapping[str, Any],
    sources: starts.Sources,
    bank: Bank,
    probability: float,
    step_and_retry: tuple[int, int],
) -> Start:
    """Draw states from the bank, and rejuvenate some of them by noise or data.

    New states of a generator are made on the replicas.
    """
    if config["mcmc_init"] not in BANK_INITS:
        probability = 1.0
    rng = host_rng(config["seed"], Purpose.BANK_DRAW, *step_and_retry)
    slots, images, latents, age, untouched = bank.draw(rng)
    draws = rng.random(config["batch_size"])[bank.shelves.positions]
    rejuvenated = choose_rejuvenated(age, probability, config["max_mcmc_updates"], draws)
    new = sources.new_states(*step_and_retry)
    if len(new):
        images[rejuvenated] = new[rejuvenated]
    return Start(slots, images, latents, age, rejuvenated, rejuvenated | untouched)


def make_pictures(
    config: Mapping[str, Any], models: Models, bank: Bank
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return samples -> the images to plot, by name: samples, bank and generator."""

    def pictures(samples: np.ndarray) -> dict[str, np.ndarray]:
        images = {"shortrun": samples[:NUM_SHOWN]}
        if config["mcmc_init"] in BANK_INITS:
            images["persistent"] = bank.images[:NUM_SHOWN]
        if models.gen is not None:
            images["generator"] = starts.draw_generator(config, models.gen, NUM_SHOWN)
        return images

    return pictures


if __name__ == "__main__":
    main()
