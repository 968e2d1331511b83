"""The original FID end to end, in both notebooks: weights and data, PNG folders, a score."""

import ast
import json

import numpy as np
import pytest
from PIL import Image

from fid_orig import original_fid, save_images
from fid_orig.sampler import load_sampler
from nets import create_ebm, create_gen
from tests.nets.cases import weights_of
from tests.stand_in_graph import DIM, stand_in_graph
from tests.utils.test_import_weights import write_checkpoint
from utils.errors import UserError
from utils.scores.extractors import TF1_FILE, make_extractor
from utils.scores.frechet import Moments, frechet_distance
from utils.weights.files import save_weights

COUNT, SHAPE = 12, [32, 32, 3]
CHAIN = {"steps": 2, "epsilon": 1e-2, "temperature": 1e-3, "tau": None, "max_norm": None}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Return the notebooks' parameters: a config, weights, the graph, a folder."""
    folder = tmp_path_factory.mktemp("fid_orig")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(0)))
    np.savez(folder / "data.npz", images=rng.integers(0, 256, (20, *SHAPE), dtype=np.uint8))
    config = {"data_type": "npz", "data_dir": str(folder / "data.npz"), "image_dims": SHAPE}
    config["data_epsilon"] = 0.0
    (folder / "config.py").write_text(f"config = {config!r}\n")
    sizes = {"image_dims": SHAPE, "ebm_width": 8, "gen_width": 8, "z_sz": 4}
    ebm = create_ebm({**sizes, "net_type": "ebm_sngan"})
    gen = create_gen({**sizes, "gen_type": "gen_sngan"})
    info = {"image_dims": SHAPE, "width": 8}
    ebm_info = {**info, "type": "ebm_sngan", "chain": CHAIN}
    save_weights(ebm, str(folder / "ebm.weights.h5"), ebm_info)
    save_weights(gen, str(folder / "gen.weights.h5"), {**info, "type": "gen_sngan", "z_sz": 4})
    (folder / TF1_FILE).write_bytes(stand_in_graph().SerializeToString())
    return {
        "config": str(folder / "config.py"),
        "ebm_weights": str(folder / "ebm.weights.h5"),
        "gen_weights": str(folder / "gen.weights.h5"),
        "graph": str(folder / TF1_FILE),
        "out": str(folder / "out"),
        "data": str(folder / "out/data"),
        "samples": str(folder / "out/samples"),
        "num_images": COUNT,
    }


@pytest.fixture(scope="module")
def saved(inputs, repository):
    """Return the inputs after `fid_save_ims.ipynb` has run on them."""
    _run_notebook(repository / "fid_orig/fid_save_ims.ipynb", inputs)
    return inputs


def _run_notebook(path, parameters):
    """Run a notebook's cells in order, with other values for the given parameters."""
    namespace = {"__name__": "__main__"}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        exec(compile(ast.parse(source), str(path), "exec"), namespace)
        if "parameters" in cell["metadata"].get("tags", []):
            namespace.update({k: v for k, v in parameters.items() if k in namespace})
    return namespace


def _statistics(extractor, images):
    moments = Moments(extractor.dim)
    moments.add(extractor(images))
    return moments.statistics()


def test_the_first_notebook_saves_data_and_samples_as_they_are(saved):
    sampler = load_sampler(saved["ebm_weights"], saved["gen_weights"])
    for kind, images in (
        ("data", np.concatenate(list(save_images.data_batches(saved["config"], COUNT)))),
        ("samples", sampler(np.arange(COUNT))),
    ):
        pictures = [np.asarray(Image.open(p)) for p in original_fid.image_files(saved[kind])]
        assert np.array_equal(pictures, np.rint((np.clip(images, -1, 1) + 1) * 127.5))


def test_the_second_notebook_gives_the_distance_of_the_saved_images(saved, repository, capsys):
    _run_notebook(repository / "fid_orig/fid_orig.ipynb", saved)
    printed = capsys.readouterr().out.splitlines()[-1]
    extractor = make_extractor("inception_tf1", saved["graph"])
    samples = load_sampler(saved["ebm_weights"], saved["gen_weights"])(np.arange(COUNT))
    data = np.concatenate(list(save_images.data_batches(saved["config"], COUNT)))
    expected = frechet_distance(_statistics(extractor, data), _statistics(extractor, samples))
    assert printed.startswith("FID[inception_tf1] ")
    assert float(printed.split()[1]) == pytest.approx(expected, rel=1e-4)  # six digits are printed
    assert f"({COUNT} against {COUNT} images, {DIM} features)" in printed


def test_the_shell_gives_the_same_line_from_folders_and_from_kept_statistics(
    saved, tmp_path, capsys
):
    kept = str(tmp_path / "kept/data")
    graph = ["--graph", saved["graph"]]
    original_fid.main([saved["data"], saved["samples"], *graph, "--save-data", kept])
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["data.npz"]
    original_fid.main([f"{kept}.npz", saved["samples"], *graph])
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_the_shell_saves_what_the_notebook_saves(saved, tmp_path):
    source = [saved["ebm_weights"], str(tmp_path), "--gen", saved["gen_weights"]]
    save_images.main(["samples", *source, "--images", "3"])
    for path in original_fid.image_files(str(tmp_path)):
        ours, theirs = Image.open(path), Image.open(path.replace(str(tmp_path), saved["samples"]))
        # batches of another size differ by 1e-7, which may change the rounding of a pixel
        assert np.abs(np.asarray(ours, int) - np.asarray(theirs, int)).max() <= 1


