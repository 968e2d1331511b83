"""What a scoring run measures with: an extractor, the data's statistics, and the report."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from utils.data.sets import Dataset
from utils.data.streams import load_data
from utils.errors import UserError
from utils.run.array_files import ArrayFiles
from utils.run.run import Run
from utils.scores.extractors import Extractor, make_extractor
from utils.scores.frechet import Statistics
from utils.scores.reference import (
    data_statistics,
    load_reference,
    make_reference,
    reference_count,
    statistics_of,
)
from utils.scores.report import Report, Score, Subject, score
from utils.scores.validity import line

HELD_OUT = "held-out data"
STARTS = {"coop": "generator", "data": "data as starts", "noise": "noise"}  # by `mcmc_init`


def open_extractor(config: Mapping[str, Any], pieces: int) -> Extractor:
    """Return the config's extractor by so many pieces; raises UserError for unfit weights."""
    by_classifier = config["feature_net"] == "classifier"
    weights = config["clf_weights" if by_classifier else "inception_weights"]
    extractor = make_extractor(
        config["feature_net"], weights, config["quantize"], config["feature_sha256"]
    )
    if extractor.channels < config["image_dims"][2]:
        raise UserError(
            f"'clf_weights' {weights} learned on grey images: they cannot see those in colour"
        )
    return dataclasses.replace(extractor, pieces=pieces)


class Measure:
    """Compares sets of features with the data's; held-out data, where asked for, at once.

    Features are extracted by `pieces` of a batch. Of many workers only the chief measures; the
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
            self.held_out = load_data(config, config["heldout_split"])
            advice = "set heldout_split to another one or None, or num_samples"
            _require(self.held_out, config["num_samples"], advice)
        self.report = None

    def begin(self, run: Run) -> None:
        """Open the report of a run, or go on with it; what is not a sample is scored at once."""
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
        validity: Mapping[str, Any] | None,
    ) -> None:
        """Score the features of a checkpoint's samples, by the steps of their chains."""
        if self.report is None:
            return
        scores = []
        for steps, files in features.items():
            samples = statistics_of(files, self.extractor.dim, self.extractor.metadata)
            of = "samples" if steps else STARTS[self.config["mcmc_init"]]
            scores.append(self._score(Subject(of, name, steps), samples))
        self._tell(scores, validity)

    def leave_out(self, name: str, reason: str) -> None:
        """Note that a checkpoint has no scores, and why."""
        if self.report is not None:
            self.report.leave_out(name, reason)
            print(f"checkpoint {name} is left out: {reason}", flush=True)

    def _score_held_out(self, data: Dataset, files: ArrayFiles) -> None:
        count, pause = self.config["num_samples"], self.run.pause
        statistics = data_statistics(self.config, self.extractor, data, count, files, pause)
        self._tell([self._score(Subject(HELD_OUT), statistics)])
        files.drop()

    def _score(self, subject: Subject, samples: Statistics) -> Score:
        assert self.reference is not None  # since `begin`
        label, seed = self.extractor.label, self.config["seed"]
        return score(subject, samples, self.reference, extractor=label, seed=seed)

    def _tell(self, scores: list[Score], validity: Mapping[str, Any] | None = None) -> None:
        assert self.report is not None  # since `begin`
        self.report.put(scores, validity)
        for new in scores:
            print("\n".join(filter(None, [new.line, new.warning])), flush=True)
        if validity is not None:
            print(line(validity), flush=True)


def _require(dataset: Dataset, count: int, advice: str) -> None:
    if dataset.num_examples < count:
        raise UserError(
            f"data set {dataset.name}, split {dataset.split}: {dataset.num_examples} images, not "
            f"the {count} that this score needs: {advice}"
        )
