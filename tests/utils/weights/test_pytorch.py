"""Converted PyTorch generators make the same images as in PyTorch."""

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.nets.cases import create
from utils.errors import UserError
from utils.import_weights import main
from utils.weights.published import assign, load_weights
from utils.weights.pytorch import read_torch

torch = pytest.importorskip("torch", reason="PyTorch is not installed (requirements_convert.txt)")

BIGGAN_LAYERS = {  # of the published configurations
    128: "F16-16 T16-16 F16-16 T16-8 F8-8 T8-4 F4-4 T4-2 F2-2 T2-1",
    256: "F16-16 T16-16 F16-16 T16-8 F8-8 T8-8 F8-8 T8-4 F4-4 T4-2 F2-2 T2-1",
}
TRUNCATIONS = {128: (0.02, 0.5, 1.0), 256: (0.4,)}  # for which statistics are stored


def import_without_inits(monkeypatch, packages: tuple[str, ...], module: str, **stubs):
    """Import one module of a package without running the `__init__` of its packages."""
    top = packages[0]
    spec = importlib.util.find_spec(top)
    assert spec is not None, f"pip install --no-deps {top.replace('_', '-')}"
    for name in packages:
        package = types.ModuleType(name)
        package.__path__ = [str(Path(spec.origin).parent.joinpath(*name.split(".")[1:]))]
        monkeypatch.setitem(sys.modules, name, package)
    for name, attributes in stubs.items():
        stub = types.ModuleType(f"{top}.{name}")
        vars(stub).update(attributes)
        monkeypatch.setitem(sys.modules, stub.__name__, stub)
    return importlib.import_module(module)


@pytest.fixture(autouse=True)
def seed_torch() -> None:
    """Seed PyTorch, so that its initial weights are the same in every run and order of tests."""
    torch.manual_seed(0)


def mimicry_generator(monkeypatch, size: int, width: int):
    rooms = ("nets", "nets.sngan", "nets.gan", "nets.basemodel")
    packages = ("torch_mimicry", *(f"torch_mimicry.{room}" for room in rooms))
    name = f"torch_mimicry.nets.sngan.sngan_{size}"
    module = import_without_inits(monkeypatch, packages, name)
    return getattr(module, f"SNGANGenerator{size}")(ngf=width)


def biggan_generator(monkeypatch, size: int, width: int):
    package = "pytorch_pretrained_biggan"
    model = import_without_inits(
        monkeypatch, (package,), f"{package}.model", file_utils={"cached_path": None}
    )
    layers = [(row[0] == "T", *map(int, row[1:].split("-"))) for row in BIGGAN_LAYERS[size].split()]
    config = model.BigGANConfig(output_dim=size, channel_width=width, layers=layers)
    return model.BigGAN(config)


