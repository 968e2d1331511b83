"""Attack a classifier behind Langevin purification, and say what the defence is worth.

    python3 attack.py configs_attack/emoji32.py [--set KEY=VALUE ...] [--dry-run]
    python3 attack.py configs_attack/emoji32.py --run-dir DIR  # begin there, or go on
    python3 attack.py --resume RUN_DIR [--set KEY=VALUE ...]

BPDA + EOT: projected gradient ascent, by gradients averaged over purifications of an image. An
image that seems broken is verified by fresh purifications; only verified breaks count.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import utils.before_tensorflow

import numpy as np

from utils.attack.attacks import (
    PER_255,
    loss_slopes,
    project,
    random_at_radius,
    random_in_ball,
    step_up,
)
from utils.attack.defense import Defense, Use, class_numbers, create_defense
from utils.attack.record import Record, draw_examples
from utils.config.load import parse_command
from utils.data.streams import Dataset, evaluation_batches, load_data, require_labels
from utils.errors import UserError, one_line_errors, tell_what_fills_memory
from utils.files.whole import join
from utils.replicas import Replicas
from utils.report.pages import write_own_page
from utils.run.folder import Inputs, require_same_inputs
from utils.run.run import Run
from utils.run.states import list_states
from utils.run.training import time_update
from utils.seeds import Purpose, host_rng

NUM_SHOWN = 8  # broken and defended images in the picture, each


class Batch(NamedTuple):
    """Images (n, h, w, c) in [-1, 1], their (n,) labels, and their indices in the data set."""

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray

    def of(self, rows: np.ndarray) -> "Batch":
        """Return some of the images."""
        return Batch(*(array[rows] for array in self))


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Attack as the command line says."""
    command = parse_command("attack", __doc__, argv)
    replicas = Replicas(command.config)
    config = command.config | {"pieces": replicas.pieces}  # a resumed run finds the number, too
    dataset = load_data(config, config["split"])
    class_names = require_labels(dataset)
    first, last = batch_range(config, dataset)
    defense = create_defense(config, class_names, replicas)
    tell_what_fills_memory(f"chain_batch than {defense.chains}")
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
    tell = functools.partial(after_round, run)
    batches = batches_from(config, dataset, first + run.step, last)
    for number, batch in zip(run.steps(), batches, strict=False):
        before = defense.image_steps
        results = attack_batch(config, defense, batch, tell)
        seconds, image_steps = time.perf_counter() - run.clock, defense.image_steps - before
        # Purified on all workers together, drawn by the chief.
        examples = None if number else find_examples(defense, results)
        record.add(results, seconds, image_steps)
        if run.chief:
            if examples is not None:
                draw_examples(*examples, run.path("data_log", "examples.png"))
            record.write(run.path("data_log"))
            print(f"after batch {first + number}: {record.lines()}", flush=True)
        run.done(number)
    write_own_page(run)


def attack_batch(
    config: Mapping[str, Any],
    defense: Defense,
    batch: Batch,
    tell: Callable[[int, np.ndarray, int], None],
) -> dict[str, np.ndarray]:
    """Attack the images of a batch; return what `Record` keeps of them.

    A round predicts the images it holds, verifies those that seem broken, and steps.
    """
    images, labels, indices = batch
    radius, norm = config["adv_eps"] * PER_255, config["adv_norm"]
    right = defends(config, defense, batch, Use.NATURAL, 0)
    class_path, verifications = [right.copy()], np.zeros(len(images), np.int32)
    current, adversarial = start_images(config, batch), images.copy()
    for number in range(config["adv_steps"] + 1):
        active = np.flatnonzero(right) if config["attack_packing"] else np.arange(len(images))
        adversarial[right] = current[right]
        if len(active):
            reps = config["eot_attack_reps"]
            purified = defense.purify(current[active], indices[active], Use.ATTACK, number, reps)
            logits = defense.logits(purified)
            candidates = active[right[active] & (logits.argmax(axis=1) != labels[active])]
            verifications[candidates] += 1
            held_up = verify(config, defense, Batch(current, labels, indices), candidates, number)
            right[candidates] = held_up
        class_path.append(right.copy())
        tell(number, right, int(verifications.sum()))
        held = right[active] if config["attack_packing"] else np.ones(len(active), bool)
        if number < config["adv_steps"] and held.any():
            rows, purified, logits = active[held], purified.of(held), logits[held]
            if config["attack_gradient"] == "none":
                purified = defense.bare(current[rows])
                logits = defense.logits(purified)
            slopes = loss_slopes(logits, labels[rows], config["attack_loss"])
            gradient = defense.gradient(purified, slopes)
            moved = step_up(current[rows], gradient, config["adv_eta"] * PER_255, norm)
            current[rows] = project(moved, images[rows], radius, norm)
    results = {"class_path": np.stack(class_path).astype(np.uint8), "labs": labels}
    results |= {"indices": indices, "verifications": verifications}
    if config["attack_control"]:
        results["control"] = control(config, defense, batch, class_path[0], verifications)
    return {**results, "ims_orig": images, "ims_adv": adversarial}


