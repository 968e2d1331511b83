"""Decoded sets: in memory and streamed sets are equal; pictures that cannot be decoded."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from utils.data.streams import TrainingStream, evaluation_batches, first_images, load_data
from utils.errors import UserError


def test_the_data_set_is_kept_in_memory_only_if_it_fits(config):
    dataset = load_data(config)
    assert hasattr(dataset, "images") == (config["data_memory"] > 0)
    assert dataset.num_examples == 12


def test_kept_and_streamed_sets_hold_the_same_pictures(config):
    kept = load_data({**config, "image_dims": [7, 7, 3], "data_memory": 100})
    streamed = load_data({**config, "image_dims": [7, 7, 3], "data_memory": 0})
    for ours, theirs in zip(
        evaluation_batches(kept, 4), evaluation_batches(streamed, 4), strict=True
    ):
        for kept_array, streamed_array in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(kept_array, streamed_array)


def test_no_iterator_has_the_tuner_of_tf_data(config, monkeypatch):
    """It would hold an iterator that is left before its end for up to a minute."""
    read, tuned = tf.data.Dataset.as_numpy_iterator, []

    def watched(dataset):
        tuned.append(dataset.options().autotune.enabled)
        return read(dataset)

    monkeypatch.setattr(tf.data.Dataset, "as_numpy_iterator", watched)
    next(evaluation_batches(load_data({**config, "data_memory": 0}), 4))
    assert tuned
    assert set(tuned) == {False}


def names(images: np.ndarray) -> list[int]:
    """Return the numbers that `image_folder` stored in its pictures."""
    return np.rint((images[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def read_all(config) -> np.ndarray:
    return np.concatenate([images for images, _, _ in evaluation_batches(load_data(config), 5)])


def test_colour_pictures_become_grey_where_images_have_one_channel(config, image_folder, capsys):
    seen = read_all({**config, "image_dims": [12, 12, 1]})
    paths = [image_folder / "train" / c / f"{n}.png" for c in ("cat", "dog") for n in range(6)]
    luma = np.stack([np.asarray(Image.open(path).convert("L"))[:, 2:14] for path in paths])
    np.testing.assert_array_equal(np.rint((seen[..., 0] + 1) * 127.5), luma)
    said = "image_folder, split train: colour pictures become grey"
    assert capsys.readouterr().out.count(said) == 1
    for path, picture in zip(paths, luma, strict=True):
        Image.fromarray(picture).save(path)
    np.testing.assert_array_equal(read_all({**config, "image_dims": [12, 12, 1]}), seen)
    assert "grey" not in capsys.readouterr().out  # they were grey before
    np.testing.assert_array_equal(read_all(config), np.repeat(seen, 3, axis=-1))


@pytest.mark.parametrize("augmentation", ["random_crop", "data_flip"])
def test_training_sees_grey_images_of_any_size(config, augmentation):
    config = {**config, "image_dims": [7, 7, 1], augmentation: True}
    assert TrainingStream(load_data(config), batch_size=4).batch(1).shape == (4, 7, 7, 1)


def damage(folder) -> str:
    """Truncate the file of picture 4 and return its name."""
    path = folder / "train" / "cat" / "4.png"
    path.write_bytes(path.read_bytes()[:100])
    return str(path)


def test_damaged_pictures_are_named_once_counted_and_left_out(config, image_folder, capsys):
    name = damage(image_folder)
    dataset = load_data(config)
    for _ in range(2):
        batches = list(evaluation_batches(dataset, 5))
        read = np.concatenate([indices for _, _, indices in batches])
        assert read.tolist() == [0, 1, 2, 3, *range(5, 12)]
    assert dataset.corrupt == {4}
    assert capsys.readouterr().err.count(f"left out (1 so far): {name}") == 1


def test_a_damaged_picture_changes_no_other_batch_of_a_streamed_epoch(config, image_folder):
    config = {**config, "data_memory": 0}
    healthy = TrainingStream(load_data(config), batch_size=3)
    before = [names(healthy.batch(update)) for update in range(4)]
    damage(image_folder)
    stream = TrainingStream(load_data(config), batch_size=3)
    for update, batch in enumerate(before):
        place = batch.index(4) if 4 in batch else None
        if place is not None:
            batch[place] = batch[(place + 1) % 3]
        assert names(stream.batch(update)) == batch


def test_workers_replace_damaged_pictures_as_one_process_does(config, image_folder):
    """Also for a worker whose own rows of a batch are all damaged."""
    damage(image_folder)
    settings = {"batch_size": 3, "seed": 2}
    dataset = load_data({**config, "data_memory": 0})
    whole = TrainingStream(dataset, **settings)
    workers = [TrainingStream(dataset, positions=slice(i, i + 1), **settings) for i in range(3)]
    for update in range(4):
        read = np.concatenate([worker.batch(update) for worker in workers])
        np.testing.assert_array_equal(whole.batch(update), read)


def test_batches_without_damaged_pictures_are_full(config, image_folder):
    """Streamed or in memory: a batch of damaged pictures only is left out."""
    for number in (0, 1, 2, 4):
        (image_folder / "train" / "cat" / f"{number}.png").write_bytes(b"no picture")
    dataset = load_data(config)
    batches = list(evaluation_batches(dataset, 3))
    assert [indices.tolist() for _, _, indices in batches] == [[3, 5, 6], [7, 8, 9], [10, 11]]
    for (images, labels, indices), later in zip(
        batches[1:], evaluation_batches(load_data(config), 3, start=1), strict=True
    ):
        np.testing.assert_array_equal(images, later[0])
        assert names(images) == indices.tolist() == later[2].tolist()
        np.testing.assert_array_equal(labels, indices // 6)


def test_as_many_images_as_asked_for_or_one_line(config, image_folder):
    damage(image_folder)
    dataset = load_data(config)
    for count in (5, 11):
        batches = list(evaluation_batches(dataset, 3, seed=1, count=count))
        assert sum(len(images) for images, _, _ in batches) == count
        assert all(len(images) == 3 for images, _, _ in batches[:-1])
    with pytest.raises(
        UserError, match="11 pictures beside 1 damaged ones, not the required 12"
    ) as error:
        list(evaluation_batches(dataset, 3, seed=1, count=12))
    with pytest.raises(UserError, match="not the required 12"):
        next(evaluation_batches(dataset, 12, count=12))
    for most, taken in ((5, 5), (11, 11), (12, 11), (99, 11)):
        assert sum(map(len, first_images(dataset, 3, most))) == taken
        assert sum(map(len, first_images(dataset, 3, most, start=1))) == taken - 3
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("config", ["in memory", "streamed"], indirect=True)
def test_unrounded_samples_are_compared_with_unrounded_data(config):
    config = {**config, "image_dims": [7, 7, 3]}
    whole, exact = (
        np.concatenate([batch[0] for batch in evaluation_batches(load_data(settings), 5)])
        for settings in (config, {**config, "quantize": False})
    )
    assert exact.dtype == np.float32
    assert np.abs(exact - whole).max() <= 1.001 / 255
    np.testing.assert_array_equal(np.rint((exact + 1) * 127.5), np.rint((whole + 1) * 127.5))
    assert (exact != whole).mean() > 0.9
    unresized = {**config, "image_dims": [12, 12, 3], "quantize": False}
    levels = (next(evaluation_batches(load_data(unresized), 12))[0] + 1) * 127.5
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)


def test_damaged_pictures_stop_the_run_if_the_config_says_so(config, image_folder):
    name = damage(image_folder)
    with pytest.raises(UserError, match="cannot be decoded") as error:
        list(evaluation_batches(load_data({**config, "data_corrupt": "stop"}), 5))
    assert name in str(error.value)
    assert "to leave it out add --set data_corrupt=skip, or" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_generator_is_no_data_set():
    with pytest.raises(UserError, match="'generator', which is no data set: name another"):
        load_data({"data_type": "generator", "image_dims": [32, 32, 3]})


def test_a_data_set_of_damaged_pictures_is_refused(config, image_folder):
    for path in (image_folder / "train").glob("*/*.png"):
        path.write_bytes(b"no picture")
    for read in (lambda data: TrainingStream(data, batch_size=3).batch(0),
                 lambda data: list(evaluation_batches(data, 3))):  # fmt: skip
        with pytest.raises(
            UserError, match=r"are damaged; replace them|0 pictures beside 12 damaged"
        ):
            read(load_data(config))