def train_like(model) -> None:
    """Move every parameter and statistic off its initial value, by seeded noise.

    The stored vectors of a spectral norm come near the singular ones, as power iteration has it.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, "weight_orig"):
                left, _, right = torch.linalg.svd(
                    module.weight_orig.flatten(1), full_matrices=False
                )
                for stored, vector in ((module.weight_u, left[:, 0]), (module.weight_v, right[0])):
                    noise = torch.randn(len(vector), generator=generator) / len(vector) ** 0.5
                    stored.copy_(torch.nn.functional.normalize(vector + 0.1 * noise, dim=0))
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            leaf = name.rsplit(".", 1)[-1]
            noise = torch.randn(tensor.shape, generator=generator)
            if "running_var" in leaf:
                tensor.copy_(0.5 + noise.abs())
            elif "running_mean" in leaf or leaf == "bias":
                tensor.copy_(0.1 * noise)
            elif leaf == "gamma" or (leaf == "weight" and tensor.ndim == 1):
                tensor.copy_(1 + 0.2 * noise)


@pytest.fixture
def save(tmp_path):
    """Return a function that saves a state and returns its path."""

    def to_file(state, name: str) -> str:
        torch.save(state, tmp_path / name)
        return str(tmp_path / name)

    return to_file


@pytest.mark.parametrize("size", [32, 64, 128])
def test_mimicry_generators(size, monkeypatch, save, rng):
    theirs = mimicry_generator(monkeypatch, size, width=32)
    train_like(theirs)
    theirs.eval()
    path = save({"model_state_dict": theirs.state_dict(), "global_step": 1}, "netG_1_steps.pth")
    ours = create("gen_sngan", size, gen_width=32)
    assign(ours, read_torch(path), path)
    z = rng.standard_normal((3, 128)).astype(np.float32)
    expected = theirs(torch.from_numpy(z)).detach().numpy().transpose(0, 2, 3, 1)
    assert expected.std() > 0.1
    assert np.abs(ours(z) - expected).max() <= 1e-4


@pytest.mark.parametrize("size", [128, 256])
def test_biggan_deep_at_the_stored_truncations(size, monkeypatch, save, rng):
    theirs = biggan_generator(monkeypatch, size, width=4)
    train_like(theirs)
    z = rng.standard_normal((2, 128)).astype(np.float32).clip(-2, 2)
    labels = np.array([3, 998])
    inputs = torch.from_numpy(z), torch.eye(1000)[labels]
    with torch.no_grad():
        theirs.eval()
        path = save(theirs.state_dict(), "pytorch_model.bin")
        ours = create("gen_biggan_cond", size, gen_width=4)
        assign(ours, read_torch(path), path)
        for truncation in TRUNCATIONS[size]:
            expected = theirs(*inputs, truncation).numpy().transpose(0, 2, 3, 1)
            images = ours(z, labels=labels, truncation=truncation)
            assert expected.std() > 0.1
            assert np.abs(images - expected).max() <= 1e-4


def test_the_command_converts_a_generator(monkeypatch, save, rng, tmp_path):
    theirs = mimicry_generator(monkeypatch, 32, width=4)
    train_like(theirs)
    theirs.eval()
    path = save({"model_state_dict": theirs.state_dict()}, "netG.pth")
    target = str(tmp_path / "gen.weights.h5")
    main([path, target, "--net", "gen_sngan_32", "--width", "4"])
    ours = create("gen_sngan", 32, gen_width=4)
    load_weights(ours, target)
    z = rng.standard_normal((2, 128)).astype(np.float32)
    expected = theirs(torch.from_numpy(z)).detach().numpy().transpose(0, 2, 3, 1)
    assert np.abs(ours(z) - expected).max() <= 1e-4


def test_a_generator_of_another_size_is_told_by_name(monkeypatch, save, tmp_path, capsys):
    path = save({"model_state_dict": mimicry_generator(monkeypatch, 32, 4).state_dict()}, "g.pth")
    with pytest.raises(SystemExit, match="2"):
        main([path, f"{tmp_path}/gen.weights.h5", "--net", "gen_sngan_64"])
    message = capsys.readouterr().err
    assert "missing: block5/bn_1/beta, " in message
    assert "left over: bn_5/beta, " in message


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"weight": torch.zeros(1)}, "is neither a Mimicry checkpoint"),
        (torch.zeros(1), "hold a Tensor, not the state of a network"),
        ({"model_state_dict": {"l1.weight": 5}}, "are of an unknown generator: 'int' object"),
        ({"model_state_dict": Path("code that would run on loading")}, "hold more than arrays"),
    ],
)
def test_other_files_of_pytorch_are_refused(state, expected, save):
    with pytest.raises(UserError, match=expected):
        read_torch(save(state, "other.pth"))


def test_parameters_and_halves_are_read_as_a_state_is(monkeypatch, save):
    theirs = mimicry_generator(monkeypatch, 32, width=4)
    state = theirs.state_dict()
    plain = read_torch(save({"model_state_dict": state}, "netG.pth"))
    halves = {name: x.bfloat16() if x.is_floating_point() else x for name, x in state.items()}
    for other, tolerance in ((state | dict(theirs.named_parameters()), 0), (halves, 0.01)):
        arrays = read_torch(save({"model_state_dict": other}, "other.pth"))
        for name, array in arrays.items():
            np.testing.assert_allclose(array, plain[name], rtol=tolerance, atol=1e-5, err_msg=name)


def test_a_file_that_is_missing_or_not_of_pytorch_is_told(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="not found"):
        read_torch(str(tmp_path / "nowhere.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UserError, match="are damaged"):
        read_torch(str(tmp_path / "text.pth"))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install -r requirements_convert\.txt"):
        read_torch(str(tmp_path / "text.pth"))
