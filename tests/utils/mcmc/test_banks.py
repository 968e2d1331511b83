import numpy as np
import pytest

from utils.errors import UserError
from utils.mcmc.banks import Bank, Shelves, choose_rejuvenated, make_shelves, redraw_counts
from utils.seeds import Purpose, host_rng


def _bank(size: int = 40, batch: int = 8) -> Bank:
    """A bank whose images and latents both say at which place they were."""
    slots = np.arange(size, dtype=np.float32)
    images = np.tile(slots[:, None, None, None], (1, 2, 2, 3))
    shelves = Shelves(size, batch, slice(0, batch))
    return Bank(shelves, images, np.tile(slots[:, None], (1, 5)))


def test_drawn_places_are_distinct_and_latents_go_with_their_images():
    bank = _bank(batch=16)
    for update in range(50):
        drawn = bank.draw(host_rng(0, Purpose.BANK_DRAW, update))
        assert len(set(drawn.slots)) == 16
        np.testing.assert_array_equal(drawn.images[:, 0, 0, 0], drawn.latents[:, 0])
        np.testing.assert_array_equal(drawn.images[:, 0, 0, 0], drawn.slots)


def test_each_place_is_drawn_at_the_rate_of_its_shelf_and_none_is_left_off():
    """43 slots on 10 shelves: the first three shelves have 5 slots, the others 4."""
    bank, draws = _bank(43, 10), np.zeros(43)
    for update in range(2000):
        slots = bank.draw(host_rng(3, Purpose.BANK_DRAW, update)).slots
        assert (slots % 10).tolist() == list(range(10)), "each position draws from its shelf"
        draws[slots] += 1
    rates = np.where(np.arange(43) % 10 < 3, 1 / 5, 1 / 4)
    # Each count is binomial(2000, rate); five of its standard deviations.
    assert (np.abs(draws - 2000 * rates) < 5 * np.sqrt(2000 * rates * (1 - rates))).all()


@pytest.mark.parametrize("size", [8, 21, 22, 24])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_of_a_batch_have_their_shelves_of_the_whole_bank_and_draw_the_same(size, parts):
    whole, width, found = Shelves(size, 8, slice(0, 8)), 8 // parts, []
    drawn = whole.draw(host_rng(0, Purpose.BANK_DRAW))
    counts = Bank(whole, np.zeros(size))
    redraw_counts(counts, 100, host_rng(0, Purpose.BURN_IN_COUNTS))
    for part in range(parts):
        own = Shelves(size, 8, slice(part * width, (part + 1) * width))
        slots = np.array([p for p in range(size) if p % 8 // width == part])
        assert own.num_slots == len(slots)
        layers = [slots[own.rows(layer)] // 8 for layer in range(own.layers)]
        assert all((found == layer).all() for layer, found in enumerate(layers))
        rows = own.draw(host_rng(0, Purpose.BANK_DRAW))
        np.testing.assert_array_equal(slots[rows], drawn[own.positions])
        bank = Bank(own, np.zeros(len(slots)))
        redraw_counts(bank, 100, host_rng(0, Purpose.BURN_IN_COUNTS))
        np.testing.assert_array_equal(bank.counts, counts.counts[slots])
        found += slots.tolist()
    assert sorted(found) == list(range(size))


def test_what_is_put_lies_at_its_places_and_nothing_else_moves():
    bank = _bank()
    drawn = bank.draw(host_rng(1, Purpose.BANK_DRAW))
    bank.put(drawn.slots, drawn.images + 100, drawn.latents + 100, drawn.counts + 1)
    expected = np.arange(40.0)
    expected[drawn.slots] += 100
    np.testing.assert_array_equal(bank.images[:, 1, 1, 2], expected)
    np.testing.assert_array_equal(bank.latents[:, 4], expected)
    assert bank.counts.sum() == 8
    assert not bank.untouched[drawn.slots].any()
    assert bank.untouched.sum() == 32


def test_changing_drawn_rows_leaves_the_bank_alone():
    bank = _bank()
    bank.draw(host_rng(1, Purpose.BANK_DRAW)).images[:] = -1
    assert bank.images.min() == 0


def test_rejuvenation_has_the_given_probability():
    counts = np.zeros(100_000, np.int64)
    draws = host_rng(0, Purpose.BANK_DRAW).random(len(counts))
    chosen = choose_rejuvenated(counts, 0.05, 0, draws)
    # Binomial: standard deviation sqrt(p (1 - p) / n); five of them.
    assert chosen.mean() == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / 1e5))


def test_states_older_than_the_limit_are_always_rejuvenated():
    counts = np.array([0, 1, 2, 3, 4, 100])
    draws = host_rng(0, Purpose.BANK_DRAW).random(len(counts))
    assert choose_rejuvenated(counts, 0, 2, draws).tolist() == [False] * 3 + [True] * 3
    assert not choose_rejuvenated(counts, 0, 0, draws).any(), "0 is no limit"


def test_no_chain_outlives_the_limit():
    """With p = 0 and a limit of 3 a state is used for 4 updates, then rejuvenated (count 0)."""
    bank, seen = _bank(4, 4), []
    for update in range(12):
        rng = host_rng(0, Purpose.BANK_DRAW, update)
        drawn = bank.draw(rng)
        old = choose_rejuvenated(drawn.counts, 0, 3, rng.random(4))
        seen.append(int(drawn.counts[0]))
        bank.put(drawn.slots, drawn.images, drawn.latents, (drawn.counts + 1) * ~old)
    assert seen == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_state_restores_a_bank_to_the_last_bit():
    bank, other = _bank(), _bank()
    drawn = bank.draw(host_rng(1, Purpose.BANK_DRAW))
    bank.put(drawn.slots, drawn.images / 3, drawn.latents, drawn.counts + 2)
    other.restore({name: array.copy() for name, array in bank.state().items()})
    for name, array in bank.state().items():
        np.testing.assert_array_equal(other.state()[name], array)
    with pytest.raises(ValueError, match="images"):
        _bank(20).restore(bank.state())


def test_a_bank_smaller_than_the_batch_is_refused():
    with pytest.raises(UserError, match=r"'burnin_size' 40 is below 'batch_size' 64.*at least 64"):
        make_shelves(40, 64, slice(0, 64), "burnin_size")
    assert make_shelves(64, 64, slice(0, 64), "burnin_size").num_slots == 64
