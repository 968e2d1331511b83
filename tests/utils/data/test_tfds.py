"""TensorFlow Datasets: the path of published sets, old versions, labels, orders and errors."""

import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from utils.data import tfds as data_tfds
from utils.data.streams import TrainingStream, evaluation_batches, load_data, load_held_out
from utils.errors import UserError
from utils.seeds import Purpose, host_rng

PUBLISHED = [
    ("cifar10", 32, "train", True),
    ("celeb_a", 64, "train", False),
    ("imagenet2012", 64, "validation", True),
]


def config(name: str, data_dir, size: int = 32, **others) -> dict:
    return {"data_type": name, "data_dir": str(data_dir), "image_dims": [size, size, 3], **others}


@pytest.mark.parametrize(("name", "size", "split", "has_labels"), PUBLISHED)
@pytest.mark.parametrize("random_crop", [False, True])
def test_the_published_sets_go_their_real_way_on_mock_data(
    name, size, split, has_labels, random_crop
):
    with tfds.testing.mock_data(num_examples=10):
        settings = config(name, "unused_tfds", size, split=split, random_crop=random_crop)
        dataset = load_data(settings)
        assert (dataset.num_examples, dataset.has_labels) == (10, has_labels)
        stream = TrainingStream(dataset, batch_size=4)
        first, later = stream.batch(0), stream.batch(2)
        assert first.shape == later.shape == (4, size, size, 3)
        assert -1 <= first.min() < first.max() <= 1
        resumed = TrainingStream(dataset, batch_size=4)
        np.testing.assert_array_equal(resumed.batch(2), later)


def test_celebas_attributes_can_be_labels(tmp_path, write_prepared):
    write_prepared("celeb_a", tmp_path, 12)
    settings = config("celeb_a", tmp_path, 64)
    assert not load_data(settings).has_labels
    dataset = load_data({**settings, "label_attribute": "Smiling"})
    assert dataset.class_names == ("not Smiling", "Smiling")
    examples = tfds.builder("celeb_a", data_dir=tmp_path).as_dataset(
        split="train", read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    )
    smiling = [int(example["attributes"]["Smiling"]) for example in examples]
    assert dataset.labels.tolist() == smiling
    smiles = load_data({**settings, "label_attribute": "Smiling", "data_labels": ["Smiling"]})
    assert smiles.num_examples == sum(smiling)
    with pytest.raises(UserError, match=r"no attribute 'Smile' \(did you mean 'Smiling'\?\)"):
        load_data({**settings, "label_attribute": "Smile"})


