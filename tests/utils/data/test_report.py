"""`python3 -m utils.data` as a user runs it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils.data.__main__ import example_grid, main
from utils.data.report import report_dataset
from utils.data.streams import TrainingStream, data_config, load_data
from utils.errors import UserError

LABELS = "t10k-labels-idx1-ubyte.gz"


def write_config(folder: Path, **changes) -> str:
    config = {
        "data_type": "emoji32", "image_dims": [32, 32, 3], "data_epsilon": 0.1, "batch_size": 8,
        "ebm_weights": "", **changes,
    }  # fmt: skip
    path = folder / "config.py"
    path.write_text(f"config = {config!r}\n")
    return str(path)


def test_the_command_line_counts_classes_and_draws_what_the_network_sees(
    tmp_path, emoji_dir, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    main([write_config(tmp_path, data_dir=emoji_dir), "--set", "data_labels=['Flags', 'Objects']"])
    printed = capsys.readouterr().out
    for told in ("train 1,492, test 400", "425 pictures", "Flags: 206", "Objects: 219"):
        assert told in printed
    with Image.open(tmp_path / "data.png") as grid:
        assert grid.size == (274, 274)


def test_the_grid_shows_augmented_data_with_their_noise(emoji_config):
    dataset = load_data({**emoji_config, "random_crop": True})
    clean = TrainingStream(dataset, batch_size=64).batch(0)
    shown = example_grid(dataset, {**emoji_config, "data_epsilon": 0.1})
    assert np.std(shown - clean) == pytest.approx(0.1, rel=0.02)


def test_the_command_line_looks_at_no_other_key(tmp_path):
    config = data_config(write_config(tmp_path, net_type=3), ["split=test", "data_epsilon=None"])
    assert config["split"] == "test"
    assert config["data_corrupt"] == "skip"
    assert config["data_epsilon"] == 0, "of a config of fid.py, too, which leaves it open"
    with pytest.raises(UserError, match="'image_dims' must be"):
        data_config(write_config(tmp_path, image_dims=32), [])


def test_a_folder_without_labels_is_told_what_would_give_them(tmp_path, capsys):
    Image.new("RGB", (32, 32)).save(tmp_path / "0.png")
    report_dataset(load_data({"data_type": "image_folder", "data_dir": str(tmp_path),
                              "image_dims": [32, 32, 3]}))  # fmt: skip
    assert "to have some, put the pictures into sub-folders" in capsys.readouterr().out


def test_a_generators_data_need_no_preparation(tmp_path, capsys):
    main([write_config(tmp_path, data_type="generator")])
    assert "nothing to prepare" in capsys.readouterr().out


def test_the_command_line_tells_files_sizes_checksums_space_and_commands(tmp_path, capsys):
    manual = tmp_path / "data" / "downloads" / "manual"
    fill(manual, LABELS, 5148)
    fill(manual, "train-labels-idx1-ubyte.gz", 1)
    with pytest.raises(SystemExit) as exit_status:
        main([write_config(tmp_path, data_type="fashion_mnist", data_dir=str(tmp_path / "data"))])
    assert exit_status.value.code == 1
    printed = capsys.readouterr().out
    for told in (
        f"{LABELS}: 5,148 bytes, there\n",
        "train-images-idx3-ubyte.gz: 26,421,880 bytes, missing",
        "train-labels-idx1-ubyte.gz: 29,515 bytes, there with 1 bytes: truncated",
        "SHA-256 67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "about 0.07 GB needed",
        "python3 -m utils.data CONFIG --prepare --manual-dir DIR",
    ):
        assert told in printed


@pytest.mark.parametrize("config", ["in memory"], indirect=True)
@pytest.mark.parametrize(("names", "label"), [(None, 10**12), (("cat", "dog"), -1)])
def test_labels_without_a_name_are_counted_by_their_numbers(config, capsys, names, label):
    dataset = load_data(config)
    dataset.class_names, dataset.labels[3:] = names, label
    report_dataset(dataset)
    assert f"{label}: 9\n" in capsys.readouterr().out


def test_the_command_line_prepares(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main([write_config(tmp_path, data_dir=str(tmp_path / "data")), "--prepare"])
    assert "preparing emoji32 in" in capsys.readouterr().out
    assert (tmp_path / "data.png").exists()


def test_the_command_line_gives_errors_as_one_line(tmp_path, capsys):
    fill(tmp_path / "files", LABELS, 1)
    path = write_config(tmp_path, data_type="fashion_mnist", data_dir=str(tmp_path / "data"))
    with pytest.raises(SystemExit) as exit_status:
        main([path, "--prepare", "--manual-dir", str(tmp_path / "files")])
    assert exit_status.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


def fill(folder: Path, name: str, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(bytes(size))
