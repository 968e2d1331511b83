"""Laws of the moments, of the Fréchet distance and of KID."""

import numpy as np
import pytest
import scipy.linalg

from utils.errors import UserError
from utils.scores.frechet import (
    Moments,
    Statistics,
    frechet_distance,
    kernel_distances,
    mean_with_error,
    mmd2,
    score_line,
)


def _features(rng, n, d=24):
    """Return correlated (n, d) float32 features, with means far larger than their spread."""
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 50).astype(np.float32)


def _gathered(features, sizes=()):
    moments = Moments(features.shape[1])
    for batch in np.split(features, np.cumsum(sizes)):
        moments.add(batch)
    return moments


def _batch_statistics(features):
    """Return the statistics that NumPy computes from all rows at once."""
    features = features.astype(np.float64)
    return Statistics(features.mean(0), np.cov(features, rowvar=False), len(features))


def _assert_same(one, other, relative=1e-12):
    np.testing.assert_allclose(one.mean, other.mean, rtol=relative)
    scale = np.abs(other.covariance).max()
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=0, atol=relative * scale)
    assert one.count == other.count


# Moments


@pytest.mark.parametrize("n", [2, 5, 1023, 1024, 1025, 3000])
def test_streamed_moments_are_those_of_all_rows_at_once(rng, n):
    features = _features(rng, n)
    _assert_same(
        _gathered(features, [1, 1] if n == 2 else [1, 2]).statistics(), _batch_statistics(features)
    )


def test_moments_do_not_depend_on_the_batches_bit_for_bit(rng):
    features = _features(rng, 2500)
    one, other = (
        _gathered(features).statistics(),
        _gathered(features, [1, 7, 900, 1024]).statistics(),
    )
    assert np.array_equal(one.mean, other.mean)
    assert np.array_equal(one.covariance, other.covariance)


def test_a_far_shift_costs_no_precision(rng):
    """Means of 1e6 against a spread of 1: raw second moments would lose 12 of 16 digits."""
    features = rng.normal(size=(2000, 8))
    near, far = _gathered(features).statistics(), _gathered(features + 1e6).statistics()
    np.testing.assert_allclose(far.covariance, near.covariance, atol=1e-9)  # 1e6 * float64 epsilon


def test_asking_for_statistics_does_not_disturb_the_stream(rng):
    features = _features(rng, 1500)
    asked = _gathered(features[:700])
    asked.statistics()
    asked.add(features[700:])
    assert np.array_equal(
        asked.statistics().covariance, _gathered(features).statistics().covariance
    )


def test_one_image_and_features_that_are_not_finite_are_refused(rng):
    with pytest.raises(UserError, match="at least two images, not 1"):
        _gathered(_features(rng, 1)).statistics()
    with pytest.raises(UserError, match="NaN or Inf"):
        Moments(2).add(np.array([[1.0, np.nan]]))


# Fréchet distance


@pytest.mark.parametrize("n", [5, 2000])
def test_identical_sets_have_distance_0_at_any_rank(rng, n):
    statistics = _gathered(_features(rng, n)).statistics()
    assert frechet_distance(statistics, statistics) == 0


@pytest.mark.parametrize("n", [5, 2000])
def test_a_set_in_another_order_has_distance_0(rng, n):
    features = _features(rng, n)
    one, other = (_gathered(x).statistics() for x in (features, rng.permutation(features)))
    assert frechet_distance(one, other) == 0


def test_sets_of_one_picture_repeated_have_distance_0(rng):
    """Their covariances are only the rounding of means, of either sign."""
    mean, noise = rng.uniform(0, 1, 64), 1e-33 * rng.normal(size=(2, 64, 64))
    one, other = (Statistics(mean, n + n.T, 24) for n in noise)
    assert frechet_distance(one, other) == frechet_distance(other, one) == 0


def test_a_distance_far_above_rounding_is_told(rng):
    one = _gathered(_features(rng, 500)).statistics()
    moved = Statistics(one.mean + 1e-5, one.covariance, one.count)
    assert frechet_distance(one, moved) == pytest.approx(24e-10, rel=1e-3)  # rounding of the trace


def test_a_shifted_mean_costs_its_squared_length(rng):
    one, shift = _gathered(_features(rng, 500)).statistics(), rng.normal(size=24)
    other = Statistics(one.mean + shift, one.covariance, one.count)
    assert frechet_distance(one, other) == pytest.approx(shift @ shift, rel=1e-10)


def test_diagonal_covariances_have_the_closed_form(rng):
    a, b = rng.uniform(0, 4, (2, 30))
    one, other = (Statistics(np.zeros(30), np.diag(s**2), 100) for s in (a, b))
    assert frechet_distance(one, other) == pytest.approx(((a - b) ** 2).sum(), rel=1e-10)


