"""Learn a density that lasts: an energy-based model that corrects a prior, on burnt-in chains.

    python3 train_longrun.py configs_lr/emoji32_conv.py [--set KEY=VALUE ...]
    python3 train_longrun.py configs_lr/emoji32_conv.py --dry-run
    python3 train_longrun.py configs_lr/emoji32_conv.py --run-dir DIR
    python3 train_longrun.py --resume RUN_DIR [--set KEY=VALUE ...]

The potential is the sum of a frozen prior EBM (learned by `train.py`) and the EBM learned here.
Chains start in a burn-in bank; nothing is learned from them there. Chains that were drawn often
enough to be near the steady state move to the update bank, which gives the negative samples.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import utils.before_tensorflow

import numpy as np
import tensorflow as tf

from utils.config.load import parse_command
from utils.errors import one_line_errors
from utils.files.whole import join
from utils.images import NUM_SHOWN
from utils.learning.learners import row_at
from utils.learning.losses import learn_energy
from utils.learning.models import Models, create_models, make_positives, saved_networks, sized
from utils.mcmc import starts
from utils.mcmc.banks import Bank, Drawn, redraw_counts
from utils.mcmc.langevin import share_saturated
from utils.mcmc.noise import make_noise
from utils.mcmc.sampling import Sampling, run_both
from utils.replicas import Replicas
from utils.report.pages import write_own_page
from utils.run import plots
from utils.run.folder import Inputs
from utils.run.guard import LIMITS, rate_scale
from utils.run.plan import EBM_PLAN, Plan
from utils.run.training import Outcome, Training, dry_run
from utils.seeds import Key, Purpose, host_rng


class Banks(NamedTuple):
    """The two banks of a process.

    `burn_in` counts the draws of an image, `update` the Langevin steps that it has taken. When a
    row of the schedule begins, the images of the burn-in bank get random counts, so that images
    leave it steadily. Until these have passed, `update` credits steps that were not taken.
    """

    update: Bank
    burn_in: Bank

    def parts(self) -> dict[str, Bank]:
        """Return the banks as parts of a state, by name."""
        return self.update.parts("bank") | self.burn_in.parts("burnin")


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train the model of a config, or resume its training."""
    command = sized(parse_command("train_longrun", __doc__, argv))
    config, resuming = command.config, command.resuming

    # Devices, data, networks, chains.
    replicas = Replicas(config)
    sources = starts.open_sources(config, replicas, config["persistent_init_scale"])
    models = create_models(config, replicas, load_learned=not resuming)
    banks = create_banks(config, replicas, models, sources, empty=resuming)
    update = make_update(config, replicas, sources, models, banks)
    networks = saved_networks(config, models)
    inputs = Inputs(sources.datasets)
    if command.dry_run:
        dry_run(command, update, networks, inputs)
        return

    # Train.
    run = Training(
        command, replicas, models.parts() | banks.parts(),
        networks=networks, plan=make_plan(config, banks), inputs=inputs,
    )  # fmt: skip
    if run.step == 0 and sources.dataset is not None:
        run.plot({"data": sources.batch(0)[:NUM_SHOWN]})
    for step in run.steps():
        run.after(step, update(step, run.retry))
    write_own_page(run)


def create_banks(
    config: Mapping[str, Any],
    replicas: Replicas,
    models: Models,
    sources: starts.Sources,
    *,
    empty: bool,
) -> Banks:
    """Return this process's shelves of both banks; they share no image and keep no latents."""
    banks = starts.create_banks(config, replicas, models.gen, sources, empty=empty)
    return Banks(*(Bank(bank.shelves, bank.images) for bank in banks))


