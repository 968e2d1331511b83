"""Train a Wide ResNet classifier, which `attack.py` attacks and an EBM defends.

    python3 train_clf.py configs_clf/emoji32_wrn.py [--set KEY=VALUE ...]
    python3 train_clf.py configs_clf/emoji32_wrn.py --dry-run
    python3 train_clf.py configs_clf/emoji32_wrn.py --run-dir DIR
    python3 train_clf.py --resume RUN_DIR [--set KEY=VALUE ...]

An update is a step of SGD on cross-entropy plus weight decay. An epoch is one pass over the
training split; after every few epochs the whole test split is evaluated.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import utils.before_tensorflow

import keras
import numpy as np
import tensorflow as tf

from nets import create_clf
from utils.config.load import parse_command
from utils.data.streams import (
    Dataset,
    TrainingStream,
    evaluation_batches,
    load_data,
    require_label_of_each,
    require_labels,
)
from utils.devices.pieces import joined, split
from utils.errors import UserError, one_line_errors
from utils.files.whole import join, write_json
from utils.learning.learners import Learner, SavedNetwork
from utils.replicas import Replicas
from utils.report.pages import write_own_page
from utils.run.folder import Inputs
from utils.run.guard import rate_scale
from utils.run.plan import Plan
from utils.run.plots import save_learning
from utils.run.records import Metrics
from utils.run.training import Outcome, Training, dry_run, due
from utils.seeds import Key, Purpose

TRAIN_SPLIT, TEST_SPLIT = "train", "test"
FREE_ROLLBACKS = 0  # a retry sees the same batches: without dropout it would diverge again


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train the classifier of a config, or resume its training."""
    command = parse_command("train_clf", __doc__, argv)
    config = command.config
    replicas = Replicas(config)
    train, test = load_data(config, TRAIN_SPLIT), load_data(config, TEST_SPLIT)
    classes = check_classes(config, train, test)
    learner = create_learner(config, classes, replicas)
    stream = TrainingStream(
        train, batch_size=replicas.batch_size, positions=replicas.positions,
        seed=config["seed"], purpose=Purpose.CLASSIFIER,
    )  # fmt: skip
    update = make_update(config, replicas, learner, stream)
    steps = config["epoch_steps_tr"] or max(1, train.num_examples // config["batch_size"])
    described = describe(config, learner, classes)
    networks = {"clf": SavedNetwork(learner.network, None, lambda _: described)}
    inputs, plan = Inputs([train, test]), make_plan()
    if command.dry_run:
        dry_run(command, update, networks, inputs, plan=plan, updates=steps)
        return

    run = Training(
        command, replicas, learner.parts("clf"),
        networks=networks, plan=plan, inputs=inputs,
    )  # fmt: skip
    classify = replicas.rows(
        lambda images: learner.network(images, training=False), config["batch_size"]
    )
    for epoch in run.steps():
        metrics = train_epoch(learner, update, epoch, steps, run.retry)
        is_tested = due(epoch + 1, config["test_and_log_freq"]) or epoch + 1 == run.total
        if is_tested:
            metrics |= evaluate(classify, test, config["batch_size"])
        run.after(epoch, Outcome(metrics))
    report_best(run)
    write_own_page(run)


def create_learner(
    config: Mapping[str, Any], class_names: Sequence[str], replicas: Replicas
) -> Learner:
    """Build the classifier and its SGD, with learning rates as rows [rate, from epoch]."""
    with replicas.strategy.scope():
        network = create_clf({**config, "num_classes": len(class_names)})
        optimizer = keras.optimizers.SGD(momentum=config["momentum"], nesterov=config["nesterov"])
        optimizer.build(network.trainable_variables)
    starts = [0, *(config["lr_switch_epochs"] or [])]
    rates = [list(row) for row in zip(config["lr_list"], starts, strict=True)]
    return Learner(network, optimizer, rates, average=None)


def make_update(
    config: Mapping[str, Any], replicas: Replicas, learner: Learner, stream: TrainingStream
) -> Callable[..., dict[str, tf.Tensor]]:
    """Return (step, retry) -> loss and accuracy of one update over all replicas.

    The gradient is that of the loss plus `weight_decay` times sum v^2 / 2 over all trainable
    variables; the returned loss is without this term.
    """
    class_weights, pieces = config["class_weights"], replicas.pieces

    def replica_update(key: Key, images: tf.Tensor, labels: tf.Tensor):
        with tf.GradientTape() as tape:
            seed = key(Purpose.CLASSIFIER)
            rows = [key.share.piece(number, pieces).rows for number in range(pieces)]
            logits = learner.network(split(images, pieces), seed=seed, rows=rows, training=True)
            logits = joined(logits)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            if class_weights is not None:
                losses *= tf.gather(tf.constant(class_weights, losses.dtype), labels)
            loss = tf.reduce_mean(losses)
            squares = [tf.nn.l2_loss(variable) for variable in learner.network.trainable_variables]
            share = (loss + config["weight_decay"] * tf.add_n(squares)) / replicas.count
        learner.descend(learner.gradient(tape, share))
        hits = tf.equal(tf.argmax(logits, axis=1), labels)
        return (), {"loss": loss, "accuracy": tf.reduce_mean(tf.cast(hits, tf.float32))}

    on_replicas = replicas.compile(replica_update, config["seed"])

    def update(step: int, retry: int = 0) -> dict[str, tf.Tensor]:
        return on_replicas((step, retry), (), *stream.labelled_batch(step))[1]

    return update


def train_epoch(
    learner: Learner, update: Callable, epoch: int, steps: int, retry: int
) -> dict[str, float]:
    """Run the `steps` updates of an epoch (from 0); return mean loss, mean accuracy and rate."""
    rate = learner.set_rate(epoch, rate_scale(retry, FREE_ROLLBACKS))
    metrics = [update(step, retry) for step in range(epoch * steps, (epoch + 1) * steps)]
    means = {name: float(np.mean([m[name] for m in metrics])) for name in metrics[0]}
    return {**means, "lr": rate}


def evaluate(classify: Callable, dataset: Dataset, batch_size: int) -> dict[str, float]:
    """Return mean loss and accuracy on a whole split, including its last, partial batch."""
    losses, hits = [], []
    for images, labels, _ in evaluation_batches(dataset, batch_size):
        require_label_of_each(dataset, labels)
        logits = classify(images)
        losses.append(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits).numpy())
        hits.append(logits.argmax(axis=1) == labels)
    loss, accuracy = float(np.concatenate(losses).mean()), float(np.concatenate(hits).mean())
    return {"test_loss": loss, "test_accuracy": accuracy}


