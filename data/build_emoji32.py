"""Build data/emoji32.npz, the embedded data set, from npm's emoji-datasource-google 16.0.0.

    npm pack emoji-datasource-google@16.0.0      # or `npm pack` through any mirror of the registry
    python3 data/build_emoji32.py emoji-datasource-google-16.0.0.tgz

The package holds the Noto emoji as one sheet of 32 px pictures, transparent, each with a border
of 1 px; the pictures are composited on white and nothing else is done to them. The package is
read where it lies, nothing is unpacked, and the same package gives the same bytes. The script
needs Pillow (matplotlib brings it) and prints the counts that stand in data/NOTICE.
"""

import argparse
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE_SHA256 = "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438"
SHEET = "package/img/google/sheets-clean/32.png"
GLYPHS = "package/emoji.json"
SIZE, BORDER = 32, 1
CLASS_NAMES = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
)


def read_package(path: Path) -> tuple[list[dict], np.ndarray]:
    """Return the package's list of glyphs and its sheet, (h, w, 4) uint8."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != PACKAGE_SHA256:
        raise SystemExit(f"error: {path} has SHA-256 {digest}, expected {PACKAGE_SHA256}")
    with tarfile.open(path) as package:
        glyphs = json.load(package.extractfile(GLYPHS))
        sheet = np.asarray(Image.open(package.extractfile(SHEET)).convert("RGBA"))
    return glyphs, sheet


def on_white(rgba: np.ndarray) -> np.ndarray:
    """Composite (..., 4) uint8 pictures on white: (..., 3) uint8."""
    rgba = rgba.astype(np.float64)
    alpha = rgba[..., 3:] / 255
    return np.round(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def cell(sheet: np.ndarray, glyph: dict) -> np.ndarray:
    """Return the (32, 32, ...) picture of a glyph."""
    step = SIZE + 2 * BORDER
    y, x = (glyph[axis] * step + BORDER for axis in ("sheet_y", "sheet_x"))
    return sheet[y : y + SIZE, x : x + SIZE]


def is_test(code_point: str) -> bool:
    """Is this base glyph, with all its variants, one of the fifth kept for testing?"""
    return int.from_bytes(hashlib.sha256(code_point.encode()).digest()[:8]) % 5 == 0


def rows(glyphs: list[dict], sheet: np.ndarray) -> list[dict]:
    """Return one row for each distinct picture, in the order of Unicode's own emoji list.

    The five skin-tone swatches ("Component") are left out. Some code points share one picture
    (the flags of Norway and Bouvet Island); the oldest code point keeps it, so that no picture of
    the test split is also in the training split.
    """
    seen, kept = set(), []
    bases = [glyph for glyph in glyphs if glyph["category"] in CLASS_NAMES]
    for base in sorted(bases, key=lambda glyph: (float(glyph["added_in"]), glyph["sort_order"])):
        variants = base.get("skin_variations", {}).values()
        for number, glyph in enumerate([base, *variants]):
            image = cell(sheet, glyph)
            if glyph["has_img_google"] and image.tobytes() not in seen:
                seen.add(image.tobytes())
                kept.append(
                    {
                        "order": (base["sort_order"], number),
                        "images": image,
                        "labels": CLASS_NAMES.index(base["category"]),
                        "names": base["short_name"],
                        "code_points": glyph["unified"],
                        "is_variant": number > 0,
                        "is_test": is_test(base["unified"]),
                    }
                )
    return sorted(kept, key=lambda row: row["order"])


def counts_table(labels: np.ndarray, is_variant: np.ndarray, is_test: np.ndarray) -> str:
    """Return the counts per class and split as a text table."""
    splits = [~is_variant & ~is_test, ~is_variant & is_test, is_variant & ~is_test]
    splits.append(is_variant & is_test)
    line = "{:<20}" + "{:>8}{:>8}{:>18}{:>16}"
    lines = [line.format("class", "train", "test", "train_variants", "test_variants")]
    for label, name in enumerate(CLASS_NAMES):
        lines.append(line.format(name, *(int((labels[s] == label).sum()) for s in splits)))
    return "\n".join([*lines, line.format("all", *(int(s.sum()) for s in splits))])


def main(argv: list[str] | None = None) -> None:
    """Write the npz beside this script and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("package", type=Path, help="emoji-datasource-google-16.0.0.tgz")
    glyphs, sheet = read_package(parser.parse_args(argv).package)
    kept = rows(glyphs, on_white(sheet))
    columns = {key: np.array([row[key] for row in kept]) for key in kept[0] if key != "order"}
    columns["labels"] = columns["labels"].astype(np.uint8)
    path = Path(__file__).resolve().parent / "emoji32.npz"
    np.savez_compressed(path, class_names=np.array(CLASS_NAMES), **columns)
    print(counts_table(*(columns[key] for key in ("labels", "is_variant", "is_test"))))
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
