"""Published checkpoints load exactly or not at all, and an error names the differences."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.nets.cases import PUBLISHED, create_small, train_like, weights_of
from utils.config.load import REPOSITORY
from utils.errors import UserError
from utils.import_weights import main
from utils.weights.files import network_info
from utils.weights.published import load_weights

ROWS = {
    "ebm_sngan_64": ("ebm_sngan", 64, {}),
    "ebm_biggan_224": ("ebm_biggan", 224, {}),
    "gen_sngan_32": ("gen_sngan", 32, {}),
    "gen_biggan_64": ("gen_biggan", 64, {}),
    "gen_biggan_cond_128": ("gen_biggan_cond", 128, {}),
    # At width 1 the first group would have no shortcut.
    "clf_wrn_28_10": ("clf_wrn", 32, {"clf_depth": 28, "clf_width": 2}),
}


def published_arrays(row: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return weights and spectral vectors under the names of a published checkpoint."""
    arrays = {}
    for name, shape in PUBLISHED[row]:
        ours = name.removeprefix("layer_with_weights-0/").replace("/layer/bias", "/bias")
        if name.endswith("/sn_u"):
            arrays[name] = np.ones(shape, np.float32)
        else:
            kernel = f"{ours.removesuffix('/w')}/kernel"
            arrays[name] = weights[ours if ours in weights else kernel]
    return arrays


def write_checkpoint(folder: Path, arrays: dict[str, np.ndarray]) -> str:
    """Write arrays as TensorFlow writes objects whose attributes have these names."""
    root: dict = {}
    for name, array in arrays.items():
        *parents, leaf = name.split("/")
        node = root
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = array

    def trackable(node):
        if not isinstance(node, dict):
            return tf.Variable(node)
        module = tf.Module()
        for name, child in node.items():
            setattr(module, name, trackable(child))
        return module

    objects = {name: trackable(node) for name, node in root.items()}
    return tf.train.Checkpoint(**objects).save(str(folder / "published.ckpt"))


@pytest.fixture(scope="module")
def network():
    """Return a small EBM whose variables are all off their initial values."""
    model = create_small("ebm_sngan", 32, ebm_width=8)
    train_like(model, np.random.Generator(np.random.Philox(np.random.SeedSequence(1))))
    return model


@pytest.fixture
def checkpoint(network, tmp_path) -> str:
    """Return the prefix of that EBM in the published layout."""
    arrays = published_arrays("ebm_sngan_32", weights_of(network, np.float32))
    return write_checkpoint(tmp_path, arrays)


def other(**config):
    """Return an EBM of the same type with other initial weights."""
    return create_small("ebm_sngan", 32, **{"ebm_width": 8, "seed": 5, **config})


def same_weights(one, two) -> bool:
    ours, theirs = weights_of(one), weights_of(two)
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[n], theirs[n]) for n in ours)


@pytest.mark.parametrize("row", ROWS)
def test_a_checkpoint_in_the_published_layout_loads_bit_for_bit(row, rng, tmp_path):
    kind, size, config = ROWS[row]
    model = create_small(kind, size, **config)
    train_like(model, rng)
    prefix = write_checkpoint(tmp_path, published_arrays(row, weights_of(model, np.float32)))
    loaded = create_small(kind, size, seed=5, **config)
    load_weights(loaded, prefix)
    assert same_weights(model, loaded)


def test_the_loaded_network_reproduces_the_energies(network, checkpoint, rng):
    loaded = other()
    load_weights(loaded, checkpoint + ".index")  # the name that a shell completes
    x = rng.uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)
    assert np.array_equal(loaded(x), network(x))


@pytest.mark.parametrize("ending", ["checkpoint", "h5"])
def test_every_replica_is_loaded(ending, network, checkpoint, tmp_path):
    network.save_weights(str(tmp_path / "own.weights.h5"))
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        loaded = other()
    load_weights(loaded, checkpoint if ending == "checkpoint" else f"{tmp_path}/own.weights.h5")
    kernel = weights_of(network)["block2/conv_1/kernel"]
    variable = next(v for v in loaded.variables if v.path.endswith("block2/conv_1/kernel"))
    for replica in strategy.experimental_local_results(variable.value):
        assert np.array_equal(replica, kernel)


def error_of(model, path: str) -> str:
    with pytest.raises(UserError) as caught:
        load_weights(model, path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_checkpoint_of_another_width_is_told_shape_by_shape(checkpoint):
    message = error_of(other(ebm_width=16), checkpoint)
    assert "do not fit ebm_sngan: of another shape:" in message
    assert "block2/conv_1/kernel (3, 3, 8, 8) for (3, 3, 16, 16)" in message
    assert message.count(" for (") == len(PUBLISHED["ebm_sngan_32"])  # every variable of it


def test_a_checkpoint_of_another_network_lists_what_is_missing_and_left_over(checkpoint):
    message = error_of(create_small("ebm_biggan", 64), checkpoint)
    missing, left_over = message.split("; left over: ")
    assert "missing: layers_out/0/conv_0/bias, layers_out/0/conv_0/kernel, " in missing
    assert len(left_over.split(", ")) == len(PUBLISHED["ebm_sngan_32"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"layer_with_weights-0/lin_5/kernel": None}, "missing: lin_5/kernel"),
        ({"optimizer/beta_1": np.float32(0.9)}, "left over: optimizer/beta_1"),
        ({"layer_with_weights-0/block9/w": np.ones(3)}, "left over: block9/w"),
    ],
)
def test_one_variable_too_few_or_too_many_is_named(change, expected, network, tmp_path):
    arrays = published_arrays("ebm_sngan_32", weights_of(network, np.float32)) | change
    prefix = write_checkpoint(tmp_path, {n: a for n, a in arrays.items() if a is not None})
    assert error_of(other(), prefix).endswith(f"do not fit ebm_sngan: {expected}")