def check_classes(config: Mapping[str, Any], train: Dataset, test: Dataset) -> list[str]:
    """Return the names of the classes.

    Raises UserError for splits without labels, with one class, or with different ones, and where
    the number of class weights is not that of classes.
    """
    known, tested = (list(require_labels(dataset)) for dataset in (train, test))
    if len(known) < 2:
        raise UserError(
            f"data set {train.name} has one class, {known[0]}: a classifier needs two or more"
        )
    if tested != known[: len(tested)]:
        raise UserError(
            f"split '{TRAIN_SPLIT}' has the classes {', '.join(known)}, split "
            f"'{TEST_SPLIT}' {', '.join(tested)}: name the common ones in data_labels"
        )
    weights = config["class_weights"]
    if weights is not None and len(weights) != len(known):
        raise UserError(
            f"'class_weights' has {len(weights)} numbers for {len(known)} classes: "
            f"{', '.join(known)}"
        )
    return known


def describe(config: Mapping[str, Any], learner: Learner, classes: Sequence[str]) -> dict[str, Any]:
    """Return the description of the network for its weights files."""
    network = learner.network
    return {
        "type": "wrn",
        "image_dims": config["image_dims"],
        "depth": network.depth,
        "width": network.width,
        "classes": list(classes),
    }


def make_plan() -> Plan:
    """Return what a run counts, records, guards, shows and plots."""
    return Plan(
        unit="epoch",
        length_key="num_epochs",
        info_key="info_freq",
        log_key="test_and_log_freq",
        columns=(
            "epoch", "loss", "accuracy", "test_loss", "test_accuracy", "lr", "seconds", "retry",
        ),
        limits={"loss": None, "test_loss": None},
        shown=(
            ("loss", "loss", ".4f"),
            ("accuracy", "accuracy", ".4f"),
            ("test accuracy", "test_accuracy", ".4f"),
        ),
        plot=plot_curves,
        free_rollbacks=FREE_ROLLBACKS,
        measures_result=True,
    )  # fmt: skip


def plot_curves(metrics: Metrics, folder: str) -> None:
    """Plot loss and accuracy on both splits."""
    train = {name: metrics.series(name) for name in ("loss", "accuracy")}
    test = {name: metrics.series(f"test_{name}") for name in train}
    save_learning(train, test, join(folder, "curves.png"))


def report_best(run: Training) -> None:
    """Print the epoch of the highest test accuracy (the first of equals); write `best.json`."""
    accuracy, loss = (run.metrics.series(f"test_{name}") for name in ("accuracy", "loss"))
    accuracy = np.where(np.isfinite(loss), accuracy, np.nan)  # not of weights that diverged
    if np.isnan(accuracy).all():
        print("no epoch is the best: all tested weights have diverged")
        return
    epoch = int(np.nanargmax(accuracy))
    best = {
        "epoch": epoch + 1,
        "test_accuracy": float(accuracy[epoch]),
        "chosen_among_tests": int(np.isfinite(accuracy).sum()),
    }
    print("best epoch: {epoch}, test accuracy {test_accuracy:.4f} (chosen among "
          "{chosen_among_tests} tests)".format(**best))  # fmt: skip
    if run.chief:
        write_json(join(run.folder, "best.json"), best)


if __name__ == "__main__":
    main()
