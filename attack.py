"""Attack a classifier behind Langevin purification, and measure what the defence is worth.

    python3 attack.py configs_attack/emoji32.py [--set KEY=VALUE ...]
    python3 attack.py configs_attack/emoji32.py --dry-run
    python3 attack.py configs_attack/emoji32.py --run-dir DIR
    python3 attack.py --resume RUN_DIR [--set KEY=VALUE ...]

The key `attack` names the attack. The default is BPDA + EOT: projected gradient ascent with
gradients averaged over purifications of an image. An image that seems broken is verified by fresh
purifications; only verified breaks count. `python3 -m utils.attack RUN_DIR ...` prints one table
of several attacks.
"""

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import utils.before_tensorflow

import numpy as np

from utils.attack.attacks import rounds_of
from utils.attack.classifier import class_numbers
from utils.attack.defense import Defense, Use, create_defense
from utils.attack.evaluation import attack_batch, time_round
from utils.attack.masking import check_masking
from utils.attack.record import Record, save_examples
from utils.attack.task import Batch
from utils.attack.verification import at_the_end
from utils.config.load import parse_command
from utils.data.sets import Dataset
from utils.data.streams import (
    evaluation_batches,
    load_evaluation,
    require_label_of_each,
    require_labels,
)
from utils.errors import UserError, one_line_errors, record_memory_key
from utils.files.whole import join
from utils.replicas import Replicas
from utils.report.pages import write_own_page
from utils.run.folder import Inputs, require_same_inputs
from utils.run.run import Run
from utils.run.states import list_states
from utils.run.training import time_update
from utils.seeds import Purpose

