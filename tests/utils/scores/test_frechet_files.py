"""Files of statistics: they load as they were saved; each refusal is one line."""

import numpy as np
import pytest

from utils.errors import UserError
from utils.scores import frechet
from utils.scores.frechet import Moments, Statistics

BARE = {"mu": np.zeros(3), "sigma": np.eye(3)}
METADATA = {"extractor": "random_conv", "image_dims": "32x32", "quantize": True}


def _features(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return correlated (n, 24) float32 features, with means far larger than their spread."""
    return (rng.normal(size=(n, 24)) @ rng.normal(size=(24, 24)) + 50).astype(np.float32)


def _statistics(features: np.ndarray) -> Statistics:
    moments = Moments(24)
    moments.add(features)
    return moments.statistics(METADATA)


def test_statistics_come_back_from_their_file_and_read_as_the_fields_tools_expect(tmp_path, rng):
    path = str(tmp_path / "data.npz")
    statistics = _statistics(_features(rng, 40))
    frechet.save_statistics(path, statistics)
    loaded = frechet.load_statistics(path, METADATA, dim=24)
    assert loaded.metadata == METADATA
    assert loaded.count == 40
    with np.load(path) as arrays:
        assert np.array_equal(arrays["mu"], loaded.mean)
        assert np.array_equal(arrays["sigma"], loaded.covariance)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extractor": "classifier"}, "are of extractor random_conv, this run has extractor class"),
        ({"image_dims": "64x64"}, "are of image_dims 32x32, this run has image_dims 64x64"),
        ({"quantize": False}, "are of quantize True, this run has quantize False"),
    ],
)
def test_statistics_of_another_kind_are_refused_by_name(tmp_path, rng, change, said):
    path = str(tmp_path / "data.npz")
    frechet.save_statistics(path, _statistics(_features(rng, 40)))
    with pytest.raises(UserError, match=said) as refusal:
        frechet.load_statistics(path, METADATA | change, dim=24)
    assert "\n" not in str(refusal.value)


def test_bare_mu_and_sigma_are_taken_with_a_warning(tmp_path, capsys):
    path = str(tmp_path / "foreign.npz")
    np.savez(path, mu=np.zeros(3), sigma=np.eye(3))
    loaded = frechet.load_statistics(path, METADATA, dim=3)
    assert loaded.count is None
    assert not loaded.is_rank_deficient
    assert "lack extractor, image_dims, quantize; used without" in capsys.readouterr().out


def test_metadata_that_a_file_lacks_are_named(tmp_path, rng, capsys):
    path = str(tmp_path / "data.npz")
    frechet.save_statistics(path, _statistics(_features(rng, 40)))
    assert frechet.load_statistics(path, METADATA | {"split": "test"}, dim=24).count == 40
    assert "lack split; used without a check" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"mu": np.zeros(4), "sigma": np.eye(4)}, r"'mu' has the shape \(4,\), but the 3 feat"),
        ({"mu": np.zeros((1, 3)), "sigma": np.eye(3)}, r"'mu' has the shape \(1, 3\)"),
        ({"mu": np.zeros(3), "sigma": np.eye(4)}, r"'sigma' has the shape \(4, 4\)"),
        ({"mu": np.full(3, np.nan), "sigma": np.eye(3)}, "'mu' holds NaN or Inf"),
        ({"mu": np.zeros(3), "sigma": np.eye(3) * 1j}, "'sigma' holds no real numbers"),
        ({"mu": np.zeros(3), "sigma": np.diag([1, 1, -0.1])}, "the negative eigenvalue -0.1"),
        ({"mu": np.zeros(3), "sigma": np.eye(3) + np.eye(3, k=1)}, "'sigma' is not symmetric"),
        (
            {**BARE, "n": [50000]},
            r"'n' must be one whole number of images, at least 2, not \[50000\]",
        ),
        ({**BARE, "n": 1}, "'n' must be one whole number"),
        ({**BARE, "n": 2.5}, "'n' must be one whole number"),
        ({**BARE, "features": np.zeros((9, 4))}, r"'features' has the shape \(9, 4\)"),
        ({**BARE, "features": np.zeros(9)}, r"'features' has the shape \(9,\)"),
        ({**BARE, "features": np.zeros((1, 3))}, r"'features' has the shape \(1, 3\)"),
        ({**BARE, "features": np.full((9, 3), np.inf)}, "'features' holds NaN or Inf"),
        ({"mean": np.zeros(3)}, "hold no arrays named mu and sigma"),
        ({"mu": np.array([{}], object), "sigma": np.eye(3)}, "are damaged"),
    ],
)
def test_files_of_other_content_are_refused_in_one_line(tmp_path, arrays, said):
    path = str(tmp_path / "wrong.npz")
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=said) as refusal:
        frechet.load_statistics(path, {}, dim=3)
    assert "\n" not in str(refusal.value)


def test_a_covariance_summed_in_float32_is_one(tmp_path, rng):
    """With fewer images than features its zero eigenvalues are rounded to either sign."""
    features = _features(rng, 12).astype(np.float32)
    rows = features - features.mean(0)
    sigma = (rows.T @ rows / np.float32(11)).astype(np.float32)
    sigma[0, 1] *= 1 + 2e-7
    assert np.linalg.eigvalsh(sigma)[0] < 0
    np.savez(tmp_path / "foreign.npz", mu=features.mean(0), sigma=sigma, n=np.float64(12))
    assert frechet.load_statistics(str(tmp_path / "foreign.npz"), METADATA, dim=24).count == 12


def test_missing_and_truncated_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "data.npz"
    with pytest.raises(UserError, match="cannot be read"):
        frechet.load_statistics(str(path), {}, dim=3)
    np.savez(path, mu=np.zeros(3), sigma=np.eye(3))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="are damaged"):
        frechet.load_statistics(str(path), {}, dim=3)
