"""emoji32, the embedded data set: Noto emoji as a TensorFlow Datasets builder.

Importing this module registers the builder, so that `data_type: 'emoji32'` works as `cifar10` does.
The pictures come from `data/emoji32.npz` (see `data/NOTICE` for their origin, licence and counts);
preparing them needs no network.

The builder has a module of its own, because `python3 -m utils.data` would register it twice.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

ARRAYS = Path(__file__).resolve().parents[2] / "data" / "emoji32.npz"

_DESCRIPTION = """
The Noto emoji (Emoji 16.0) as 32x32 colour pictures on white, labelled with their Unicode
category. `train` and `test` hold base glyphs only, a fifth of them in `test`, chosen by a hash of
the code point; `train_variants` and `test_variants` hold the skin-tone variants of the same
glyphs. No variant of a test glyph is in a training split, and no picture occurs twice.
`train+train_variants` is everything there is to learn from.
"""


class Emoji32(tfds.core.GeneratorBasedBuilder):
    """Four splits of 32x32x3 pictures: train, test, train_variants, test_variants."""

    name = "emoji32"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Noto Emoji v2.048, from emoji-datasource-google 16.0.0."}

    def _info(self) -> tfds.core.DatasetInfo:
        with np.load(ARRAYS) as arrays:
            class_names = arrays["class_names"].tolist()
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(32, 32, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=class_names),
                    "name": tfds.features.Text(),
                    "code_points": tfds.features.Text(),
                    "is_variant": np.bool_,
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://github.com/googlefonts/noto-emoji",
            license="Apache-2.0",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager  # nothing to download
        with np.load(ARRAYS) as arrays:
            columns = dict(arrays)
        splits = {}
        for suffix, is_variant in (("", False), ("_variants", True)):
            for split, is_test in (("train", False), ("test", True)):
                rows = (columns["is_test"] == is_test) & (columns["is_variant"] == is_variant)
                splits[split + suffix] = self._generate_examples(columns, np.flatnonzero(rows))
        return splits

    def _generate_examples(self, columns: dict, rows: np.ndarray) -> Iterator[tuple[str, dict]]:
        for row in rows:
            code_points = str(columns["code_points"][row])
            yield (
                code_points,
                {
                    "image": columns["images"][row],
                    "label": int(columns["labels"][row]),
                    "name": str(columns["names"][row]),
                    "code_points": code_points,
                    "is_variant": bool(columns["is_variant"][row]),
                },
            )
