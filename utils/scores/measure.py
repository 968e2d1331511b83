"""The measure of a scoring run: an extractor, the data's statistics, and the report."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from utils.console import print_line
from utils.data.sets import Dataset
from utils.data.streams import first_images, load_held_out
from utils.errors import UserError
from utils.run.array_files import ArrayFiles
from utils.run.run import Run
from utils.scores import nearest
from utils.scores.classes import describe_classes
from utils.scores.extractors import Extractor, make_extractor
from utils.scores.frechet import Statistics
from utils.scores.reference import (
    data_statistics,
    keep_features,
    load_reference,
    make_reference,
    reference_count,
    statistics_of,
)
from utils.scores.report import Report, Score, Subject, score
from utils.scores.validity import message

HELD_OUT = "held-out data"
TRAINING = "training_features"  # kept until all checkpoints are scored
STARTS = {"coop": "generator", "data": "data as starts", "noise": "noise"}  # by `mcmc_init`


def open_extractor(config: Mapping[str, Any], pieces: int) -> Extractor:
    """Return the config's extractor for `pieces` of a batch; raises UserError for unfit weights."""
    by_classifier = config["feature_net"] == "classifier"
    weights = config["clf_weights" if by_classifier else "inception_weights"]
    extractor = make_extractor(
        config["feature_net"], weights, config["quantize"], config["feature_sha256"]
    )
    require_colours(extractor, config)
    return dataclasses.replace(extractor, pieces=pieces)


def require_colours(extractor: Extractor, config: Mapping[str, Any]) -> None:
    """Raise UserError for a network of grey images where images have colours."""
    if extractor.channels < config["image_dims"][2]:
        raise UserError(
            f"'clf_weights' {config['clf_weights']} were trained on grey images: name weights for "
            "colour images"
        )


class Measure:
    """Compares the features of samples, and of held-out data, with those of data.

    Features are extracted in `pieces` of a batch. With several workers only the chief measures; the
    others wait for it at their next state.
    """

    def __init__(self, config: Mapping[str, Any], dataset: Dataset, pieces: int):
        self.config, self.dataset = config, dataset
        self.extractor = open_extractor(config, pieces)
        self.reference = load_reference(config, self.extractor, dataset)
        if self.reference is None:
            advice = "set num_samples or reference_samples"
            _require(dataset, reference_count(config), advice)
        self.held_out = None
        if config["heldout_split"]:
            self.held_out = load_held_out(config, dataset)
            advice = "set heldout_split to another one or None, or num_samples"
            _require(self.held_out, config["num_samples"], advice)
        self.report = None

    def begin(self, run: Run) -> None:
        """Open the report of a run, new or resumed, and score the held-out data."""
        self.run = run
        if not run.chief:
            return
        if self.reference is None:
            self.reference = make_reference(
                self.config, self.extractor, self.dataset, run.files("reference"), run.pause
            )
        head = {
            "exp_type": self.config["exp_type"],
            "extractor": self.extractor.label,
            "features": self.extractor.dim,
            "reference": {
                **self.reference.metadata,
                "images": self.reference.count,
            },
        }
        self.report = Report(run.folder, head)
        if self.held_out and not any(s.of == HELD_OUT for s in self.report.scores):
            self._score_held_out(self.held_out, run.files("held_out"))

    def __call__(
        self,
        name: str | None,
        features: Mapping[int, ArrayFiles],
        first: ArrayFiles,
        validity: Mapping[str, Any] | None,
    ) -> None:
        """Score the samples of a checkpoint.

        `features` are those of samples, by the number of steps of their chains. For the `first`
        samples (n, h, w, c), the nearest training pictures are plotted.
        """
        if self.report is None:
            return
        scores, starts = [], None
        for steps, files in features.items():
            rows = files.rows(self.config["num_samples"])
            samples = statistics_of(rows, self.extractor.dim, self.extractor.metadata)
            of = "samples" if steps else STARTS[self.config["mcmc_init"]]
            scores.append(self._score(Subject(of, name, steps), samples, starts))
            starts = samples if steps == 0 else starts
        self._report_scores(scores, validity)
        if self.config["nearest_pictures"] != 0:
            self._show_nearest(self.report, name, np.concatenate([*first.batches()]))

    def leave_out(self, name: str, reason: str) -> None:
        """Report that a checkpoint has no scores, and why."""
        if self.report is not None:
            self.report.leave_out(name, reason)
            print_line(f"checkpoint {name} is left out: {reason}")

    def _score_held_out(self, data: Dataset, files: ArrayFiles) -> None:
        count, pause = self.config["num_samples"], self.run.pause
        statistics = data_statistics(self.config, self.extractor, data, count, files, pause)
        self._report_scores([self._score(Subject(HELD_OUT), statistics)])
        files.drop()

    def _show_nearest(self, report: Report, name: str | None, samples: np.ndarray) -> None:
        """Plot the training pictures nearest to samples, and report their distances."""
        size, held_out = self.config["batch_size"], ()
        if self.held_out:
            held_out = first_images(self.held_out, size, len(samples))
        queries = np.concatenate([samples, *held_out])
        found = nearest.find_nearest(self.extractor(queries), queries, self._training_rows())
        report.put_nearest(name, described := nearest.describe(found, len(samples)))
        path = self.run.path("images", f"{name}_nearest.png" if name else "nearest.png")
        nearest.save_nearest(samples, found, self.extractor.label, path)
        print_line(nearest.message(described))

    def _training_rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield features and images of training data in batches; features are kept for reuse."""
        files, most = self.run.files(TRAINING), self.config["nearest_pictures"]
        most = reference_count(self.config) if most is None else most
        size, total = self.config["batch_size"], min(most, self.dataset.num_examples)
        read = functools.partial(first_images, self.dataset, size, most)
        keep_features(self.extractor, read, (size, total), files, self.run.pause)
        yield from zip(files.batches(), read(), strict=True)

    def _score(
        self, subject: Subject, samples: Statistics, starts: Statistics | None = None
    ) -> Score:
        assert self.reference is not None  # set by `begin`
        label, seed = self.extractor.label, self.config["seed"]
        found = score(subject, samples, self.reference, extractor=label, seed=seed, starts=starts)
        if self.extractor.head is None or samples.features is None:
            return found
        seen = describe_classes(self.extractor.head(samples.features), self.extractor.classes)
        line = f"{found.line}, confidence {seen['confidence']:.3f}"
        return dataclasses.replace(found, classes=seen, line=line)

    def _report_scores(
        self, scores: list[Score], validity: Mapping[str, Any] | None = None
    ) -> None:
        assert self.report is not None  # set by `begin`
        self.report.put(scores, validity)
        for new in scores:
            print_line("\n".join(filter(None, [new.line, new.warning])))
        if validity is not None:
            print_line(message(validity))


def _require(dataset: Dataset, count: int, advice: str) -> None:
    if dataset.num_examples < count:
        raise UserError(
            f"data set {dataset.name}, split {dataset.split}: {dataset.num_examples} images, but "
            f"this score needs {count}: {advice}"
        )
