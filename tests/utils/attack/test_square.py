import numpy as np
import pytest

from tests.toys import attacked, drive, linear
from utils.attack.balls import Ball
from utils.attack.square import bump, side_of_square, square, tiles
from utils.attack.task import Task
from utils.seeds import Purpose, host_rng

NORMS = ("linf", "l2")


def task(rng, norm: str, steps: int) -> Task:
    center = rng.uniform(-0.7, 0.7, (16, 16, 3)).astype(np.float32)
    draws = lambda step: host_rng(0, Purpose.ATTACK_SEARCH, 0, step)  # noqa: E731
    return Task(Ball(center, {"linf": 0.1, "l2": 1.0}[norm], norm), center, steps, 0.0, draws)


@pytest.mark.parametrize("norm", NORMS)
def test_what_does_not_raise_the_loss_is_taken_back(rng, norm):
    """Losses come from a list: the incumbent is the image of the highest value so far."""
    told, looks = rng.random(40), []
    search = square(task(rng, norm, 40))

    def loss(image):
        looks.append(image)
        return told[len(looks) - 1], np.zeros(0)

    looks_at = drive(search, loss, 40)
    for number in range(1, 40):
        best = looks_at[int(np.argmax(told[:number]))]
        changed = np.argwhere(np.abs(looks_at[number] - best).max(axis=2) > 1e-6)
        side = side_of_square((number - 1) / 40, (16, 16, 3))
        if norm == "linf" and len(changed):
            assert (np.ptp(changed, axis=0) < side).all(), "one square differs"
        if norm == "linf" and number == 1:
            assert np.ptp(changed, axis=0).max() == side - 1, "the first is the largest"
        if norm == "l2":  # two windows, and the scale of the rest where clipping took some
            assert len(changed) <= 256
    np.testing.assert_array_equal(looks_at[-1], looks_at[int(np.argmax(told))])


@pytest.mark.parametrize("norm", NORMS)
def test_proposals_use_the_whole_budget_and_no_more(rng, norm):
    own = task(rng, norm, 30)
    for image in drive(square(own), lambda _: (rng.random(), np.zeros(0)), 30):
        change = image - own.ball.center
        size = np.abs(change).max() if norm == "linf" else np.linalg.norm(change)
        assert size == pytest.approx(own.ball.radius, rel=1e-2)
        assert size <= own.ball.radius * (1 + 1e-5)


def test_squares_shrink_and_fit_the_picture():
    sides = [side_of_square(share, (32, 32, 3)) for share in np.linspace(0, 1, 200)]
    assert sides[0] == 29
    assert (np.diff(sides) <= 0).all()
    assert sides[-1] == 1
    assert side_of_square(0, (2, 2, 1)) == 2


@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_a_bump_has_two_peaks_of_opposite_signs_and_norm_one(rng, side):
    shape = bump(side, rng)
    assert shape.shape == (side, side, 1)
    assert np.linalg.norm(shape) == pytest.approx(1)
    assert side == 1 or shape.min() < 0 < shape.max()


@pytest.mark.parametrize("side", [3, 4, 7])
def test_a_bump_is_that_of_the_paper(rng, side):
    """A peak is a sum over rings of 1/k^2, from the pixel's ring outwards."""
    expected = np.zeros((side, side))
    parts = [(slice(0, side // 2), 1), (slice(side // 2, side), -1)]
    for rows, sign in parts:
        height = rows.stop - rows.start
        for row in range(height):
            for column in range(side):
                ring = max(abs(row - height // 2), abs(column - side // 2))
                outwards = range(ring, max(height, side) // 2 + 1)
                expected[rows][row, column] = sign * sum(1 / (k + 1) ** 2 for k in outwards)
    expected /= np.linalg.norm(expected)
    found = [bump(side, rng)[..., 0] for _ in range(20)]
    assert all(np.allclose(shape, expected) or np.allclose(shape, expected.T) for shape in found)


def test_the_first_bumps_in_l2_lie_in_the_middle(rng):
    """Five of six pixels on each side leave a pixel on both borders of 32."""
    ball = Ball(np.zeros((32, 32, 1)), 1.0, "l2")
    changed = np.argwhere(tiles(ball, rng)[..., 0] != 0)
    assert (changed.min(axis=0) == 1).all()
    assert (changed.max(axis=0) == 30).all()


@pytest.mark.parametrize("norm", NORMS)
def test_it_breaks_a_third_of_what_gradients_do_and_nothing_else(rng, norm):
    """A linear classifier of so few pixels is the hardest case for squares."""
    size = {"linf": 4.0, "l2": 25.0}[norm]
    stands, state = {}, rng.bit_generator.state
    for name, steps in (("apgd_t", 10), ("square", 100)):
        rng.bit_generator.state = state
        *toy, _ = linear(rng, attack=name, adv_norm=norm, adv_eps=size, adv_steps=steps)
        stands[name] = attacked(*toy)["class_path"][-1].astype(bool)
    assert not (stands["apgd_t"] & ~stands["square"]).any()
    assert (~stands["square"]).sum() > (~stands["apgd_t"]).sum() / 3