def test_the_distance_agrees_with_sqrtm_on_well_conditioned_matrices(rng):
    one, other = (_gathered(_features(rng, 500)).statistics() for _ in range(2))
    root = scipy.linalg.sqrtm(one.covariance @ other.covariance)
    expected = np.sum((one.mean - other.mean) ** 2) + np.trace(
        one.covariance + other.covariance - 2 * root.real
    )
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(other, one) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(6, 6), (6, 9), (6, 400), (2, 2)])
def test_rank_deficient_covariances_have_the_distance_of_their_features(rng, n, m):
    """With S = X'X for centred, scaled rows X, tr (S1 S2)^(1/2) is the nuclear norm of X1 X2'."""
    features = [_features(rng, size).astype(np.float64) for size in (n, m)]
    one, other = (_gathered(x).statistics() for x in features)
    x, y = ((f - f.mean(0)) / np.sqrt(len(f) - 1) for f in features)
    expected = np.sum((one.mean - other.mean) ** 2) + (x**2).sum() + (y**2).sum()
    expected -= 2 * np.linalg.svd(x @ y.T, compute_uv=False).sum()
    # a zero eigenvalue is rounded to 1e-16 of the largest, and may cost its root, 1e-8
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-7)
    assert one.is_rank_deficient


def test_statistics_of_other_features_are_not_compared():
    one, other = (Statistics(np.zeros(d), np.eye(d), 9) for d in (2, 3))
    with pytest.raises(UserError, match="2 and of 3 features"):
        frechet_distance(one, other)


def test_the_distance_agrees_with_pytorch_fid(rng):
    fid_score = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not here")
    one, other = (_gathered(_features(rng, 500)).statistics() for _ in range(2))
    pairs = (one.mean, one.covariance, other.mean, other.covariance)
    try:
        expected = fid_score.calculate_frechet_distance(*pairs)
    except TypeError as error:  # its sqrtm(disp=...) went with SciPy 1.18
        pytest.skip(f"pytorch-fid does not work with this SciPy: {error}")
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)


def test_a_score_is_told_with_its_extractor_and_a_warning_for_few_images(rng):
    many, few = (_gathered(_features(rng, n)).statistics() for n in (100, 24))
    assert score_line("pixels", many, many).endswith("(100 against 100 images, 24 features)")
    assert score_line("pixels", many, few).startswith("FID[pixels] ")
    assert "24 against 100 images, 24 features)\nwarning: no more" in score_line(
        "pixels", many, few
    )


# KID


def test_mmd2_is_the_double_sum_over_pairs(rng):
    x, y = rng.normal(size=(7, 5)), rng.normal(size=(9, 5))

    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / 5 + 1) ** 3

    within = sum(kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (7 * 6)
    within += sum(kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (
        9 * 8
    )
    between = sum(kernel(a, b) for a in x for b in y) / (7 * 9)
    assert mmd2(x, y) == pytest.approx(within - 2 * between, rel=1e-12)


def test_kid_of_one_distribution_is_0_within_its_error_and_of_two_is_not(rng):
    x, y = rng.normal(size=(2, 2000, 6))
    mean, error = mean_with_error(kernel_distances(x, y, rng))
    assert abs(mean) < 4 * error  # 4 standard errors
    mean, error = mean_with_error(kernel_distances(x, y + 0.5, rng))
    assert mean > 10 * error


def test_the_standard_error_is_the_spread_of_repeated_scores(rng):
    pairs = (rng.normal(size=(2, 200, 3)) for _ in range(300))
    results = np.array([mean_with_error(kernel_distances(*pair, rng)) for pair in pairs])
    # a standard deviation of 300 draws is exact to 4%, and tails are heavy
    assert results[:, 0].std() == pytest.approx(np.sqrt((results[:, 1] ** 2).mean()), rel=0.2)


def test_kid_uses_each_image_at_most_once_and_is_a_function_of_its_generator(rng):
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(40, 3))
    seeds = [np.random.SeedSequence(1), np.random.SeedSequence(1)]
    first, again = (
        kernel_distances(x, y, np.random.Generator(np.random.Philox(s)), 4) for s in seeds
    )
    np.testing.assert_array_equal(first, again)
    mean, error = mean_with_error(kernel_distances(x[:40], y, rng, num_subsets=1))
    assert mean == pytest.approx(mmd2(x[:40], y), rel=1e-12)
    assert error is None
    with pytest.raises(UserError, match="30 subsets needs at least 60 images, not 40"):
        kernel_distances(x, y, rng, num_subsets=30)


def test_kid_agrees_with_torch_fidelity(rng):
    theirs = pytest.importorskip("torch_fidelity.metric_kid", reason="torch-fidelity is not here")
    torch = pytest.importorskip("torch")
    x, y = rng.normal(size=(2, 300, 12))
    settings = {"kid_subsets": 1, "kid_subset_size": 300, "verbose": False}  # all pairs, as mmd2
    scores = theirs.kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **settings)
    assert mmd2(x, y) == pytest.approx(scores[theirs.KEY_METRIC_KID_MEAN], rel=1e-6)
