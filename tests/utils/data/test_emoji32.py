"""The embedded data set: what it holds, how it is split, and how it was built."""

import io
import json
import runpy
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from utils.data.emoji32 import ARRAYS
from utils.data.streams import load_data


@pytest.fixture(scope="module")
def arrays():
    with np.load(ARRAYS) as stored:
        return dict(stored)


@pytest.fixture
def builder(repository):
    return runpy.run_path(str(repository / "data" / "build_emoji32.py"))


def base(code_points: str) -> str:
    """Return code points without skin tones (1F3FB to 1F3FF) and variation selectors."""
    tones = {f"1F3F{digit}" for digit in "BCDEF"}
    return "-".join(c for c in code_points.split("-") if c not in tones | {"FE0F"})


def test_it_is_about_four_megabytes_of_plain_arrays(arrays):
    assert ARRAYS.stat().st_size < 4e6
    assert arrays["images"].shape == (3762, 32, 32, 3)
    assert arrays["images"].dtype == np.uint8
    assert len(arrays["class_names"]) == 9


def test_no_picture_occurs_twice_so_none_is_in_both_train_and_test(arrays):
    assert len({image.tobytes() for image in arrays["images"]}) == len(arrays["images"])


def test_variants_are_in_the_split_of_their_base_glyph(arrays):
    split = {
        base(code): is_test
        for code, is_test, is_variant in zip(
            arrays["code_points"], arrays["is_test"], arrays["is_variant"], strict=True
        )
        if not is_variant
    }
    variants = np.flatnonzero(arrays["is_variant"])
    checked = [i for i in variants if base(arrays["code_points"][i]) in split]
    assert len(checked) > 1500  # glyphs of two people spell their variants in another way
    assert all(split[base(arrays["code_points"][i])] == arrays["is_test"][i] for i in checked)


def test_a_fifth_of_the_base_glyphs_is_for_testing(arrays, builder):
    is_base = ~arrays["is_variant"]
    assert 0.17 < arrays["is_test"][is_base].mean() < 0.23
    chosen = [builder["is_test"](code) for code in arrays["code_points"][is_base]]
    np.testing.assert_array_equal(chosen, arrays["is_test"][is_base])


def test_the_notice_has_the_counts_and_the_licence(arrays, builder, repository):
    notice = (repository / "data" / "NOTICE").read_text()
    assert (
        builder["counts_table"](arrays["labels"], arrays["is_variant"], arrays["is_test"]) in notice
    )
    assert "Apache License, Version 2.0" in notice


def test_prepared_splits_hold_the_arrays_pixel_by_pixel(arrays, emoji_config):
    for split, is_test, is_variant in (("train", False, False), ("test_variants", True, True)):
        rows = (arrays["is_test"] == is_test) & (arrays["is_variant"] == is_variant)
        stored = {
            image.tobytes(): label
            for image, label in zip(arrays["images"][rows], arrays["labels"][rows], strict=True)
        }
        dataset = load_data(emoji_config, split)
        prepared = {
            image.tobytes(): label
            for image, label in zip(dataset.images, dataset.labels, strict=True)
        }
        assert prepared == stored


def test_an_example_tells_its_name_and_whether_it_is_a_variant(emoji_dir):
    prepared = tfds.builder("emoji32", data_dir=emoji_dir)
    (example,) = prepared.as_dataset(split="test_variants[:1]")
    assert example["is_variant"].numpy()
    assert example["name"].numpy()
    assert example["code_points"].numpy()


def test_train_is_base_glyphs_and_train_with_variants_is_all_there_is_to_learn(emoji_config):
    assert load_data(emoji_config).num_examples == 1492
    assert load_data(emoji_config, "train+train_variants").num_examples == 1492 + 1415


def glyph(column: int, code: str, *, category="Symbols", added="1.0", **others) -> dict:
    return {
        "unified": code, "short_name": code.lower(), "category": category, "added_in": added,
        "sort_order": column, "sheet_x": column, "sheet_y": 0, "has_img_google": True, **others,
    }  # fmt: skip


def test_building_composites_on_white_and_keeps_the_older_of_two_equal_glyphs(builder, rng):
    sheet = np.zeros((34, 34 * 5, 4), np.uint8)
    tiles = rng.integers(0, 256, (5, 32, 32, 4)).astype(np.uint8)
    tiles[1] = tiles[0]
    for column, tile in enumerate(tiles):
        sheet[1:33, 34 * column + 1 : 34 * column + 33] = tile
    variant = {"unified": "C-1F3FB", "sheet_x": 3, "sheet_y": 0, "has_img_google": True}
    glyphs = [
        glyph(0, "YOUNGER", added="16.0"),
        glyph(1, "OLDER"),
        glyph(2, "C", skin_variations={"1F3FB": variant}),
        glyph(4, "SWATCH", category="Component"),
    ]
    kept = builder["rows"](glyphs, builder["on_white"](sheet))
    assert [row["code_points"] for row in kept] == ["OLDER", "C", "C-1F3FB"]
    assert [row["is_variant"] for row in kept] == [False, False, True]
    alpha = tiles[2][..., 3:] / 255
    wanted = np.round(tiles[2][..., :3] * alpha + 255 * (1 - alpha))
    np.testing.assert_array_equal(kept[1]["images"], wanted)


def test_building_refuses_another_package(builder, tmp_path):
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as package:
        for name, content in (("emoji.json", json.dumps([]).encode()), ("32.png", one_pixel())):
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            package.addfile(info, io.BytesIO(content))
    with pytest.raises(SystemExit, match="SHA-256"):
        builder["main"]([str(path)])


def one_pixel() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()