def start_images(config: Mapping[str, Any], batch: Batch) -> np.ndarray:
    """Return where the attack starts: at the images, or at random points of their balls."""
    if not config["adv_rand_start"]:
        return batch.images.copy()
    rngs = [host_rng(config["seed"], Purpose.ATTACK_START, index) for index in batch.indices]
    return random_in_ball(batch.images, config["adv_eps"] * PER_255, config["adv_norm"], rngs)


def defends(
    config: Mapping[str, Any], defense: Defense, batch: Batch, use: Use, number: int
) -> np.ndarray:
    """Return (n,) bool: which images fresh purifications get right, `eot_defense_reps` of each."""
    images, labels, indices = batch
    purified = defense.purify(images, indices, use, number, config["eot_defense_reps"])
    return defense.logits(purified).argmax(axis=1) == labels


def verify(
    config: Mapping[str, Any], defense: Defense, batch: Batch, candidates: np.ndarray, number: int
) -> np.ndarray:
    """Return which candidates fresh purifications get right, all together or one by one."""
    groups = [candidates] if config["attack_packing"] else candidates[:, np.newaxis]
    verdicts = [
        defends(config, defense, batch.of(rows), Use.VERIFY, number) for rows in groups if len(rows)
    ]
    return np.concatenate([np.zeros(0, bool), *verdicts])


def control(
    config: Mapping[str, Any],
    defense: Defense,
    batch: Batch,
    natural: np.ndarray,
    verifications: np.ndarray,
) -> np.ndarray:
    """Return which images stay right under random perturbations of the attack's full size.

    Each is verified as often as under the attack, at least once; so one sees breaks by chance.
    """
    right, radius = natural.copy(), config["adv_eps"] * PER_255
    trials = np.maximum(verifications, 1)
    for trial in range(trials.max()):
        rows = np.flatnonzero(right & (trials > trial))
        if not len(rows):
            break
        images, labels, indices = batch.of(rows)
        rngs = [host_rng(config["seed"], Purpose.ATTACK_CONTROL, i, trial) for i in indices]
        perturbed = random_at_radius(images, radius, config["adv_norm"], rngs)
        perturbed = Batch(perturbed, labels, indices)
        right[rows] = defends(config, defense, perturbed, Use.CONTROL, trial)
    return right.astype(np.uint8)


def after_round(run: Run, number: int, right: np.ndarray, verified: int) -> None:
    """Print a line where one is due; stop here if any worker was told to."""
    last = run.config["adv_steps"]
    if number in (0, last) or (number + 1) % run.config["log_freq"] == 0:
        print(
            f"round {number + 1}/{last + 1}  right {right.sum()}/{len(right)}  "
            f"verifications {verified}",
            flush=True,
        )
    if run.is_told_to_stop():
        run.stop("all saved but the batch under way")


def batch_range(config: Mapping[str, Any], dataset: Dataset) -> tuple[int, int]:
    """Return the first batch, and the one behind the last, counted from 1."""
    count = -(-dataset.num_examples // config["batch_size"])
    if config["start_batch"] > count:
        raise UserError(
            f"'start_batch' {config['start_batch']}: the split has {count} batches of "
            f"{config['batch_size']}"
        )
    return config["start_batch"], min(config["end_batch"] or count, count) + 1


def require_end(config: Mapping[str, Any], first: int, done: int) -> None:
    """Raise UserError if a run that goes on shall end before the last batch that is done."""
    last = first + done - 1
    if config["end_batch"] is not None and config["end_batch"] < last:
        raise UserError(
            f"'end_batch' is {config['end_batch']}, but batch {last} is done: to go on add "
            f"--set end_batch={last + done}, or None"
        )


def batches_from(
    config: Mapping[str, Any], dataset: Dataset, first: int, last: int
) -> Iterator[Batch]:
    """Yield the batches `first` to `last` - 1 of a data set, counted from 1.

    Labels are the classifier's numbers.
    """
    numbers = class_numbers(config, require_labels(dataset))
    seed = config["seed"] if config["shuffle"] else None
    batches = evaluation_batches(
        dataset, config["batch_size"], seed=seed, purpose=Purpose.ATTACK, start=first - 1
    )
    for _, (images, labels, indices) in zip(range(first, last), batches, strict=False):
        yield Batch(images, numbers[labels], indices)


def find_examples(
    defense: Defense, results: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return broken and defended images of a batch, if there are any: as they were, attacked,
    and purified after it."""
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
    """Time rounds on the first batch, of which nothing is broken yet; verifications are left out.

    The natural predictions and the control are counted as the rounds that they take as long as.
    """
    images, labels, indices = next(batches_from(config, dataset, config["start_batch"], 2**31))

    def attack_round(number: int) -> None:
        reps = config["eot_attack_reps"]
        purified = defense.purify(images, indices, Use.ATTACK, number, reps)
        slopes = loss_slopes(defense.logits(purified), labels, config["attack_loss"])
        defense.gradient(purified, slopes)

    apart = (1 + config["attack_control"]) * config["eot_defense_reps"] / config["eot_attack_reps"]
    time_update(attack_round, round(batches * (config["adv_steps"] + 1 + apart)), {}, "round")
    print("verifications of what seems broken come on top")


if __name__ == "__main__":
    main()
