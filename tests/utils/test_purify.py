"""Purification as a tool: it keeps names and order, can be resumed, and overwrites nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils.attack import purify as tool
from utils.config.load import REPOSITORY
from utils.purify import main

SMALL = ["--set", "batch_size=4", "langevin_steps=2"]


def pictures(folder: Path, suffix: str = ".png") -> dict[str, np.ndarray]:
    """Return the pictures below a folder by their names."""
    paths = sorted(folder.rglob(f"*{suffix}"))
    return {str(p.relative_to(folder)): np.asarray(Image.open(p)) for p in paths}


@pytest.fixture
def source(tmp_path, rng) -> Path:
    """Return a folder of two labels with 5 pictures each, one of them damaged."""
    folder = tmp_path / "in"
    for number in range(10):
        path = folder / ["cat", "dog"][number // 5] / f"{number}.{['png', 'jpg'][number % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(path)
    (folder / "cat" / "2.png").write_bytes(b"\x89PNG, and no more")
    return folder


def run(source: Path, target: Path, *changes: str) -> None:
    main(["configs_attack/smoke.py", str(source), str(target), *SMALL, *changes])


def refused(capsys, *argv) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, argv), *SMALL])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_pictures_keep_their_names_and_damaged_ones_are_named(source, tmp_path, capsys):
    run(source, tmp_path / "out")
    found = pictures(tmp_path / "out")
    names = [f"{['cat', 'dog'][n // 5]}/{n}.png" for n in range(10) if n != 2]
    assert list(found) == names
    assert {(p.shape, p.dtype.name) for p in found.values()} == {((32, 32, 3), "uint8")}
    moved = np.abs(found["cat/0.png"].astype(int) - np.asarray(Image.open(source / "cat/0.png")))
    assert 0 < moved.mean() < 60
    note = json.loads((tmp_path / "out" / "purify.json").read_text())
    assert note["done"]
    assert note["images"] == 9
    assert [Path(path).name for path in note["damaged"]] == ["2.png"]
    assert note["setting"]["langevin_steps"] == 2
    assert "2.png" in capsys.readouterr().err


def test_a_killed_work_goes_on_to_the_same_pictures(source, tmp_path, monkeypatch):
    run(source, tmp_path / "whole")
    write, calls = tool.write, []

    def killed(*arguments):
        calls.append(write(*arguments))
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(tool, "write", killed)
    with pytest.raises(SystemExit):
        run(source, tmp_path / "part")
    assert len(pictures(tmp_path / "part")) == 4
    run(source, tmp_path / "part")
    assert len(calls) == 3, "the first batch is not purified again"
    whole, part = pictures(tmp_path / "whole"), pictures(tmp_path / "part")
    assert list(whole) == list(part)
    for name in whole:
        np.testing.assert_array_equal(whole[name], part[name])


def test_a_picture_that_comes_meanwhile_changes_no_other(source, tmp_path):
    run(source, tmp_path / "whole")
    changes = ["batch_size=4", "langevin_steps=2"]
    work = tool.open_work("configs_attack/smoke.py", str(source), str(tmp_path / "out"), changes)
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(source / "cat" / "-.png")
    tool.purify_all(work)
    whole, found = pictures(tmp_path / "whole"), pictures(tmp_path / "out")
    assert list(found) == list(whole)
    for name in whole:
        np.testing.assert_array_equal(found[name], whole[name])


@pytest.mark.parametrize("name", ["own.npz", "part_000000000.npz"])  # of a shard
def test_an_npz_keeps_its_order_and_whatever_else_it_holds(tmp_path, rng, name):
    images = rng.integers(0, 255, (6, 32, 32, 3)).astype(np.uint8)
    labels, names = np.arange(6) % 2, np.array(["cat", "dog"])
    np.savez(tmp_path / name, images=images, labels=labels, class_names=names)
    run(tmp_path / name, tmp_path / "out")
    with np.load(tmp_path / "out" / name) as found:
        assert sorted(found.files) == ["class_names", "images", "labels"]
        assert found["images"].shape == images.shape
        assert found["images"].dtype == np.uint8
        np.testing.assert_array_equal(found["labels"], labels)
        apart = np.abs(found["images"][:, None].astype(int) - images[None]).mean(axis=(2, 3, 4))
    np.testing.assert_array_equal(apart.argmin(axis=1), np.arange(6))
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == [name, "purify.json"]


@pytest.mark.parametrize("sizes", [(8, 3), (4, 8)])
def test_the_batch_size_may_change_where_a_work_goes_on(source, tmp_path, rng, monkeypatch, sizes):
    """After out of memory a smaller batch continues; every picture is purified once."""
    images = rng.integers(0, 255, (13, 32, 32, 3)).astype(np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=np.arange(13))
    first, second = (f"batch_size={size}" for size in sizes)
    for given, indices in (
        (tmp_path / "own.npz", [*range(13)]),
        (source, [0, 1, 3, 4, 5, 6, 7, 8, 9]),
    ):
        run(given, tmp_path / f"whole_{given.name}", first)
        with monkeypatch.context() as patch:
            purified = _killed_after_a_batch(patch)
            with pytest.raises(SystemExit):
                run(given, tmp_path / f"part_{given.name}", first)
            run(given, tmp_path / f"part_{given.name}", second)
        assert sorted(purified) == indices
    found, whole = (dict(np.load(tmp_path / f"{n}_own.npz" / "own.npz")) for n in ("part", "whole"))
    assert len(found["images"]) == len(found["labels"]) == 13
    np.testing.assert_allclose(found["images"].astype(int), whole["images"], atol=1)
    found, whole = (pictures(tmp_path / f"{name}_in") for name in ("part", "whole"))
    assert list(found) == list(whole)
    for name in whole:
        np.testing.assert_allclose(found[name].astype(int), whole[name], atol=1)


def _killed_after_a_batch(patch) -> list[int]:
    """Let the first write be the last one before a kill; return the list of what is written."""
    write, written = tool.write, []

    def killed(work, indices, pixels):
        write(work, indices, pixels)
        written.extend(indices.tolist())
        if len(written) == len(indices):
            raise KeyboardInterrupt

    patch.setattr(tool, "write", killed)
    return written


def test_what_cannot_be_is_refused_before_anything_is_written(source, tmp_path, capsys):
    smoke, out = "configs_attack/smoke.py", tmp_path / "out"
    before = sorted(tmp_path.rglob("*"))
    assert "is IN or lies inside it" in refused(capsys, smoke, source, source)
    assert "is IN or lies inside it" in refused(capsys, smoke, source, source / "new")
    assert "not found" in refused(capsys, smoke, tmp_path / "nowhere", out)
    assert "holds splits (test)" in refused(capsys, smoke, _with_split(source), out)
    assert "'ebm_weights' is still empty" in refused(
        capsys, "configs_attack/attack_config_cifar10.py", source, out
    )
    (source / "test" / "0.png").unlink()
    (source / "test").rmdir()
    longrun = f"ebm_weights={REPOSITORY}/examples/weights/emoji32_conv_ebm.weights.h5"
    assert "set prior_weights" in refused(capsys, smoke, source, out, "--set", longrun)
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(source / "cat" / "1.png")
    assert "would both become cat/1.png" in refused(capsys, smoke, source, out)
    (source / "cat" / "1.png").unlink()
    assert sorted(tmp_path.rglob("*")) == before


def _with_split(source: Path) -> Path:
    (source / "test").mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(source / "test" / "0.png")
    return source


def test_a_folder_of_other_work_is_left_alone(source, tmp_path, capsys):
    smoke, out = "configs_attack/smoke.py", tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "is not empty" in refused(capsys, smoke, source, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    run(source, tmp_path / "done")
    assert "is done already" in refused(capsys, smoke, source, tmp_path / "done")
    assert "no unfinished run of the same" in refused(
        capsys, smoke, source, tmp_path / "done", "--set", "seed=1"
    )


def test_a_folder_without_pictures_may_be_claimed_by_other_settings(source, tmp_path, capsys):
    """A mistake that shows in the first batch leaves nothing but a note."""
    out, smoke = tmp_path / "out", "configs_attack/smoke.py"
    changes = ["--set", "langevin_steps=1", "epsilon=1e20"]
    assert "choose a smaller 'epsilon'" in refused(capsys, smoke, source, out, *changes)
    assert not list(out.rglob("*.png"))
    run(source, out)
    assert len(pictures(out)) == 9
