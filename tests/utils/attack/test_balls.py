import numpy as np
import pytest

from utils.attack.balls import project, random_at_radius, random_in_ball, step_up

NORMS = ("linf", "l2")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("start", ["center", "random"])
def test_ascent_on_a_linear_loss_reaches_the_known_optimum(rng, norm, start):
    images = rng.uniform(-0.5, 0.5, (5, 4, 4, 3))
    slope, radius = rng.normal(size=images.shape), 0.1
    current = images
    if start == "random":
        current = random_in_ball(images, radius, norm, [rng] * len(images))
    for _ in range(400):
        current = project(step_up(current, slope, 0.02, norm), images, radius, norm)
    gain = np.sum(slope * (current - images), axis=(1, 2, 3))
    absolute = np.abs(slope).sum(axis=(1, 2, 3))
    known = radius * (absolute if norm == "linf" else np.sqrt((slope**2).sum(axis=(1, 2, 3))))
    np.testing.assert_allclose(gain, known, rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_projection_is_in_the_ball_and_the_pixels_range_and_leaves_inner_points(rng, norm):
    centers = rng.uniform(-1, 1, (6, 4, 4, 3))
    far = project(centers + rng.normal(size=centers.shape), centers, 0.2, norm)
    change = far - centers
    size = np.abs(change).max() if norm == "linf" else np.sqrt((change**2).sum((1, 2, 3))).max()
    assert size <= 0.2 + 1e-12
    assert np.abs(far).max() <= 1
    near = 0.9 * centers
    near = project(near, near, 0.0, norm)
    np.testing.assert_allclose(near, 0.9 * centers)


def test_in_l2_what_is_clipped_leaves_its_budget_to_other_pixels(rng):
    """Half of the pixels are white and cannot rise: the other half uses the whole budget."""
    center = np.where(np.arange(48).reshape(4, 4, 3) % 2, 1.0, 0.0)
    moved = project(center + 1.0, center, 0.5, "l2")
    assert np.linalg.norm(moved - center) == pytest.approx(0.5)
    assert moved.max() <= 1


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_alone_moves_as_in_a_batch(rng, norm):
    images, slopes = rng.uniform(-1, 1, (2, 3, 4, 4, 3)).astype(np.float32)
    together = project(step_up(images, slopes, 0.3, norm), images, 0.2, norm)
    for row in range(3):
        moved = step_up(images[row], slopes[row], 0.3, norm)
        np.testing.assert_array_equal(project(moved, images[row], 0.2, norm), together[row])


@pytest.mark.parametrize("norm", NORMS)
def test_random_starts_fill_the_ball(rng, norm):
    """Uniform draws in D = 48 dimensions: the mean of (distance / radius)^D is 1/2."""
    centers = np.zeros((2000, 4, 4, 3))
    drawn = random_in_ball(centers, 0.5, norm, [rng] * 2000).reshape(2000, -1)
    distance = np.abs(drawn).max(axis=1) if norm == "linf" else np.linalg.norm(drawn, axis=1)
    shares = (distance / 0.5) ** 48
    assert shares.max() <= 1 + 1e-9
    assert abs(shares.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 2000)  # five standard errors


@pytest.mark.parametrize("norm", NORMS)
def test_random_perturbations_of_full_size_lie_where_attacks_end(rng, norm):
    """`linf`: every pixel is at the radius; `l2`: every image. They have mean 0 and are clipped."""
    centers = np.zeros((2000, 4, 4, 3))
    drawn = random_at_radius(centers, 0.5, norm, [rng] * 2000).reshape(2000, -1)
    sizes = np.abs(drawn) if norm == "linf" else np.linalg.norm(drawn, axis=1)
    np.testing.assert_allclose(sizes, 0.5, rtol=1e-12)
    spread = 0.5 if norm == "linf" else 0.5 / np.sqrt(48)
    assert np.abs(drawn.mean(axis=0)).max() < 5 * spread / np.sqrt(2000)  # five standard errors
    at_border = random_at_radius(centers + 1, 0.5, norm, [rng] * 2000)
    assert at_border.max() == 1
    if norm == "l2":  # what the border takes, the other values get
        lengths = np.linalg.norm((at_border - 1).reshape(2000, -1), axis=1)
        np.testing.assert_allclose(lengths, 0.5, rtol=1e-6)