def test_a_checkpoint_cut_short_is_damaged(checkpoint):
    data = Path(checkpoint + ".data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:1000])
    assert error_of(other(), checkpoint).startswith(f"weights {checkpoint} are damaged: ")
    Path(checkpoint + ".index").write_bytes(b"nothing")
    assert error_of(other(), checkpoint).startswith(f"weights {checkpoint} are damaged: ")


@pytest.mark.parametrize("name", ["ebm_140000.ckpt", "ebm_140000.weights.h5"])
def test_weights_that_are_not_there_are_not_found(name, tmp_path):
    assert error_of(other(), str(tmp_path / name)).startswith(
        f"weights {tmp_path / name} not found"
    )


def test_a_weights_file_of_ours_loads_whole_or_not_at_all(network, tmp_path):
    path = str(tmp_path / "own.weights.h5")
    network.save_weights(path)
    loaded = other()
    load_weights(loaded, path)
    assert same_weights(network, loaded)
    assert "of another shape: blocks/" in error_of(other(ebm_width=16), path)
    create_small("ebm_sngan", 128, ebm_width=16).save_weights(path)  # one block more than 64
    assert "left over: blocks/" in error_of(create_small("ebm_sngan", 64, ebm_width=16), path)
    create_small("ebm_sngan", 64, ebm_width=16).save_weights(path)
    assert "missing: blocks/" in error_of(create_small("ebm_sngan", 128, ebm_width=16), path)
    Path(path).write_bytes(Path(path).read_bytes()[:2000])
    assert "are damaged" in error_of(other(), path)


def test_the_command_converts_once(checkpoint, network, tmp_path, capsys):
    target = str(tmp_path / "ebm.weights.h5")
    main([checkpoint, target, "--net", "ebm_sngan_32", "--width", "8"])
    assert f"ebm_sngan, {network.count_params():,} parameters" in capsys.readouterr().out
    assert network_info(target) == {
        "type": "ebm_sngan",
        "image_dims": [32, 32, 3],
        "width": 8,
    }
    loaded = other()
    load_weights(loaded, target)
    assert same_weights(network, loaded)


def test_the_command_converts_a_classifier_and_a_generator(rng, tmp_path, capsys):
    clf = create_small("clf_wrn", 32, clf_depth=28, clf_width=2, num_classes=10)
    gen = create_small("gen_sngan", 32, z_sz=6)
    target = str(tmp_path / "target.weights.h5")
    arrays = published_arrays("clf_wrn_28_10", weights_of(clf, np.float32))
    main([write_checkpoint(tmp_path, arrays), target, "--net", "wrn", "--width", "2"])
    info = network_info(target)
    assert (info["type"], info["depth"], info["width"], info["classes"]) == ("wrn", 28, 2, 10)
    arrays = published_arrays("gen_sngan_32", weights_of(gen, np.float32))
    sizes = ["--width", "16", "--z_sz", "6"]
    prefix = write_checkpoint(tmp_path, arrays)
    main([prefix, target, "--net", "gen_sngan_32", *sizes])
    assert network_info(target)["z_sz"] == 6
    assert "parameters" in capsys.readouterr().out


def test_the_command_converts_networks_of_grey_images(tmp_path):
    arrays = published_arrays("ebm_sngan_32", weights_of(other(image_dims=[32, 32, 1]), np.float32))
    source, target = write_checkpoint(tmp_path, arrays), str(tmp_path / "ebm.weights.h5")
    main([source, target, "--net", "ebm_sngan_32", "--width", "8", "--channels", "1"])
    assert network_info(target)["image_dims"] == [32, 32, 1]


OURS = f"{REPOSITORY}/examples/weights/quickstart_ebm.weights.h5"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{checkpoint}", "ebm.h5"], "the target ebm.h5 must end in .weights.h5"),
        (["{checkpoint}", "{folder}/a.weights.h5", "--width", "9"], "of another shape"),
        (["nowhere.ckpt", "{folder}/a.weights.h5"], "weights nowhere.ckpt not found"),
        ([OURS, "{folder}/a.weights.h5"], f"{OURS} is in the project's format already: configs"),
        (["a.ckpt", "a.weights.h5", "--width", "0"], "argument --width: must be int >= 1, not 0"),
    ],
)
def test_the_command_tells_mistakes_in_one_line(arguments, expected, checkpoint, tmp_path, capsys):
    filled = [a.format(checkpoint=checkpoint, folder=tmp_path) for a in arguments]
    with pytest.raises(SystemExit, match="2"):
        main([*filled, "--net", "ebm_sngan_32"])
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert expected in message
    assert message.count("\n") == 1
    assert not list(tmp_path.glob("*.weights.h5"))


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_networks_of_keras_load_from_both_of_its_formats(tmp_path, ending):
    """They also have seeds of dropout, which no file holds."""

    def create():
        options = {"weights": None, "input_shape": (32, 32, 3), "classes": 5}
        return keras.applications.EfficientNetB0(**options)

    one, other, path = create(), create(), str(tmp_path / f"network{ending}")
    one.save_weights(path) if ending == ".weights.h5" else one.save(path)
    load_weights(other, path)
    for kept, loaded in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(kept, loaded, err_msg=kept.path)