def test_celeba_is_found_in_the_other_spelling_of_its_folder(tmp_path, write_prepared, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_prepared("celeb_a", tmp_path / "celeb_a_tfds", 3)
    assert load_data(config("celeb_a", "celeb-a_tfds", 64)).num_examples == 3


def test_a_folder_of_an_older_version_is_used_and_said(tmp_path, write_prepared, capsys):
    path = write_prepared("celeb_a", tmp_path, 3)
    for version in ("2.0.1", "0.3.0"):
        older = shutil.copytree(path, path.with_name(version))
        info = json.loads((older / "dataset_info.json").read_text())
        (older / "dataset_info.json").write_text(json.dumps({**info, "version": version}))
    shutil.rmtree(path)
    assert load_data(config("celeb_a", tmp_path, 64)).num_examples == 3
    assert f"using version 2.0.1, prepared in {path.with_name('2.0.1')}" in capsys.readouterr().out
    (path.with_name("2.0.1") / "features.json").unlink()
    with pytest.raises(UserError, match=r"installed TFDS cannot read .*2\.0\.1"):
        load_data(config("celeb_a", tmp_path, 64))


@pytest.fixture
def sources(emoji_dir):
    """Return the same split, read from its files and from TFDS' examples."""
    builder = tfds.builder("emoji32", data_dir=emoji_dir)
    arguments = (builder, "train[10:150]+test[:20]", ("image",), ("label",))
    return data_tfds._from_files(*arguments)[:3], data_tfds._from_examples(*arguments)[:3]


def read(source, rng=None) -> tuple[np.ndarray, ...]:
    """Return the indices, encoded pictures and labels of a source."""
    records, parse, _ = source
    chunks = records(rng).batch(64).map(lambda index, record: (index, *parse(record)))
    return tuple(np.concatenate(parts) for parts in zip(*chunks.as_numpy_iterator(), strict=True))


def test_records_read_directly_are_those_that_tfds_reads(sources):
    for ours, theirs in zip(read(sources[0]), read(sources[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_random_order_is_a_permutation_decided_by_its_generator(sources):
    ordered = read(sources[0])[1]
    for source in sources:
        once, again, other = (read(source, host_rng(0, Purpose.DATA, i))[0] for i in (1, 1, 2))
        assert sorted(once) == list(range(160))
        np.testing.assert_array_equal(once, again)
        assert (once != other).any()
        indices, encoded, _ = read(source, host_rng(0, Purpose.DATA, 1))
        np.testing.assert_array_equal(encoded, ordered[indices])


def test_a_damaged_picture_is_named_by_file_and_record(sources, emoji_dir):
    describe = sources[0][2]
    assert describe(0).endswith("emoji32-train.tfrecord-00000-of-00001, record 10")
    assert describe(139).endswith("emoji32-train.tfrecord-00000-of-00001, record 149")
    assert describe(145).endswith("emoji32-test.tfrecord-00000-of-00001, record 5")


def test_a_pass_over_many_files_is_in_the_order_of_the_files(tmp_path, write_prepared):
    write_prepared("cifar10", tmp_path, 20, files=5)
    dataset = load_data(config("cifar10", tmp_path))
    np.testing.assert_array_equal(dataset.indices, np.arange(20))
    for memory in (0, 10):
        stream = load_data(config("cifar10", tmp_path, data_memory=memory))
        images = np.concatenate([images for images, _, _ in evaluation_batches(stream, 7)])
        np.testing.assert_array_equal(np.rint((images + 1) * 127.5), dataset.images)


@pytest.mark.parametrize("deeper", ["cifar10", "cifar10/3.0.2"])
def test_a_folder_too_deep_is_told_the_right_one(tmp_path, write_prepared, deeper):
    write_prepared("cifar10", tmp_path, 2, files=1)
    with pytest.raises(UserError, match=f"is too deep: name the folder above cifar10, {tmp_path}$"):
        load_data(config("cifar10", tmp_path / deeper))


def test_a_truncated_file_stops_the_run_in_one_line(tmp_path, write_prepared):
    path = write_prepared("cifar10", tmp_path, 20)
    record_file = sorted(path.glob("*.tfrecord*"))[0]
    record_file.write_bytes(record_file.read_bytes()[:-100])
    for labels in (None, ["3"]):
        with pytest.raises(UserError, match="cifar10 cannot be read") as error:
            load_data(config("cifar10", tmp_path, data_labels=labels))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pattern", "content"),
    [
        ("*tfrecord*", None),
        ("*tfrecord*", ""),
        ("dataset_info.json", "{"),
        ("dataset_info.json", None),
    ],
)
def test_a_folder_that_was_copied_in_part_is_one_line(tmp_path, write_prepared, pattern, content):
    file = sorted(write_prepared("cifar10", tmp_path, 20).glob(pattern))[0]
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(UserError, match=r"prepare it again|is not prepared") as error:
        load_data(config("cifar10", tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data_type": "cifr10"}, r"no data set 'cifr10' \(did you mean 'cifar10'\?\)"),
        ({"data_type": "cifar10:9.9.9"}, "data_type 'cifar10:9.9.9'"),
        ({"data_type": "celeb_a"}, "celeb_a is not prepared .*img_align_celeba.zip.*--manual-dir"),
        ({"data_type": "imagenet2012"}, "put ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar"),
        ({"split": "validation"}, "no split 'validation'; there are: train, test, train_variants"),
        ({"split": "train[5"}, r"no split 'train\[5'"),
        ({"split": "all[:10%]"}, r"no split 'all\[:10%\]'; there are: train, test"),
        ({"split": "test[:0]"}, r"'test\[:0\]' is empty|no picture"),
        ({"data_labels": ["Faces"]}, "no class 'Faces'"),
        ({"label_attribute": "name"}, "'name' of emoji32 has no classes"),
    ],
)
def test_wrong_names_are_told_in_one_line(emoji_config, changes, line):
    with pytest.raises(UserError, match=line) as error:
        load_data({**emoji_config, **changes})
    assert "\n" not in str(error.value)


def test_a_data_set_without_pictures_is_refused():
    with (
        tfds.testing.mock_data(num_examples=2),
        pytest.raises(UserError, match="holds no pictures"),
    ):
        load_data(config("imdb_reviews", "unused_tfds"))


def test_reading_starts_no_random_generator_of_tensorflow(sources):
    generator = tf.random.Generator.from_seed(0)
    tf.random.set_global_generator(generator)
    state = generator.state.numpy()
    read(sources[0], host_rng(0, Purpose.DATA))
    np.testing.assert_array_equal(tf.random.get_global_generator().state.numpy(), state)


@pytest.mark.parametrize("held_out", ["train[99:120]", "test+train[:1]", "train[50%:60%]"])
def test_pictures_that_are_learned_from_are_not_held_out(emoji_dir, held_out):
    learned = config("emoji32", emoji_dir, split="train[:100]+train[700:]")
    dataset = load_data(learned)
    message = f"'heldout_split' '{held_out}' has pictures of 'split'"
    with pytest.raises(UserError, match=re.escape(message)):
        load_held_out(learned | {"heldout_split": held_out}, dataset)
    load_held_out(learned | {"heldout_split": "train[100:200]+test"}, dataset)