def test_mistakes_are_one_line(saved, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        original_fid.main([str(tmp_path), saved["data"], "--graph", saved["graph"]])
    assert "neither a folder of pictures (.png, .jpg" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        save_images.main(["data", saved["config"], str(tmp_path / "out"), "--images", "21"])
    assert "20 images, not 21" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit, match="2"):
        save_images.main(["data", saved["config"], str(tmp_path), "--images", "3"])
    assert "is not empty" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"a\.png cannot be decoded as a picture"):
        next(original_fid.read_batches([str(tmp_path / "a.png")]))


@pytest.mark.parametrize("number", ["-5", "0", "1.5", "many"])
def test_a_number_of_images_is_a_whole_one_from_1(saved, tmp_path, capsys, number):
    with pytest.raises(SystemExit, match="2"):
        save_images.main(["data", saved["config"], str(tmp_path / "out"), "--images", number])
    error = capsys.readouterr().err
    assert f"argument --images: must be int >= 1, not {number}" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("wrong", ["nowhere", "nowhere.npz", "one"])
def test_both_sets_are_looked_at_before_the_graph_is_fetched(
    saved, tmp_path, monkeypatch, capsys, place, wrong
):
    (tmp_path / "one").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "one" / "0.png")
    monkeypatch.setattr(original_fid, "make_extractor", lambda *_: pytest.fail("too early"))
    sets = [saved["data"], saved["samples"]]
    sets[place] = str(tmp_path / wrong)
    with pytest.raises(SystemExit, match="2"):
        original_fid.main(sets)
    assert sets[place] in capsys.readouterr().err


def test_statistics_are_refused_before_features_are_computed(saved, tmp_path, monkeypatch, capsys):
    np.savez(tmp_path / "wrong.npz", mu=np.zeros(3), sigma=np.eye(3))
    monkeypatch.setattr(original_fid, "read_batches", lambda _: pytest.fail("too early"))
    with pytest.raises(SystemExit, match="2"):
        original_fid.main([saved["data"], str(tmp_path / "wrong.npz"), "--graph", saved["graph"]])
    assert "'mu' has the shape (3,)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"init": "data_persistent"}, "belong to chains that start at data (mcmc_init=data)"),
        ({"prior_temperature": 1e-3}, "are half of a potential"),
        (None, "do not record the chain they were trained with"),
    ],
)
def test_chains_that_need_a_config_are_left_to_fid(saved, tmp_path, capsys, change, words):
    """The message names a command that works, for every reason."""
    sizes = {"net_type": "ebm_sngan", "image_dims": SHAPE, "ebm_width": 8}
    info = {"type": "ebm_sngan", "image_dims": SHAPE, "width": 8}
    chain = {} if change is None else {"chain": {**CHAIN, **change}}
    path = str(tmp_path / "ebm.weights.h5")
    ebm = create_ebm(sizes)
    save_weights(ebm, path, {**info, **chain})
    published = write_checkpoint(tmp_path, weights_of(ebm, np.float32))
    for weights in (path, *([published] if change is None else [])):
        with pytest.raises(SystemExit, match="2"):
            save_images.main(["samples", weights, str(tmp_path / "out")])
        error = capsys.readouterr().err
        assert words in error
        assert f"fid.py CONFIG --set exp_type=sample ebm_weights={weights}" in error
    assert not (tmp_path / "out").exists()


def test_chains_that_diverge_leave_no_pictures(tmp_path, capsys):
    sizes = {"net_type": "ebm_sngan", "image_dims": SHAPE, "ebm_width": 8}
    info = {"type": "ebm_sngan", "image_dims": SHAPE, "width": 8}
    chain = {**CHAIN, "epsilon": 1e20, "temperature": 1e-30}
    path = str(tmp_path / "ebm.weights.h5")
    save_weights(create_ebm(sizes), path, {**info, "chain": chain})
    with pytest.raises(SystemExit, match="2"):
        save_images.main(["samples", path, str(tmp_path / "out"), "--images", "2"])
    assert "diverged: a pixel is NaN or Inf" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pictures_of_two_sizes_are_refused_and_unfinished_ones_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(original_fid, "BATCH_SIZE", 1)
    for name, side in (("0.png", 32), ("1.png", 31), (".tmp-2.png", 32)):
        Image.new("RGB", (side, side)).save(tmp_path / name)
    paths = original_fid.image_files(str(tmp_path))
    assert [path[-5:] for path in paths] == ["0.png", "1.png"]
    with pytest.raises(UserError, match=r"1\.png and .* have different sizes"):
        list(original_fid.read_batches(paths))