NUM_SHOWN = 8  # broken images in the picture, and as many defended ones


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the attack of a config, or resume it."""
    command = parse_command("attack", __doc__, argv)
    replicas = Replicas(command.config)
    config = command.config | {"pieces": replicas.pieces}  # as `config.json` records it
    dataset = load_evaluation(config, config["split"])
    class_names = require_labels(dataset)
    first, last = batch_range(config, dataset)
    defense = create_defense(config, class_names, replicas)
    record_memory_key(f"chain_batch than {defense.num_chains}")
    if command.resuming:
        require_end(config, first, max(list_states(join(command.run_dir, "state")), default=0))
    if command.dry_run:
        require_same_inputs(command, Inputs([dataset]))
        time_rounds(config, defense, dataset, last - first)
        return

    record = Record(config)
    run = Run(
        command, replicas, {"record": record},
        total=last - first, unit="batch", inputs=Inputs([dataset]),
    )  # fmt: skip
    record.take_checks(run.path("data_log"))
    report_round = functools.partial(after_round, run)
    batches = batches_from(config, dataset, first + run.step, last)
    for step in run.steps():
        batch = next(batches, None)
        if batch is None:  # a stream has fewer pictures than records: some are damaged
            end_early(run, first)
            continue
        before = defense.image_steps
        results = attack_batch(config, defense, batch, report_round)
        results |= at_the_end(config, defense, results)
        seconds, image_steps = time.perf_counter() - run.clock, defense.image_steps - before
        # All workers purify together; the chief plots.
        examples = None if step else find_examples(defense, results)
        record.add(results, seconds, image_steps)
        if run.chief:
            if examples is not None:
                save_examples(*examples, run.path("data_log", "examples.png"))
            record.write(run.path("data_log"))
            print(f"after batch {first + step}: {record.message()}", flush=True)
        run.done(step)
    if config["attack_checks"] and not record.masking():
        batch = next(batches_from(config, dataset, first, last))
        add_checks(
            run, record, defense, batch.of(np.arange(len(batch.labels)) < config["attack_checks"])
        )
    write_own_page(run)


def end_early(run: Run, first: int) -> None:
    """End a run whose pictures are all attacked; raises UserError if there was none."""
    if not run.step:
        raise no_whole_pictures(first)
    run.total = run.step


def no_whole_pictures(first: int) -> UserError:
    """Return the error for batches of damaged pictures from the `first` on."""
    return UserError(f"'start_batch' {first}: no whole pictures are left, only damaged ones")


def add_checks(run: Run, record: Record, defense: Defense, batch: Batch) -> None:
    """Check for masked gradients on images that are attacked already, and write the results."""

    def stop_if_told(*_) -> None:
        if run.is_told_to_stop():
            run.stop("all saved but the checks for masked gradients")

    print("checking for masked gradients", flush=True)
    with run.interruptible():
        record.add_checks(check_masking(record.config, defense, batch, stop_if_told))
        if run.chief:
            record.write(run.path("data_log"))
    print(f"done with the checks: {run.folder}", flush=True)


def after_round(run: Run, number: int, right: np.ndarray, verified: int) -> None:
    """Print a line if one is due; stop the run if any worker got a signal."""
    last = rounds_of(run.config) - 1
    if number in (0, last) or (number + 1) % run.config["log_freq"] == 0:
        print(
            f"round {number + 1}/{last + 1}  right {right.sum()}/{len(right)}  "
            f"verifications {verified}",
            flush=True,
        )
    if run.is_told_to_stop():
        run.stop("all saved but the current batch")


def batch_range(config: Mapping[str, Any], dataset: Dataset) -> tuple[int, int]:
    """Return the first batch and the one after the last, counted from 1.

    Raises UserError where the split has fewer batches.
    """
    count = -(-dataset.num_examples // config["batch_size"])
    if config["start_batch"] > count:
        raise UserError(
            f"'start_batch' {config['start_batch']}: the split has {count} batches of "
            f"{config['batch_size']}"
        )
    return config["start_batch"], min(config["end_batch"] or count, count) + 1


def require_end(config: Mapping[str, Any], first: int, done: int) -> None:
    """Raise UserError if a resumed run would end before the last batch that is done."""
    last = first + done - 1
    if config["end_batch"] is not None and config["end_batch"] < last:
        raise UserError(
            f"'end_batch' is {config['end_batch']}, but batch {last} is done: to continue add "
            f"--set end_batch={last + done}, or None"
        )


def batches_from(
    config: Mapping[str, Any], dataset: Dataset, first: int, last: int
) -> Iterator[Batch]:
    """Yield the batches `first` to `last` - 1 of a data set, counted from 1.

    Labels are the class numbers of the classifier.
    """
    numbers = class_numbers(config, require_labels(dataset))
    seed = config["seed"] if config["shuffle"] else None
    batches = evaluation_batches(
        dataset, config["batch_size"], seed=seed, purpose=Purpose.ATTACK, start=first - 1
    )
    for _, (images, labels, indices) in zip(range(first, last), batches, strict=False):
        require_label_of_each(dataset, labels)
        yield Batch(images, numbers[labels], indices)


def find_examples(
    defense: Defense, results: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return broken and defended images of a batch: original, adversarial, and purified.

    None if the batch has neither.
    """
    natural, robust = results["class_path"][[0, -1]].astype(bool)
    broken, defended = np.flatnonzero(natural & ~robust), np.flatnonzero(robust)
    rows = np.concatenate([broken[:NUM_SHOWN], defended[:NUM_SHOWN]])
    if not len(rows):
        return None
    originals, adversarial = results["ims_orig"][rows], results["ims_adv"][rows]
    purified = defense.purify(adversarial, results["indices"][rows], Use.PICTURE)
    return originals, adversarial, purified.rows


def time_rounds(
    config: Mapping[str, Any], defense: Defense, dataset: Dataset, batches: int
) -> None:
    """Time rounds on the first batch, before any image is broken; verifications are left out.

    Natural predictions, control and final votes are converted to an equivalent number of rounds.
    """
    first = config["start_batch"]
    batch = next(batches_from(config, dataset, first, first + 1), None)
    if batch is None:
        raise no_whole_pictures(first)
    apart = (2 + config["attack_control"]) * config["eot_defense_reps"] / config["eot_attack_reps"]
    attack_round = time_round(config, defense, batch)
    time_update(attack_round, round(batches * (rounds_of(config) + apart)), {}, "round")
    checks = " and checks for masked gradients" if config["attack_checks"] else ""
    print(f"verifications of images that seem broken{checks} take additional time")


if __name__ == "__main__":
    main()
