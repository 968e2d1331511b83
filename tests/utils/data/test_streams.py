"""Streams and passes: order and augmentation are functions of seed, epoch and position."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from utils.data.pictures import Augmentation, flip, padded_crop, to_float
from utils.data.sets import StreamedDataset
from utils.data.sources import keep_classes
from utils.data.streams import TrainingStream, evaluation_batches, load_data, require_labels
from utils.errors import UserError
from utils.seeds import Purpose, host_rng


def names(images: np.ndarray) -> list[int]:
    """Return the numbers that `image_folder` stored in its pictures."""
    return np.rint((images[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def all_names(batches) -> list[int]:
    return names(np.concatenate(list(batches)))


def test_an_epoch_is_one_pass_in_another_order_each_time(config):
    stream = TrainingStream(load_data(config), batch_size=3, seed=5)
    epochs = [all_names(stream.batch(4 * e + i) for i in range(4)) for e in range(3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_batches_are_float_images_in_minus_one_to_one(config):
    images = TrainingStream(load_data(config), batch_size=12).batch(0)
    assert images.shape == (12, 12, 12, 3)
    assert images.dtype == np.float32
    assert -1 <= images.min() < -0.9 < 0.9 < images.max() <= 1


def test_the_order_is_decided_by_seed_and_purpose(config):
    dataset = load_data(config)

    def order(seed, purpose):
        return names(TrainingStream(dataset, batch_size=12, seed=seed, purpose=purpose).batch(0))

    assert order(1, Purpose.DATA) == order(1, Purpose.DATA)
    assert order(1, Purpose.DATA) != order(2, Purpose.DATA)
    assert order(1, Purpose.DATA) != order(1, Purpose.CHAIN_DATA)


@pytest.mark.parametrize(
    ("memory", "augmentation"), [(100, "data_flip"), (0, "data_flip"), (0, "random_crop")]
)
def test_opening_at_an_update_reads_what_an_uninterrupted_run_reads(
    image_folder, memory, augmentation
):
    config = {
        "data_type": "image_folder", "data_dir": str(image_folder), "image_dims": [8, 8, 3],
        "data_memory": memory, augmentation: True,
    }  # fmt: skip
    dataset = load_data(config)
    settings = {"batch_size": 4, "positions": slice(1, 3), "seed": 3}
    whole = TrainingStream(dataset, **settings)
    read = [whole.batch(update) for update in range(6)]
    for update in (5, 2):
        resumed = TrainingStream(dataset, **settings)
        np.testing.assert_array_equal(resumed.batch(update), read[update])
        np.testing.assert_array_equal(whole.batch(update), read[update])  # a rollback


def test_two_workers_read_together_what_one_process_reads(config):
    dataset = load_data(config)
    settings = {"batch_size": 6, "seed": 1}
    together = TrainingStream(dataset, **settings)
    cuts = (slice(0, 4), slice(4, 6))
    workers = [TrainingStream(dataset, positions=cut, **settings) for cut in cuts]
    for update in range(5):
        read = np.concatenate([worker.batch(update) for worker in workers])
        np.testing.assert_array_equal(together.batch(update), read)


def test_a_worker_opens_each_epoch_once_and_asks_for_its_own_rows_only(config, monkeypatch):
    dataset = load_data(config)
    batches, asked = dataset.batches, []

    def watched(batch_size, places, *, rows, **others):
        asked.append((places.tolist(), rows))
        return batches(batch_size, places, rows=rows, **others)

    monkeypatch.setattr(dataset, "batches", watched)
    worker = TrainingStream(dataset, batch_size=4, positions=slice(2, 4))
    for update in range(6):  # 2 epochs of 3 batches
        assert len(worker.batch(update)) == 2
    assert asked == [([0, 1, 2], slice(2, 4))] * 2


class CifarSize:
    """A stand-in for 50,000 pictures; records which batches are requested, and which are made."""

    name, split, has_labels = "cifar-size", "train", False
    num_examples = num_indices = 50_000
    augmentation = Augmentation()

    def __init__(self):
        self.asked, self.made = [], 0

    def batches(self, batch_size, places, **_):
        self.asked.append((places[0], places[-1]))
        for place in places:
            self.made += 1
            images = np.full((batch_size, 1, 1, 3), place % 256, np.uint8)
            yield images, np.zeros(batch_size), np.arange(batch_size)


def test_resuming_at_update_100_000_makes_no_batch_that_came_before():
    dataset = CifarSize()
    images = TrainingStream(dataset, batch_size=128).batch(100_000)
    assert dataset.asked == [(100_000 % 390, 389)]
    assert set(names(images)) == {100_000 % 390}
    assert dataset.made == 1


@pytest.mark.parametrize("config", ["streamed"], indirect=True)
def test_pictures_that_came_before_are_not_decoded(config, image_folder):
    first, _ = TrainingStream(load_data(config), batch_size=3).labelled_batch(0)
    for number in names(first):
        label, picture = ("cat", "dog")[number // 6], number % 6
        (image_folder / "train" / label / f"{picture}.png").write_bytes(b"")
    resumed = TrainingStream(load_data({**config, "data_corrupt": "stop"}), batch_size=3)
    assert len(all_names(resumed.batch(update) for update in (1, 2, 3))) == 9
    with pytest.raises(UserError, match="cannot be decoded"):
        resumed.batch(0)


def test_the_remainder_of_an_epoch_is_dropped_and_differs(config):
    stream = TrainingStream(load_data(config), batch_size=5)
    assert stream.batches_per_epoch == 2
    epochs = [set(names(np.concatenate([stream.batch(2 * e + i) for i in (0, 1)])))
              for e in range(6)]  # fmt: skip
    assert all(len(epoch) == 10 for epoch in epochs)
    assert len(set.union(*epochs)) == 12


def test_labels_go_with_their_images(config):
    stream = TrainingStream(load_data(config), batch_size=6)
    for update in range(4):
        images, labels = stream.labelled_batch(update)
        np.testing.assert_array_equal(labels, np.array(names(images)) // 6)


def test_labels_of_classes_without_names_are_refused(config):
    dataset = load_data(config)
    require_labels(dataset)
    dataset.class_names = None  # as for a TFDS attribute that is a number
    with pytest.raises(UserError, match="labels without class names"):
        require_labels(dataset)


UNLABELLED = {
    "image_folder": "put the pictures into sub-folders named by class",
    "npz": "add an array 'labels'",
    "celeb_a": "set label_attribute to an attribute",
}


@pytest.fixture(params=UNLABELLED)
def unlabelled(request, tmp_path, write_prepared) -> dict:
    """Return the config of one picture without a label: of a folder, an npz, TFDS."""
    config = {"data_type": request.param, "data_dir": str(tmp_path), "image_dims": [8, 8, 3]}
    if request.param == "celeb_a":
        write_prepared("celeb_a", tmp_path, 2)
    else:
        Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
        np.savez(tmp_path / "train.npz", images=np.zeros((1, 8, 8), np.uint8))
    return config


def test_each_kind_of_data_is_told_what_would_give_labels(unlabelled):
    advice = UNLABELLED[unlabelled["data_type"]]
    with pytest.raises(UserError, match=f"has no labels: {advice}"):
        require_labels(load_data(unlabelled))
    with pytest.raises(UserError, match=f"has no named classes: {advice}"):
        load_data({**unlabelled, "data_labels": ["cat"]})


def test_pictures_without_a_label_are_refused_where_labels_are_needed(config):
    """TFDS uses -1 for the secret labels of some test splits."""
    for label in (0, 8):  # the first and a later one
        dataset = load_data(config)
        source = getattr(dataset, "source", None)
        if source is None:
            dataset.labels[label] = -1
            missing = dataset
        else:

            def parse(records, label=label, source=source):
                encoded, labels = source.parse(records)
                return encoded, tf.where(tf.equal(records, label), np.int64(-1), labels)

            missing = StreamedDataset(
                dataclasses.replace(source, parse=parse), [12, 12, 3], Augmentation(), "skip"
            )
            with pytest.raises(UserError, match="have no label"):
                keep_classes(missing.source, ["cat"])
        assert len(list(evaluation_batches(missing, 12))) == 1
        with pytest.raises(UserError, match=r"have no label \(-1\)"):
            require_labels(missing)
        with pytest.raises(UserError, match=r"have no label \(-1\)"):
            TrainingStream(missing, batch_size=12).labelled_batch(0)


def test_fewer_pictures_than_a_batch_are_refused(config):
    with pytest.raises(UserError, match="12 pictures are fewer than a batch of 13"):
        TrainingStream(load_data(config), batch_size=13)


def test_evaluation_is_one_pass_in_order_with_the_last_partial_batch(config):
    batches = list(evaluation_batches(load_data({**config, "data_flip": True}), 5))
    assert [len(images) for images, _, _ in batches] == [5, 5, 2]
    assert all_names(images for images, _, _ in batches) == list(range(12))
    for images, labels, indices in batches:
        np.testing.assert_array_equal(indices, names(images))
        np.testing.assert_array_equal(labels, indices // 6)


def test_shuffled_evaluation_is_decided_by_the_seed_and_keeps_indices(config):
    dataset = load_data(config)
    orders = {}
    for seed in (1, 1, 2):
        batches = list(evaluation_batches(dataset, 5, seed=seed))
        order = np.concatenate([indices for _, _, indices in batches]).tolist()
        assert order == all_names(images for images, _, _ in batches)
        assert orders.setdefault(seed, order) == order
    assert sorted(orders[1]) == sorted(orders[2]) == list(range(12))
    assert orders[1] != orders[2]


def test_evaluation_can_start_at_a_later_batch(config):
    dataset = load_data(config)
    whole = list(evaluation_batches(dataset, 5, seed=1))
    for start in (1, 2):
        for ours, theirs in zip(
            evaluation_batches(dataset, 5, seed=1, start=start), whole[start:], strict=True
        ):
            np.testing.assert_array_equal(ours[0], theirs[0])
    assert not list(evaluation_batches(dataset, 5, start=3))


def test_random_crop_of_emoji32_pads_crops_and_flips_by_epoch_and_element(emoji_config):
    dataset = load_data({**emoji_config, "random_crop": True})
    stream = TrainingStream(dataset, batch_size=100, seed=7)
    for update in (0, 1, stream.batches_per_epoch):
        epoch, place = divmod(update, stream.batches_per_epoch)
        order = host_rng(7, Purpose.DATA, epoch, 0).permutation(1492)
        rows = order[100 * place : 100 * (place + 1)]
        draws = host_rng(7, Purpose.DATA, epoch, 1).random((1492, 3), np.float32)[rows]
        wanted = flip(padded_crop(to_float(dataset.images[rows]), draws), draws)
        np.testing.assert_array_equal(stream.batch(update), wanted)


def test_random_crop_of_other_sets_keeps_their_squares_elsewhere(image_folder):
    config = {"data_type": "image_folder", "data_dir": str(image_folder), "random_crop": True}
    stream = TrainingStream(load_data({**config, "image_dims": [12, 12, 3]}), batch_size=12)
    places = set()
    whole = {index: np.asarray(picture) for index, picture in enumerate(pictures_of(image_folder))}
    for update in range(8):
        for image in stream.batch(update):
            square = np.rint((image + 1) * 127.5).astype(np.uint8)
            places |= {
                left for picture in whole.values() for left in range(5)
                if np.array_equal(picture[:, left : left + 12], square)
            }  # fmt: skip
    assert places == {0, 1, 2, 3, 4}


def pictures_of(folder):
    return [Image.open(path) for path in sorted((folder / "train").glob("*/*.png"))]


def test_a_set_without_labels_asked_for_them_gives_one_line(config, image_folder):
    dataset = load_data({**config, "data_dir": str(image_folder / "train" / "cat")})
    with pytest.raises(UserError, match="has no labels") as error:
        TrainingStream(dataset, batch_size=3).labelled_batch(0)
    assert "\n" not in str(error.value)
    assert next(iter(evaluation_batches(dataset, 3)))[1] is None


@pytest.mark.parametrize(("side", "told"), [(8, True), (9, False)])
def test_a_random_crop_of_pictures_that_fit_is_said_to_do_nothing(tmp_path, side, told, capsys):
    np.savez(tmp_path / "data.npz", images=np.zeros((3, side, side), np.uint8))
    config = {"data_type": "npz", "data_dir": str(tmp_path / "data.npz"), "image_dims": [8, 8, 3]}
    load_data({**config, "random_crop": True})
    assert ("random_crop does nothing" in capsys.readouterr().err) == told


def test_the_version_of_a_data_set_does_not_change_its_crops(emoji_config):
    versioned = {**emoji_config, "data_type": "emoji32:1.0.0", "random_crop": True}
    assert load_data(versioned).augmentation == Augmentation(padded_crop=True)
