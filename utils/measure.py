"""What a scoring run measures with: an extractor, the data's statistics, and the report."""

from collections.abc import Mapping
from typing import Any

from utils.array_files import ArrayFiles
from utils.evaluation import EvaluationRun
from utils.inception import make_extractor
from utils.reference import data_statistics, reference_statistics, statistics_of
from utils.scores import Report, Score, score
from utils.validity import line

HELD_OUT = "held-out data"
STARTS = {"coop": "generator", "data": "data as starts", "noise": "noise"}  # by `mcmc_init`


class Measure:
    """Compares sets of features with the data's; held-out data, where asked for, at once.

    Of many workers only the chief measures; the others wait for it at their next state.
    """

    def __init__(self, config: Mapping[str, Any], run: EvaluationRun):
        by_classifier = config["feature_net"] == "classifier"
        weights = config["clf_weights" if by_classifier else "inception_weights"]
        self.config, self.run = config, run
        self.extractor = make_extractor(
            config["feature_net"], weights, config["quantize"], config["feature_sha256"]
        )
        self.report = None
        if run.chief:
            self._open_report()

    def _open_report(self) -> None:
        config, run = self.config, self.run
        self.reference = reference_statistics(
            config, self.extractor, run.files("reference"), run.pause
        )
        head = {
            "exp_type": config["exp_type"],
            "extractor": self.extractor.label,
            "features": self.extractor.dim,
            "reference": {
                **self.reference.metadata,
                "images": self.reference.count,
            },
        }
        self.report = Report(run.folder, head)
        if config["heldout_split"] and not any(s.of == HELD_OUT for s in self.report.scores):
            self._tell([self._score_held_out(config["heldout_split"])])

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
            scores.append(self._score(of, samples, checkpoint=name, steps=steps))
        self._tell(scores, validity)

    def _score_held_out(self, split: str) -> Score:
        files = self.run.files("held_out")
        count = self.config["num_samples"]
        statistics = data_statistics(
            self.config, self.extractor, split, count, files, self.run.pause
        )
        return self._score(HELD_OUT, statistics)

    def _score(self, of: str, samples, **place) -> Score:
        return score(
            of, samples, self.reference,
            extractor=self.extractor.label, seed=self.config["seed"], **place,
        )  # fmt: skip

    def _tell(self, scores: list[Score], validity: Mapping[str, Any] | None = None) -> None:
        self.report.put(scores, validity)
        for new in scores:
            print("\n".join(filter(None, [new.line, new.warning])), flush=True)
        if validity is not None:
            print(line(validity), flush=True)
