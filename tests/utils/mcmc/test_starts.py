import numpy as np
import pytest
import tensorflow as tf

from nets import create_gen
from utils.config.load import load_config
from utils.data.streams import load_data
from utils.errors import UserError
from utils.mcmc import starts
from utils.mcmc.banks import Bank, Start
from utils.replicas import Replicas
from utils.seeds import Key, Purpose, Share


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_data(_config("data", data_dir=str(tmp_path_factory.mktemp("emoji32"))))


def _config(mcmc_init: str, **changes) -> dict:
    config = {"batch_size": 4, "persistent_size": 16, "mcmc_init": mcmc_init, **changes}
    return load_config("configs/smoke.py") | {"update_generator": False} | config


def _is_data(images: np.ndarray, dataset) -> bool:
    known = {image.tobytes() for image in dataset.images}
    return all(np.rint((x + 1) * 127.5).astype(np.uint8).tobytes() in known for x in images)


def _fill(config, dataset=None, gen=None) -> list[Bank]:
    sources = starts.Sources(dataset, None, None)
    return starts.create_banks(config, Replicas(config), gen, sources, empty=False)


def test_persistent_banks_start_uniform_with_the_scale():
    scaled = _config("persistent", persistent_init_scale=0.5, persistent_size=32)
    [bank] = _fill({**scaled, "num_replicas": 2, "batch_size": 8})
    values = bank.images.ravel()
    # Uniform in [-s, s] has the variance s^2/3; its estimate's relative error is sqrt(0.8/n).
    assert np.var(values) == pytest.approx(0.25 / 3, rel=5 * np.sqrt(0.8 / values.size))
    assert np.abs(values).max() <= 0.5
    assert len(np.unique(values)) > 0.99 * values.size, "no image comes twice"


def test_data_banks_hold_data_and_two_banks_of_a_run_share_none(dataset):
    config = _config("data_persistent", burnin_size=8)
    both = [bank.images for bank in _fill(config, dataset)]
    [whole] = _fill(_config("data_persistent", persistent_size=24), dataset)
    np.testing.assert_array_equal(np.concatenate(both), whole.images)  # one stream
    assert _is_data(whole.images, dataset)
    assert len({image.tobytes() for image in whole.images}) == 24  # the stream's first epoch


def test_banks_larger_than_the_free_memory_are_refused(monkeypatch):
    changes = {"persistent_size": 64, "burnin_size": 32, "num_replicas": 2}
    config = _config("coop_persistent", **changes)
    replicas, slot = Replicas(config), 4 * (32 * 32 * 3 + 128) + 9
    monkeypatch.setattr(starts, "free_memory", lambda: 96 * slot)
    shelves = starts.bank_shelves(config, replicas)
    assert [own.num_slots for own in shelves.values()] == [64, 32]
    monkeypatch.setattr(starts, "free_memory", lambda: 96 * slot - 1)
    with pytest.raises(UserError, match=r"'persistent_size' 64 and 'burnin_size' 32: the chains "):
        starts.bank_shelves(config, replicas)


def test_the_memory_of_a_filled_bank_is_not_asked_for_again(monkeypatch):
    config = _config("persistent", persistent_size=16, burnin_size=8)
    free = iter([24 * (4 * 32 * 32 * 3 + 9), 0])  # enough for both, before either is filled
    monkeypatch.setattr(starts, "free_memory", lambda: next(free))
    assert [len(bank.images) for bank in _fill(config)] == [16, 8]


def test_generator_banks_hold_latents_and_their_images():
    config = _config("coop_persistent")
    gen = create_gen(config)
    [bank] = _fill(config, gen=gen)
    assert bank.latents.shape == (16, 128)
    np.testing.assert_allclose(bank.images, gen(bank.latents, training=False), atol=1e-5)


@pytest.mark.parametrize("trains", [False, True])
def test_only_a_generator_that_is_trained_moves_its_statistics_in_filling(trains):
    config = _config("coop_persistent", update_generator=trains)
    gen = create_gen(config)
    before = [variable.numpy() for variable in gen.non_trainable_variables]
    _fill(config, gen=gen)
    moved = [
        np.any(b != v.numpy()) for b, v in zip(before, gen.non_trainable_variables, strict=True)
    ]
    assert any(moved) == trains


def test_chains_from_data_never_start_from_the_batch_learned_on(dataset):
    config = _config("data")
    source = starts.make_host_source(config, dataset, Replicas(config))
    learned = starts.make_stream(config, dataset, Replicas(config), Purpose.DATA)
    for update in range(5):
        start, data = source(update, 0), learned.batch(update)
        assert _is_data(start, dataset)
        assert not np.array_equal(start, data)


def test_noise_starts_are_uniform_and_new_after_a_rollback():
    config = _config("noise", num_replicas=2)
    source = starts.make_host_source(config, None, Replicas(config))
    one, again, retried = source(3, 0), source(3, 0), source(3, 1)
    np.testing.assert_array_equal(one, again)
    assert np.abs(one).max() <= 1
    assert not np.array_equal(one, retried)
    assert not np.array_equal(one[0], one[1])
    alone = starts.make_host_source({**config, "num_replicas": 1}, None, Replicas(_config("noise")))
    np.testing.assert_array_equal(one, alone(3, 0))
    config = _config("coop")
    assert starts.make_host_source(config, None, Replicas(config)) is None


def test_rejuvenation_changes_only_the_chosen_places_and_latents_move_with_images(rng):
    config = _config("coop_persistent")
    gen, unread = create_gen(config), np.zeros(4)
    images = tf.constant(rng.normal(size=(4, 32, 32, 3)), tf.float32)
    latents = tf.constant(rng.normal(size=(4, 128)), tf.float32)
    chosen = tf.constant([True, False, True, False])
    start = Start(unread, images, latents, unread, chosen, unread)
    new_images, new_latents, generated = starts.rejuvenate(config, gen, Key(0, 1, 0), start, 1)
    for i in (1, 3):
        np.testing.assert_array_equal(new_images[i], images[i])
        np.testing.assert_array_equal(new_latents[i], latents[i])
    np.testing.assert_array_equal(generated, gen(new_latents, training=False))
    for i in (0, 2):
        np.testing.assert_array_equal(new_images[i], generated[i])
        assert np.all(new_latents[i] != latents[i])


@pytest.mark.parametrize("init", ["persistent", "data_persistent", "coop_persistent"])
def test_banks_hold_the_same_whatever_the_number_of_replicas(init, dataset):
    """Of a size that is no multiple of the batch, too."""
    config = _config(init, persistent_size=14, burnin_size=6)
    banks = []
    for replicas in (1, 2, 4):
        changed = {**config, "num_replicas": replicas}
        gen = create_gen(changed) if init.startswith("coop") else None
        banks.append(_fill(changed, dataset, gen))
    assert [len(bank.images) for bank in banks[0]] == [14, 6]
    for others in banks[1:]:
        for one, other in zip(banks[0], others, strict=True):
            np.testing.assert_array_equal(one.latents, other.latents)
            np.testing.assert_allclose(one.images, other.images, atol=1e-5)  # convolutions round


def test_generators_draw_for_a_share_what_they_draw_for_the_whole_batch():
    gen = create_gen(_config("coop"))
    key = Key(3, 1, 0)
    whole = starts.draw_latents(gen, key(Purpose.LATENTS), 8)
    shares = [key._replace(share=Share(tf.constant(r), 4)) for r in range(4)]
    drawn = [starts.draw_latents(gen, k(Purpose.LATENTS), 2, k.share) for k in shares]
    np.testing.assert_array_equal(tf.concat(drawn, 0), whole)
