"""train_clf.py as a user runs it, on the embedded data."""

import functools
import json

import h5py
import numpy as np
import pytest
from PIL import Image

import train_clf
from tests.runs import rows, splits, state
from utils.data.streams import evaluation_batches, load_data

LABELS = ["Smileys & Emotion", "Flags"]
SMALL = [
    "num_epochs=2", "lr_list=[0.05,0.005]", "lr_switch_epochs=[1]", "epoch_steps_tr=2",
    "batch_size=8", f"data_labels={LABELS}", "class_weights=[1.5,0.8]",
]  # fmt: skip


@pytest.fixture
def run(start_run):
    """Return (changes) -> run folder of a small run in an empty working directory."""
    return functools.partial(start_run, train_clf.main, "configs_clf/smoke.py", *SMALL)


def test_a_run_leaves_weights_that_say_what_they_are_curves_and_the_best_epoch(run, capsys):
    folder = run()
    # One of the first test, too: it may turn out to be the best.
    weights = {path.name for path in (folder / "checkpoints").iterdir()}
    assert weights == {"clf_1.weights.h5", "clf_2.weights.h5"}
    assert "best epoch: " in capsys.readouterr().out
    assert (folder / "plots" / "curves.png").exists()
    assert (folder / "report.html").exists()
    assert splits(folder) == ["test", "train"]
    with h5py.File(folder / "checkpoints" / "clf_2.weights.h5") as file:
        info = json.loads(file.attrs["network"])
    assert info == {
        "type": "wrn", "image_dims": [32, 32, 3], "depth": 10, "width": 1, "classes": LABELS,
    }  # fmt: skip
    assert [float(row["lr"]) for row in rows(folder)] == [0.05, 0.005]
    accuracies = [float(row["test_accuracy"]) for row in rows(folder)]
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    best = json.loads((folder / "best.json").read_text())
    assert accuracies[best["epoch"] - 1] == best["test_accuracy"] == max(accuracies)


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(run):
    whole, part = run("dropout=0.1"), run("dropout=0.1", "num_epochs=1", "lr_list=[0.05,0.005]")
    train_clf.main(["--resume", str(part), "--set", "num_epochs=2"])
    one, two = state(whole), state(part)
    assert list(one) == list(two)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    times = {"seconds": ""}
    assert [r | times for r in rows(whole)] == [r | times for r in rows(part)]


@pytest.mark.slow
def test_two_replicas_train_as_many_epochs_as_one_with_finite_losses(run):
    one, two = rows(run("random_crop=False")), rows(run("random_crop=False", "num_replicas=2"))
    assert len(one) == len(two) == 2
    assert np.isfinite([float(row["loss"]) for row in two]).all()


def test_the_whole_test_split_is_used_and_its_last_partial_batch(data_dir):
    config = {
        "data_type": "emoji32", "data_dir": data_dir, "image_dims": [32, 32, 3],
        "data_labels": LABELS,
    }  # fmt: skip
    dataset = load_data(config, "test")
    seen = []

    def first_class(images):
        seen.append(len(images))
        return np.tile(np.float32([1, 0]), (len(images), 1))

    tested = train_clf.evaluate(first_class, dataset, 64)
    labels = np.concatenate([batch[1] for batch in evaluation_batches(dataset, 64)])
    assert sum(seen) == len(labels) == 35 + 55
    assert seen[-1] == 90 - 64
    assert tested["test_accuracy"] == pytest.approx(np.mean(labels == 0))
    log_z = np.log(1 + np.e)
    assert tested["test_loss"] == pytest.approx(np.mean(log_z - (labels == 0)), rel=1e-5)


def test_rows_over_replicas_are_rows_alone():
    from tests.runs import cpus

    double = cpus(2).rows(lambda x, y: 2 * x + y, 4)
    for count in (1, 4, 7):
        x, y = np.arange(count, dtype=np.float32), np.ones(count, np.float32)
        np.testing.assert_array_equal(double(x, y), 2 * x + y)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("lr_switch_epochs=None", "one fewer than 'lr_list'"),
        ("image_dims=[32,32,2]", "'image_dims' must be [size, size, 3] or [size, size, 1]"),
        ("image_dims=[32,48,3]", "'image_dims' must be [size, size, 3]"),
        ("data_type=generator", "'data_type' must be a data set"),
        ("class_weights=[1,1,1]", "3 numbers for 2 classes"),
        ("data_labels=['Flags'] class_weights=None", "has one class, Flags"),
        ("clf_depth=11", "'clf_depth' must be 10, 16"),
        ("momentum=0", "'nesterov' needs 'momentum'"),
    ],
)
def test_mistakes_are_one_clear_line(run, capsys, change, words):
    with pytest.raises(SystemExit) as stop:
        run(*change.split())
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_dry_run_tells_the_costs_and_writes_nothing(tmp_path, monkeypatch, data_dir, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--dry-run", "--set", *SMALL, f"data_dir={data_dir}"]
    train_clf.main(["configs_clf/smoke.py", *options])
    out = capsys.readouterr().out
    assert "clf: wrn" in out
    assert "4 updates" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tested", "agrees"),
    [pytest.param("abc", True, marks=pytest.mark.slow), ("ab", True), ("ac", False)],
)
def test_the_classes_of_the_test_split_must_be_those_of_the_training_split(
    run, tmp_path, rng, capsys, tested, agrees
):
    """Labels are numbers of a split's own folders: without b, c would be number 1 there."""
    for split, classes in (("train", "abc"), ("test", tested)):
        for name in classes:
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for number in range(4):
                image = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
                Image.fromarray(image).save(folder / f"{number}.png")
    changes = ["data_type=image_folder", f"data_dir={tmp_path}/pictures", "data_labels=None"]
    changes += ["class_weights=None", "random_crop=False"]
    if agrees:
        run(*changes)
        return
    with pytest.raises(SystemExit) as stop:
        run(*changes)
    assert stop.value.code == 2
    assert "split 'train' has the classes a, b, c, split 'test' a, c" in capsys.readouterr().err
