import numpy as np
import pytest
from PIL import Image

from utils.run.plots import correlation, save_diagnostics


@pytest.mark.parametrize("lag", [-3, 0, 1, 4])
def test_correlation_is_the_mean_over_pairs_that_exist(rng, lag):
    one, two = rng.normal(size=(2, 30))
    pairs = [one[t] * two[t + lag] for t in range(30) if 0 <= t + lag < 30]
    assert correlation(one, two, np.array([lag]))[0] == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("updates", [1, 40])
def test_diagnostics_are_drawn_from_the_first_update_on(tmp_path, rng, updates):
    save_diagnostics(rng.normal(size=updates), rng.random(updates), str(tmp_path / "d.png"))
    with Image.open(tmp_path / "d.png") as picture:
        assert picture.size == (1100, 700)
        assert len(set(picture.convert("L").tobytes())) > 20
