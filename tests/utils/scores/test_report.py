"""Laws of the report: scores equal those of `frechet`, the best checkpoint, reading it again."""

import dataclasses

import numpy as np
import pytest

from utils.scores.frechet import (
    Moments,
    Statistics,
    frechet_distance,
    kernel_distances,
    mean_with_error,
)
from utils.scores.report import Report, Subject, score
from utils.seeds import Purpose, host_rng

HEAD = {"exp_type": "folder", "extractor": "classifier"}


@pytest.fixture
def statistics(rng):
    """Return (shift, count) -> statistics of normal features around a shift."""

    def make(shift: float, count: int = 50) -> Statistics:
        features = rng.normal(shift, size=(count, 4)).astype(np.float32)
        moments = Moments(4)
        moments.add(features)
        plain = moments.statistics()
        return Statistics(plain.mean, plain.covariance, count, {}, features)

    return make


def of_checkpoint(statistics, reference, shift, name, steps=20):
    subject = Subject("samples", name, steps)
    return score(subject, statistics(shift), reference, extractor="classifier", seed=0)


def test_a_score_holds_both_distances_and_tells_them_with_their_extractor(statistics):
    data, samples = statistics(0), statistics(1)
    found = score(Subject("samples", steps=20), samples, data, extractor="classifier", seed=3)
    assert found.fid == frechet_distance(data, samples)
    rng = host_rng(3, Purpose.SUBSETS)
    kid = mean_with_error(kernel_distances(samples.features, data.features, rng))
    assert (found.kid, found.kid_error) == kid
    assert found.line.startswith(f"samples after 20 steps: FID[classifier] {found.fid:.6g}")
    assert f"KID[classifier] {found.kid:.6g} +- " in found.line
    assert found.warning is None


def test_the_change_of_kid_since_the_starts_is_more_certain_than_both_kids(statistics):
    data, starts = statistics(0, 400), statistics(1, 400)
    moved = starts.features + np.float32(0.1)
    samples = dataclasses.replace(starts, features=moved)
    told = {"extractor": "classifier", "seed": 3}
    before = score(Subject("generator", steps=0), starts, data, **told)
    found = score(Subject("samples", steps=20), samples, data, **told, starts=starts)
    assert found.kid_change == pytest.approx(found.kid - before.kid, rel=1e-9)
    assert found.kid_change_error < min(found.kid_error, before.kid_error) / 2
    assert found.kid_change > 10 * found.kid_change_error
    assert found.line.endswith(f"+- {found.kid_change_error:.2g} since the start")
    assert before.kid_change is None


def test_few_images_have_a_kid_without_an_error_and_a_warning(statistics):
    few = statistics(1, 4)
    found = score(Subject("samples"), few, statistics(0), extractor="classifier", seed=0)
    assert np.isfinite(found.kid)
    assert found.kid_error is None
    assert "use more images" in found.warning


def test_the_best_checkpoint_is_the_nearest_at_the_end_of_its_chains(statistics, tmp_path):
    (tmp_path / "plots").mkdir()
    reference = statistics(0)
    report = Report(str(tmp_path), HEAD)
    shifts = {"10": 2, "20": 1, "30": 3}
    near_start = of_checkpoint(statistics, reference, 0, "10", steps=0)
    ends = {name: of_checkpoint(statistics, reference, s, name) for name, s in shifts.items()}
    report.put([near_start, *ends.values()])
    assert report.best() == ends["20"]


def test_a_report_is_read_again_and_a_second_measurement_takes_the_place_of_the_first(
    statistics, tmp_path
):
    (tmp_path / "plots").mkdir()
    reference = statistics(0)
    first, again = (of_checkpoint(statistics, reference, s, "10") for s in (2, 1))
    other = of_checkpoint(statistics, reference, 3, "20")
    Report(str(tmp_path), HEAD).put([first, other])
    report = Report(str(tmp_path), HEAD)
    assert report.scores == [first, other]
    report.put([again])
    assert Report(str(tmp_path), HEAD).scores == [again, other]
    values = np.load(tmp_path / "fid_vals.npy")
    assert values.tolist() == [[10, again.fid, again.kid], [20, other.fid, other.kid]]
