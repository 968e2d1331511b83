import numpy as np
import pytest
import tensorflow as tf

from nets import create_gen
from utils import starts
from utils.config import load_config
from utils.data import load_data
from utils.devices import make_strategy
from utils.errors import UserError
from utils.seeds import Purpose, fold


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_data(_config("data", data_dir=str(tmp_path_factory.mktemp("emoji32"))))


def _config(mcmc_init: str, **changes) -> dict:
    return {**load_config("configs/smoke.py"), "mcmc_init": mcmc_init, **changes}


def _is_data(images: np.ndarray, dataset) -> bool:
    known = {image.tobytes() for image in dataset.images}
    return all(np.rint((x + 1) * 127.5).astype(np.uint8).tobytes() in known for x in images)


def _fill(config, dataset=None, gen=None, replicas=1, first=0, trains_gen=False):
    return starts.fill_banks(
        config, 16, 4, dataset=dataset, gen=gen, trains_gen=trains_gen,
        strategy=make_strategy("cpu", replicas), first=first,
    )  # fmt: skip


def test_persistent_banks_start_uniform_with_the_scale():
    banks = _fill(_config("persistent", persistent_init_scale=0.5), replicas=2)
    values = np.concatenate([bank.images for bank in banks]).ravel()
    # Uniform in [-s, s] has the variance s^2/3; its estimate's relative error is sqrt(0.8/n).
    assert np.var(values) == pytest.approx(0.25 / 3, rel=5 * np.sqrt(0.8 / values.size))
    assert np.abs(values).max() <= 0.5
    assert not np.array_equal(banks[0].images, banks[1].images)


def test_data_banks_hold_data_and_two_banks_of_a_run_share_none(dataset):
    one, next_one, other = (
        _fill(_config("data_persistent"), dataset, first=first)[0].images for first in (0, 1, 4)
    )
    assert _is_data(one, dataset)
    np.testing.assert_array_equal(one[4:], next_one[:-4])  # batches of one stream, in its order
    pictures = {image.tobytes() for image in one}
    assert len(pictures) == 16  # the stream's first epoch
    assert not pictures & {image.tobytes() for image in other}


def test_banks_larger_than_the_free_memory_are_refused(monkeypatch):
    config, strategy = _config("coop_persistent", persistent_size=64), make_strategy("cpu", 2)
    place = 4 * (32 * 32 * 3 + 128) + 9
    monkeypatch.setattr(starts, "free_memory", lambda: 64 * place)
    starts.require_memory(config, {"persistent_size": 32}, strategy)
    monkeypatch.setattr(starts, "free_memory", lambda: 64 * place - 1)
    with pytest.raises(UserError, match=r"'persistent_size' 64: the chains take 0\.0 GiB .* free"):
        starts.require_memory(config, {"persistent_size": 32}, strategy)


def test_generator_banks_hold_latents_and_their_images():
    config = _config("coop_persistent")
    gen = create_gen(config)
    (bank,) = _fill(config, gen=gen)
    assert bank.latents.shape == (16, 128)
    np.testing.assert_allclose(bank.images, gen(bank.latents, training=False), atol=1e-5)


@pytest.mark.parametrize("trains", [False, True])
def test_only_a_generator_that_is_trained_moves_its_statistics_in_filling(trains):
    config = _config("coop_persistent")
    gen = create_gen(config)
    before = [variable.numpy() for variable in gen.non_trainable_variables]
    _fill(config, gen=gen, trains_gen=trains)
    moved = [
        np.any(b != v.numpy()) for b, v in zip(before, gen.non_trainable_variables, strict=True)
    ]
    assert any(moved) == trains


def test_chains_from_data_never_start_from_the_batch_learned_on(dataset):
    config, strategy = _config("data"), make_strategy("cpu")
    source = starts.make_host_source(config, dataset, 4, strategy)
    learned = starts.make_stream(config, dataset, 4, strategy, Purpose.DATA)
    for update in range(5):
        start, data = source(update, 0)[0], learned.batches(update)[0]
        assert _is_data(start, dataset)
        assert not np.array_equal(start, data)


def test_noise_starts_are_uniform_and_new_after_a_rollback():
    source = starts.make_host_source(_config("noise"), None, 4, make_strategy("cpu", 2))
    one, again, retried = source(3, 0), source(3, 0), source(3, 1)
    np.testing.assert_array_equal(one, again)
    assert np.abs(one).max() <= 1
    assert not np.array_equal(one, retried)
    assert not np.array_equal(one[0], one[1])
    assert starts.make_host_source(_config("coop"), None, 4, make_strategy("cpu")) is None


def test_renewal_changes_only_the_chosen_places_and_latents_move_with_images(rng):
    config = _config("coop_persistent")
    gen = create_gen(config)
    images = tf.constant(rng.normal(size=(4, 32, 32, 3)), tf.float32)
    latents = tf.constant(rng.normal(size=(4, 128)), tf.float32)
    chosen = tf.constant([True, False, True, False])
    new_images, new_latents = starts.renew(
        images, latents, chosen, gen=gen, generate=starts.make_generate(gen, "gen_sngan"),
        key=fold(0, Purpose.LATENTS, 1), training=False,
    )  # fmt: skip
    for i in (1, 3):
        np.testing.assert_array_equal(new_images[i], images[i])
        np.testing.assert_array_equal(new_latents[i], latents[i])
    generated = gen(new_latents, training=False)
    for i in (0, 2):
        np.testing.assert_array_equal(new_images[i], generated[i])
        assert np.all(new_latents[i] != latents[i])
