"""Laws of AUROC, FPR95, their intervals, and the images that they are measured on."""

import numpy as np
import pytest

from utils.data.streams import load_data
from utils.density.outliers import (
    HELD_OUT,
    ComparedImages,
    auroc,
    false_positives,
    open_outliers,
    separation,
)
from utils.errors import UserError


def test_auroc_is_the_share_of_pairs_in_order(rng):
    inside, outside = rng.integers(0, 9, 30), rng.integers(3, 12, 40)
    pairs = np.subtract.outer(outside, inside)
    expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert auroc(inside, outside) == pytest.approx(expected)
    assert auroc(outside, inside) == pytest.approx(1 - expected), "turned round"


def test_scores_apart_are_told_apart_and_equal_ones_not(rng):
    scores = rng.standard_normal(50)
    assert auroc(scores, scores + 100) == 1
    assert auroc(scores, scores) == 0.5
    assert false_positives(scores, scores + 100) == 0
    assert false_positives(scores, scores - 100) == 1


def test_fpr95_is_the_share_of_outliers_below_what_95_percent_of_images_stay_below():
    assert false_positives(np.arange(101), np.array([0, 95, 96, 200])) == 0.5


def test_intervals_hold_the_value_and_shrink_with_more_images(rng):
    widths = []
    for count in (30, 1000):
        found = separation(rng.standard_normal(count), rng.standard_normal(count) + 1, rng)
        low, high = found["auroc_interval"]
        assert low <= found["auroc"] <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def pictures(config, *ood, count=6, noise=0.0) -> ComparedImages:
    own = load_data({**config, "data_labels": ["Flags"]}, "test")
    return ComparedImages(own, open_outliers({**config, "ood": ood}), count, noise, seed=3)


def rows(images: ComparedImages, name: str, size=4) -> np.ndarray:
    """Return the images with noise."""
    return np.concatenate([noisy for _, noisy in images.batches(name, size)])


def test_outliers_have_the_size_of_images_and_are_what_they_are_called(emoji_config):
    images = pictures(emoji_config, "uniform", "constant", "rotated")
    found = {name: rows(images, name) for name in images.names}
    assert {array.shape for array in found.values()} == {(6, 32, 32, 3)}
    np.testing.assert_array_equal(found["rotated"], np.rot90(found[HELD_OUT], axes=(1, 2)))
    assert not np.ptp(found["constant"], axis=(1, 2)).any()
    assert np.ptp(found["constant"], axis=0).any()
    assert found["uniform"].std() == pytest.approx(1 / np.sqrt(3), rel=0.02)


def test_the_data_themselves_are_no_outliers(emoji_config, image_folder, capsys):
    assert pictures(emoji_config, "emoji32", "uniform").names == [HELD_OUT, "uniform"]
    assert "'ood' 'emoji32' is left out: these are the data" in capsys.readouterr().out
    config = {**emoji_config, "data_type": "image_folder", "data_dir": str(image_folder)}
    assert [*open_outliers({**config, "ood": [f"image_folder:{image_folder}", "emoji32"]})] == [
        "emoji32"
    ]


def test_all_images_carry_the_noise_of_training_whatever_the_batches(emoji_config):
    images = pictures(emoji_config, "rotated", noise=0.1)
    for name in images.names:
        clean, noisy = map(np.concatenate, zip(*images.batches(name, 4), strict=True))
        assert (noisy - clean).std() == pytest.approx(0.1, rel=0.02)
        assert np.abs(clean).max() <= 1
        np.testing.assert_array_equal(rows(images, name, size=5), noisy)


def test_own_pictures_are_fitted_to_the_size(emoji_config, image_folder):
    name = f"image_folder:{image_folder}"
    assert rows(pictures(emoji_config, name, count=50), name).shape == (12, 32, 32, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [("unifrm", "'ood' 'unifrm': "), ("image_folder:no", "not found"), ("npz", "needs data_dir")],
)
def test_an_unknown_name_is_one_line(emoji_config, name, words):
    with pytest.raises(UserError, match=words) as told:
        open_outliers({**emoji_config, "ood": [name]})
    assert "\n" not in str(told.value)
