"""Every command of examples/published_cifar10.md, on stand-ins for what is not here."""

import importlib
import json

import numpy as np
import pytest

from tests.examples.test_pages import commands_of
from tests.nets.cases import create, weights_of
from tests.stand_in_graph import stand_in_graph
from tests.utils.test_import_weights import published_arrays, write_checkpoint

WIDTH = 8
STAND_INS = {  # row of the published variables, kind and size, what makes it narrow
    **dict.fromkeys(
        ("nonconv_ebm", "medconv_ebm", "prior_ebm", "conv_ebm"),
        ("ebm_sngan_32", ("ebm_sngan", 32), {"ebm_width": WIDTH}),
    ),
    **dict.fromkeys(
        ("nonconv_gen", "gen"), ("gen_sngan_32", ("gen_sngan", 32), {"gen_width": WIDTH})
    ),
    "clf": (  # as many classes as there are kinds of emoji
        "clf_wrn_28_10", ("clf_wrn", 32), {"clf_depth": 28, "clf_width": 2, "num_classes": 9},
    ),
}  # fmt: skip
SMALL = {
    "fid.py": ["num_samples=4", "batch_size=2", "mcmc_steps=4", "reference_samples=4"],
    "attack.py": [
        *("batch_size=2", "end_batch=1", "adv_steps=1"), "eot_attack_reps=2", "eot_defense_reps=2",
    ],
    "utils.data": [],
}  # fmt: skip


@pytest.fixture
def stand_ins(tmp_path, monkeypatch, data_dir):
    """Go to a folder with `weights/` in the published layout; return what commands change too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    for seed, (name, (row, kind, narrow)) in enumerate(STAND_INS.items()):
        arrays = published_arrays(row, weights_of(create(*kind, seed=seed, **narrow), np.float32))
        prefix = write_checkpoint(tmp_path / name, arrays)
        for ending in (".index", ".data-00000-of-00001"):
            (tmp_path / f"{prefix}{ending}").rename(f"weights/{name}.ckpt{ending}")
    (tmp_path / "graph.pb").write_bytes(stand_in_graph().SerializeToString())
    return ["device_type=cpu", "data_type=emoji32", f"data_dir={data_dir}"]


@pytest.mark.slow
def test_every_command_of_the_page_runs_on_stand_ins(stand_ins, repository, tmp_path):
    for command in commands_of(repository / "examples/published_cifar10.md"):
        name, *arguments = command[1:] if command[0] == "-m" else command
        if name in SMALL:
            changes = [*stand_ins, *SMALL[name], *shortened(name, arguments)]
            arguments += ["--set", *changes]
        elif name == "utils.import_weights":
            arguments += ["--width", str(WIDTH)]
        package = name in ("utils.data", "utils.attack")
        module = f"{name}.__main__" if package else name.removesuffix(".py")
        importlib.import_module(module).main(arguments)
    runs = tmp_path / "tf_out"
    assert (tmp_path / "weights/nonconv_ebm.weights.h5").exists()
    assert len(list(runs.glob("fid/cifar10_shortrun_test_*/images/samples_4/*.png"))) == 4
    scores = {run: json.loads((runs / f"fid/{run}/report.json").read_text())["scores"]
              for run in ("shortrun", "longrun")}  # fmt: skip
    assert [score["steps"] for score in scores["longrun"]] == [2, 4]
    assert all(
        "FID[inception_tf1]" in score["line"] for score in scores["shortrun"] + scores["longrun"]
    )
    attacked = [json.loads(path.read_text()) for path in runs.glob("attack/*/data_log/report.json")]
    assert [report["images"] for report in attacked] == [2, 2, 2]


def shortened(script: str, arguments: list[str]) -> list[str]:
    """Return the changes that make long chains of a command short."""
    written = " ".join(arguments)
    if script == "attack.py":
        return [] if "langevin_steps=0" in written else ["langevin_steps=2"]
    steps = ["fid_steps=[2,4]"] * ("fid_steps" in written)
    return [*steps, *["inception_weights=graph.pb"] * ("inception_tf1" in written)]