def make_update(
    config: Mapping[str, Any],
    replicas: Replicas,
    sources: starts.Sources,
    models: Models,
    banks: Banks,
) -> Callable[[int, int], Outcome]:
    """Return the update, (step, retry) -> Outcome: the replicas' part, and the host's around it."""
    sampling = Sampling.of_config(config)
    chain = sampling.chains(sampling.potential(models.ebm.network, models.prior), replicas.pieces)
    positives = make_positives(config, models, replicas)

    def replica_update(key: Key, steps, burn_in, together, data: tf.Tensor, drawn):
        of_update, of_burn_in = drawn
        purposes = (Purpose.CHAIN, Purpose.BURN_IN)
        noises = [make_noise(key(purpose), of_update.images, key.share) for purpose in purposes]
        samples, burnt, grad_norms = run_both(
            chain, (of_update.images, of_burn_in.images), noises, (steps, burn_in), together
        )
        # The energy learns from the samples of the update bank; the prior stays as it is.
        energy_diff = learn_energy(
            models.ebm, positives(key, data), samples,
            temperature=sampling.temperature, num_replicas=replicas.count, pieces=replicas.pieces,
        )  # fmt: skip
        new = starts.generate_states(config, models.gen, key, replicas)
        return (samples, burnt, new), {
            "energy_diff": energy_diff,
            "grad_norm": tf.reduce_mean(grad_norms),
            "saturated": tf.reduce_mean(share_saturated(samples)),
            "chain_steps": tf.reduce_mean(tf.cast(of_update.counts, tf.float32))
            + tf.cast(steps, tf.float32),
        }

    on_replicas = replicas.compile(replica_update, config["seed"], then=models.update_averages)

    def update(step: int, retry: int = 0) -> Outcome:
        row = row_at(config["mcmc_step_info"], step)
        steps, burn_in, _, _ = row
        rates = models.set_rates(step, rate_scale(retry))
        drawn = draw(config, banks, row, step, retry)
        scalars = (steps, burn_in, steps == burn_in and replicas.pieces == 1)
        (samples, burnt, generated), metrics = on_replicas(
            (step, retry), scalars, sources.batch(step), drawn
        )
        new = sources.new_states(step, retry)
        put_back(banks, drawn, (samples, burnt, new if len(new) else generated), row)
        return Outcome(metrics | rates, steps + burn_in, samples)

    return update


def draw(
    config: Mapping[str, Any], banks: Banks, row: Sequence[int], step: int, retry: int
) -> tuple[Drawn, Drawn]:
    """Draw states from both banks; where the schedule's row begins, first redraw the counts."""
    _, _, threshold, begins = row
    if step == begins:  # true for the first row too
        rng = host_rng(config["seed"], Purpose.BURN_IN_COUNTS, step, retry)
        redraw_counts(banks.burn_in, threshold, rng)
    rng = host_rng(config["seed"], Purpose.BANK_DRAW, step, retry)
    return banks.update.draw(rng), banks.burn_in.draw(rng)


def put_back(
    banks: Banks, drawn: tuple[Drawn, Drawn], ends: Sequence[np.ndarray], row: Sequence[int]
) -> None:
    """Put the ends of the chains back, and move burnt-in images to the update bank.

    `ends` are samples, burnt images and new images, (b, h, w, c) each; `row` is a row of the
    schedule. A burnt image with a count of `threshold` replaces the sample at its position of the
    batch, and a new image takes its slot in the burn-in bank.
    """
    samples, burnt, new = ends
    of_update, of_burn_in = drawn
    steps, burn_in, threshold, _ = row
    moved = of_burn_in.counts >= threshold
    choose = moved[:, np.newaxis, np.newaxis, np.newaxis]
    taken, draws = of_update.counts + steps, of_burn_in.counts + 1
    banks.update.put(
        of_update.slots,
        np.where(choose, burnt, samples),
        of_update.latents,
        np.where(moved, draws * burn_in, taken),
    )
    banks.burn_in.put(
        of_burn_in.slots, np.where(choose, new, burnt), of_burn_in.latents, draws * ~moved
    )


def make_plan(config: Mapping[str, Any], banks: Banks) -> Plan:
    """Return what a run records and plots: the length of chains and both banks, too."""

    def plot(metrics, folder: str) -> None:
        EBM_PLAN.plot(metrics, folder)
        threshold = row_at(config["mcmc_step_info"], len(metrics.series("update")) - 1)[2]
        plots.save_counts(banks.burn_in.counts, threshold, join(folder, "burn_in_counts.png"))

    def pictures(samples: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "longrun": samples[:NUM_SHOWN],
            "persistent": banks.update.images[:NUM_SHOWN],
            "burnin": banks.burn_in.images[:NUM_SHOWN],
        }

    return dataclasses.replace(
        EBM_PLAN,
        columns=(
            "update", "energy_diff", "grad_norm", "chain_steps", "ebm_lr", "saturated",
            "seconds", "retry",
        ),
        limits=LIMITS,
        shown=(*EBM_PLAN.shown, ("steps of a sample", "chain_steps", ".0f")),
        plot=plot,
        pictures=pictures,
    )  # fmt: skip


if __name__ == "__main__":
    main()
