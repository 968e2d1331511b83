import numpy as np
import pytest

from utils.errors import UserError
from utils.mcmc.banks import Bank, bank_share, choose_rejuvenated
from utils.seeds import Purpose, host_rng


def _bank(size: int = 40) -> Bank:
    """A bank whose images and latents both say at which place they were."""
    places = np.arange(size, dtype=np.float32)
    images = np.tile(places[:, None, None, None], (1, 2, 2, 3))
    return Bank(images, np.tile(places[:, None], (1, 5)))


def test_drawn_places_are_distinct_and_latents_go_with_their_images():
    bank = _bank()
    for update in range(50):
        drawn = bank.draw(16, host_rng(0, Purpose.BANK_DRAW, update))
        assert len(set(drawn.places)) == 16
        np.testing.assert_array_equal(drawn.images[:, 0, 0, 0], drawn.latents[:, 0])
        np.testing.assert_array_equal(drawn.images[:, 0, 0, 0], drawn.places)


def test_every_place_is_drawn_equally_often():
    bank, draws = _bank(), np.zeros(40)
    for update in range(2000):
        draws[bank.draw(10, host_rng(3, Purpose.BANK_DRAW, update)).places] += 1
    # Each count is binomial(2000, 1/4) with standard deviation 19.4; five of them.
    assert np.abs(draws - 500).max() < 5 * 19.4


def test_what_is_put_lies_at_its_places_and_nothing_else_moves():
    bank = _bank()
    drawn = bank.draw(8, host_rng(1, Purpose.BANK_DRAW))
    bank.put(drawn.places, drawn.images + 100, drawn.latents + 100, drawn.counts + 1)
    expected = np.arange(40.0)
    expected[drawn.places] += 100
    np.testing.assert_array_equal(bank.images[:, 1, 1, 2], expected)
    np.testing.assert_array_equal(bank.latents[:, 4], expected)
    assert bank.counts.sum() == 8
    assert not bank.untouched[drawn.places].any()
    assert bank.untouched.sum() == 32


def test_changing_drawn_rows_leaves_the_bank_alone():
    bank = _bank()
    bank.draw(8, host_rng(1, Purpose.BANK_DRAW)).images[:] = -1
    assert bank.images.min() == 0


def test_rejuvenation_has_the_given_probability():
    counts = np.zeros(100_000, np.int64)
    chosen = choose_rejuvenated(counts, 0.05, 0, host_rng(0, Purpose.BANK_DRAW))
    # Binomial: standard deviation sqrt(p (1 - p) / n); five of them.
    assert chosen.mean() == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / 1e5))


def test_states_older_than_the_limit_are_always_rejuvenated():
    counts = np.array([0, 1, 2, 3, 4, 100])
    rng = host_rng(0, Purpose.BANK_DRAW)
    assert choose_rejuvenated(counts, 0, 2, rng).tolist() == [False] * 3 + [True] * 3
    assert not choose_rejuvenated(counts, 0, 0, rng).any(), "0 is no limit"


def test_no_chain_outlives_the_limit():
    """With p = 0 and a limit of 3 a state is used for 4 updates, then rejuvenated (count 0)."""
    bank, seen = Bank(np.zeros((4, 1, 1, 3), np.float32)), []
    for update in range(12):
        rng = host_rng(0, Purpose.BANK_DRAW, update)
        drawn = bank.draw(4, rng)
        old = choose_rejuvenated(drawn.counts, 0, 3, rng)
        seen.append(int(drawn.counts[0]))
        bank.put(drawn.places, drawn.images, drawn.latents, (drawn.counts + 1) * ~old)
    assert seen == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_state_restores_a_bank_to_the_last_bit():
    bank, other = _bank(), Bank(np.zeros((40, 2, 2, 3), np.float32), np.zeros((40, 5), np.float32))
    drawn = bank.draw(8, host_rng(1, Purpose.BANK_DRAW))
    bank.put(drawn.places, drawn.images / 3, drawn.latents, drawn.counts + 2)
    other.restore({name: array.copy() for name, array in bank.state().items()})
    for name, array in bank.state().items():
        np.testing.assert_array_equal(other.state()[name], array)
    with pytest.raises(ValueError, match="images"):
        _bank(20).restore(bank.state())


@pytest.mark.parametrize(
    ("size", "batch", "replicas", "share"),
    [(1000, 32, 1, 992), (1000, 16, 2, 496), (10_000, 64, 2, 4992), (32, 32, 1, 32)],
)
def test_shares_are_multiples_of_the_batch(size, batch, replicas, share):
    assert bank_share(size, batch, replicas) == share


def test_a_bank_without_room_for_a_batch_is_refused():
    with pytest.raises(UserError, match=r"persistent_size.*at least 64"):
        bank_share(40, 32, 2)
