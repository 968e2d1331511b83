"""No draw keeps a hidden state, and one place adds Langevin noise."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import (
    BENCHMARKS,
    FID_ORIG,
    NETS,
    PROJECT,
    REPOSITORY,
    SCRIPTS,
    TESTS,
    UTILS,
    dotted,
    imported,
    place,
    tree,
)

GLOBAL = ("get_global_generator", "set_global_generator", "Generator")
STATELESS = {
    "tf.random": ("stateless_", "fold_in", "split"),
    "tf.image": ("stateless_random_",),
    "np.random": ("Generator", "Philox", "SeedSequence"),
}


def test_exactly_one_place_adds_langevin_noise():
    """Of all products of a step size with a noise, there is one, in utils/mcmc/langevin.py."""
    products = [
        (path, node)
        for path in [*SCRIPTS, *UTILS, *NETS, *FID_ORIG]
        for node in ast.walk(tree(path))
        if _is_epsilon_times_noise(node)
    ]
    assert len(products) == 1, [place(path, node) for path, node in products]
    assert products[0][0] == REPOSITORY / "utils" / "mcmc" / "langevin.py"


def _is_epsilon_times_noise(node: ast.AST) -> bool:
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)):
        return False
    sides = {ast.unparse(node.left), ast.unparse(node.right)}
    step_sizes = {"epsilon", "eps", "self.epsilon", "config['epsilon']"}
    noises = [side for side in sides - step_sizes if "noise" in side or "normal" in side]
    return bool(sides & step_sizes and noises)


@pytest.mark.parametrize("path", [p for p in PROJECT if p not in BENCHMARKS], ids=place)
def test_every_draw_is_stateless(path):
    assert not list(_stateful_draws(path, STATELESS))


@pytest.mark.parametrize("path", TESTS, ids=place)
def test_every_draw_of_a_test_is_seeded(path):
    seeded = {
        **STATELESS,
        "tf.random": (*STATELESS["tf.random"], *GLOBAL),  # to see it untouched
        "np.random": (*STATELESS["np.random"], "default_rng"),
    }
    assert not list(_stateful_draws(path, seeded))


def _stateful_draws(path: Path, allowed: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield the places where a file draws from a generator that keeps a hidden state."""
    yield from (
        f"{place(path, node)} imports {name}"
        for name, node in imported(path)
        if name.split(".")[0] == "random"
    )
    for node in ast.walk(tree(path)):
        name = dotted(node) if isinstance(node, ast.Attribute) else ""
        library, _, draw = name.replace("numpy.", "np.").rpartition(".")
        if library == "tf.image" and "random" not in draw:
            continue
        hidden = library in allowed and not draw.startswith(allowed[library])
        if hidden or library == "keras.random" or name == "keras.layers.Dropout":
            yield f"{place(path, node)} {name}"
