"""Learn a density that lasts: an energy-based model that corrects a prior, on burnt-in chains.

    python3 train_longrun.py configs_lr/emoji32_conv.py [--set KEY=VALUE ...] [--dry-run]
    python3 train_longrun.py --resume RUN_DIR [--set KEY=VALUE ...]

The potential is that of a frozen prior EBM (learned by `train.py`) plus that of the EBM learned
here. Chains start in a burn-in bank, where nothing is learned from them. Those drawn often enough
to be near the steady state move to the update bank, which gives the negative samples.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from utils import plots, starts
from utils.banks import Bank, Drawn, bank_share, redraw_counts
from utils.config import parse_command
from utils.data import Dataset, TrainingStream, load_data
from utils.devices import local_replicas, make_strategy, replica_batch, to_host, to_replicas
from utils.errors import one_line_errors
from utils.experiment import Outcome, Run, time_update
from utils.files import join
from utils.guard import LIMITS, rate_scale
from utils.langevin import make_noise, run_both, share_saturated
from utils.models import (
    Models,
    create_models,
    make_positives,
    resolve_sizes,
    saved_networks,
)
from utils.optim import learn_energy, row_at
from utils.plan import EBM_PLAN, Plan
from utils.potential import create_potential, make_langevin
from utils.run_folder import require_same_inputs
from utils.seeds import Purpose, fold, host_rng

NUM_SHOWN = 64  # images in a picture


class Banks(NamedTuple):
    """One replica's chains; `burn_in` counts draws, `update` the Langevin steps taken so far.

    The draws with which the burn-in bank begins at a new row of the schedule count as made.
    """

    update: Bank
    burn_in: Bank


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    command = parse_command("train_longrun", __doc__, argv)
    strategy = make_strategy(command.config["device_type"], command.config["num_replicas"])
    resuming = command.run_dir is not None
    config = command.config if resuming else resolve_sizes(command.config)
    command = dataclasses.replace(command, config=config)
    batch = replica_batch(config["batch_size"], strategy)

    dataset = None if config["data_type"] == "generator" else load_data(config)
    data = dataset and starts.make_stream(config, dataset, batch, strategy, Purpose.DATA)
    new_states = starts.make_host_source(
        config, dataset, batch, strategy, config["persistent_init_scale"]
    )
    models = create_models(config, strategy, load_learned=not resuming)
    banks = create_banks(config, models, dataset, batch, strategy, empty=resuming)
    update = make_update(config, models, banks, data, new_states, batch, strategy)
    networks = saved_networks(config, models)
    if command.dry_run:
        require_same_inputs(command, datasets=[dataset] if dataset else [])
        time_update(update, config["num_training_steps"], networks)
        return

    first_banks = next(iter(banks.values()))
    run = Run(
        command,
        strategy,
        parts={**models.parts(), **bank_parts(banks)},
        networks=networks,
        pictures=make_pictures(first_banks),
        start_pictures={"data": data.batches(0)[0][:NUM_SHOWN]} if data and not resuming else {},
        datasets=[dataset] if dataset else [],
        plan=make_plan(config, first_banks.burn_in),
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
) -> dict[int, Banks]:
    """Return both banks of each local replica, by global number."""
    filled, first, replicas = [], 0, strategy.num_replicas_in_sync
    names = ("persistent_size", "burnin_size")
    shares = {name: bank_share(config[name], batch, replicas, name) for name in names}
    starts.require_memory(config, shares, strategy)
    for share in shares.values():
        if empty:
            filled.append(starts.empty_banks(config, share, strategy))
            continue
        banks = starts.fill_banks(
            config, share, batch, dataset=dataset, gen=models.gen, trains_gen=False,
            strategy=strategy, first=first,
        )  # fmt: skip
        filled.append(banks)
        first += share // batch
    replicas = local_replicas(strategy)
    return {
        replica: Banks(*(Bank(bank.images) for bank in pair))  # no latents are kept here
        for replica, pair in zip(replicas, zip(*filled, strict=True), strict=True)
    }


def bank_parts(banks: Mapping[int, Banks]) -> dict[str, Bank]:
    """Return the banks by their names in a state."""
    updates = {f"bank_{replica}": pair.update for replica, pair in banks.items()}
    return updates | {f"burnin_{replica}": pair.burn_in for replica, pair in banks.items()}


def make_update(
    config: Mapping[str, Any],
    models: Models,
    banks: Mapping[int, Banks],
    data: TrainingStream | None,
    new_states: starts.HostSource | None,
    batch: int,
    strategy: tf.distribute.Strategy,
) -> Callable[[int, int], Outcome]:
    """Return (number, retry) -> outcome, one update over all replicas and banks.

    `data` is None where the EBM learns on generated images, `new_states` where burn-in chains
    start from the generator.
    """
    replica_update = make_replica_update(config, models, batch, strategy.num_replicas_in_sync)

    @tf.function
    def on_replicas(place, inputs, together: bool):
        on_one = functools.partial(replica_update, together=together)
        samples, burnt, new, metrics = strategy.run(on_one, (*place, *inputs))
        if models.ebm.average is not None:
            models.ebm.average.update()
        means = {name: strategy.reduce("MEAN", x, axis=None) for name, x in metrics.items()}
        return samples, burnt, new, means

    def update(number: int, retry: int = 0) -> Outcome:
        steps, burn_in, threshold, from_update = row_at(config["mcmc_step_info"], number)
        rate, drawn = models.ebm.set_rate(number, rate_scale(retry)), []
        for replica, pair in banks.items():
            if number == from_update:  # a new row, the first one too
                key = (config["seed"], Purpose.BURN_IN_COUNTS, number, replica, retry)
                redraw_counts(pair.burn_in, threshold, host_rng(*key))
            rng = host_rng(config["seed"], Purpose.BANK_DRAW, number, replica, retry)
            drawn.append((pair.update.draw(batch, rng), pair.burn_in.draw(batch, rng)))
        batches = data.batches(number) if data else [np.zeros(0, np.float32)] * len(banks)
        inputs = [
            (images, updated.images, burning.images, updated.counts)
            for images, (updated, burning) in zip(batches, drawn, strict=True)
        ]
        place = tuple(tf.constant(x, tf.int32) for x in (number, retry, steps, burn_in))
        samples, burnt, new, metrics = on_replicas(
            place, to_replicas(strategy, inputs), steps == burn_in
        )
        ends = to_host(strategy, (samples, burnt, new))
        if new_states is not None:
            ends = [(*end[:2], x) for end, x in zip(ends, new_states(number, retry), strict=True)]
        for pair, both, end in zip(banks.values(), drawn, ends, strict=True):
            put_back(pair, *both, end, steps=steps, burn_in=burn_in, threshold=threshold)
        metrics = {name: float(value) for name, value in metrics.items()} | {"ebm_lr": rate}
        return Outcome(metrics, steps + burn_in, ends[0][0])

    return update


def put_back(
    banks: Banks,
    updated: Drawn,
    burning: Drawn,
    ends: Sequence[np.ndarray],
    *,
    steps: int,
    burn_in: int,
    threshold: int,
) -> None:
    """Put the ends of one replica's chains back, and move those that have burnt in.

    `ends` are samples, burnt images and new ones, (b, h, w, 3) each. A burnt image drawn
    `threshold` times before takes the place of the sample at its position of the batch; a new one
    burns in instead.
    """
    samples, burnt, new = ends
    moved = burning.counts >= threshold
    choose = moved[:, np.newaxis, np.newaxis, np.newaxis]
    taken, draws = updated.counts + steps, burning.counts + 1
    banks.update.put(
        updated.places,
        np.where(choose, burnt, samples),
        updated.latents,
        np.where(moved, draws * burn_in, taken),
    )
    banks.burn_in.put(burning.places, np.where(choose, new, burnt), burning.latents, draws * ~moved)


def make_replica_update(
    config: Mapping[str, Any], models: Models, batch: int, replicas: int
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]]:
    """Return the update of one replica, the algorithm itself.

    Data, update images and burn-in images (b, h, w, 3) in [-1, 1], and the steps (b,) that the
    update images have taken, in; samples, burnt images, new images (none unless a generator makes
    them) and metrics out.
    """
    generate = models.gen and starts.make_generate(models.gen, config["gen_type"])
    positives = make_positives(config, models, batch)
    run_chain = make_langevin(config, create_potential(config, models.ebm.network, models.prior))

    def replica_update(number, retry, steps, burn_in, data, images, burning, taken, together):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group

        def key(purpose: Purpose) -> tf.Tensor:
            return fold(config["seed"], purpose, number, replica, retry)

        noises = [make_noise(key(p), images) for p in (Purpose.CHAIN, Purpose.BURN_IN)]
        samples, burnt, grad_norms = run_both(
            run_chain, (images, burning), noises, (steps, burn_in), together
        )

        # The energy learns from the samples of the update bank; the prior stays as it is.
        energy_diff = learn_energy(
            models.ebm,
            positives(key, data),
            samples,
            temperature=config["mcmc_temp"],
            num_replicas=replicas,
        )

        new = tf.zeros((0, *config["image_dims"]))
        if config["mcmc_init"].startswith("coop"):
            seed = key(Purpose.LATENTS)
            latents = models.gen.sample_latents(batch, seed)
            new = generate(latents, seed, False)

        metrics = {
            "energy_diff": energy_diff,
            "grad_norm": tf.reduce_mean(grad_norms),
            "saturated": tf.reduce_mean(share_saturated(samples)),
            "chain_steps": tf.reduce_mean(tf.cast(taken, tf.float32)) + tf.cast(steps, tf.float32),
        }
        return samples, burnt, new, metrics

    return replica_update


def make_pictures(banks: Banks) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return samples -> the images to draw by name: samples, update bank and burn-in bank."""
    return lambda samples: {
        "longrun": samples[:NUM_SHOWN],
        "persistent": banks.update.images[:NUM_SHOWN],
        "burnin": banks.burn_in.images[:NUM_SHOWN],
    }


def make_plan(config: Mapping[str, Any], burn_in: Bank) -> Plan:
    """Return what a run records and draws: the length of chains, and the counts of burn-in."""

    def draw(metrics, folder: str) -> None:
        EBM_PLAN.draw(metrics, folder)
        threshold = row_at(config["mcmc_step_info"], len(metrics.series("update")) - 1)[2]
        plots.save_counts(burn_in.counts, threshold, join(folder, "burn_in_counts.png"))

    return dataclasses.replace(
        EBM_PLAN,
        columns=(
            "update", "energy_diff", "grad_norm", "chain_steps", "ebm_lr", "saturated",
            "seconds", "retry",
        ),
        limits=LIMITS,
        shown=(*EBM_PLAN.shown, ("steps of a sample", "chain_steps", ".0f")),
        draw=draw,
    )  # fmt: skip


if __name__ == "__main__":
    main()
