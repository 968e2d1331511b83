"""The house keeps itself: rules of CONTRIBUTING.md that can be read off the source by `ast`."""

import ast
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import (
    BENCHMARKS,
    CONFIGS,
    EXAMPLES,
    FID_ORIG,
    NETS,
    PROJECT,
    REPOSITORY,
    SCRIPTS,
    TESTS,
    UTILS,
    dotted,
    functions,
    imported,
    length,
    module_name,
    nested_functions,
    parameters,
    place,
    tree,
)

FUNCTION_CEILING, FUNCTION_USUAL, FILE_CEILING = 60, 35, 300
NESTING_CEILING, PARAMETERS_CEILING, IGNORES_CEILING = 2, 6, 14
BEFORE_TENSORFLOW = "utils.before_tensorflow"  # alone does something when it is imported
LADDER = (  # of the packages and modules of utils, the lowest first
    ("before_tensorflow",),
    ("console", "seeds"),
    ("errors",),
    ("files", "devices"),
    ("images", "config", "replicas"),
    ("weights",),
    ("data", "import_weights"),
    ("mcmc",),
    ("learning",),
    ("run",),
    ("scores",),
    ("report",),
    ("attack", "density"),
    ("purify",),
)
NAMED_TUPLE = ("_asdict", "_replace", "_fields")


def test_imports_run_one_way_from_scripts_to_utils_to_nets():
    scripts = {path.stem for path in SCRIPTS} | {"benchmarks", "examples", "fid_orig", "tests"}
    closed = [(NETS, scripts | {"utils"}), (UTILS, scripts), (SCRIPTS, scripts)]
    upward = [
        f"{place(path, node)} imports {name}"
        for room, above in closed
        for path in room
        for name, node in imported(path)
        if name.split(".")[0] in above
    ]
    assert not upward


def test_modules_import_each_other_in_no_circle():
    modules = {module_name(path): path for path in [*UTILS, *NETS]}
    below = {
        name: {
            target
            for target, _ in imported(path)  # a package does not lie below its own modules
            if target in modules and not f"{name}.".startswith(f"{target}.")
        }
        for name, path in modules.items()
    }
    while below:  # take away what imports nothing that is left; a circle stays
        leaves = {name for name, targets in below.items() if not targets}
        assert leaves, f"circle among {sorted(below)}"
        below = {name: targets - leaves for name, targets in below.items() if name not in leaves}


def test_packages_of_utils_are_a_ladder():
    """A package imports those below it alone; every module of utils has its step."""
    step = {name: number for number, names in enumerate(LADDER) for name in names}
    upward = []
    for path in UTILS:
        room = module_name(path).split(".")[1:2]
        if not room:  # utils itself, the map
            continue
        targets = [(name.split(".")[1], node) for name, node in imported(path)
                   if name.startswith("utils.")]  # fmt: skip
        upward += [
            f"{place(path, node)} imports {name}"
            for name, node in targets
            if name != room[0] and step[name] >= step[room[0]]
        ]
    assert not upward


def test_benchmarks_and_examples_use_public_names_only():
    """Of the scripts: what they are run by, and the function that is measured."""
    measured = {"main", "make_update", "create_banks", "attack_batch", "batches_from", "Batch"}
    scripts, inner = {path.stem for path in SCRIPTS}, []
    for path in [*BENCHMARKS, *EXAMPLES]:
        used = [
            *((f"{node.module}.{alias.name}", node) for node in ast.walk(tree(path))
              if isinstance(node, ast.ImportFrom) for alias in node.names),
            *((dotted(node), node) for node in ast.walk(tree(path))
              if isinstance(node, ast.Attribute)),
        ]  # fmt: skip
        for name, node in used:
            owner, _, own = name.rpartition(".")
            if own.startswith("__") or owner == "self" or own in NAMED_TUPLE:
                continue
            if own.startswith("_") or (owner in scripts and own not in measured):
                inner.append(f"{place(path, node)} uses {name}")
    assert not inner


@pytest.mark.parametrize("path", [*PROJECT, *CONFIGS], ids=place)
def test_top_level_is_docstring_imports_constants_and_definitions(path):
    assert ast.get_docstring(tree(path)), "it does not say what it is"
    quiet = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.ClassDef)
    work = [n for n in tree(path).body[1:] if not (isinstance(n, quiet) or _is_main_guard(n))]
    if module_name(path) == BEFORE_TENSORFLOW:
        assert [ast.unparse(node.test) for node in work] == ["'tensorflow' not in sys.modules"]
    else:
        assert not [place(path, node) for node in work]


def test_whatever_can_be_run_prepares_for_tensorflow_before_it_imports_anything_else():
    """But for the standard library."""
    late = [
        place(path)
        for path in PROJECT
        if _is_main_guard(tree(path).body[-1])
        and next(_imported_beyond_the_standard_library(path), BEFORE_TENSORFLOW)
        != BEFORE_TENSORFLOW
    ]
    assert late == ["data/build_emoji32.py"]  # without TensorFlow


def _imported_beyond_the_standard_library(path: Path) -> Iterator[str]:
    return (name for name, _ in imported(path) if name.split(".")[0] not in sys.stdlib_module_names)


@pytest.mark.parametrize("path", SCRIPTS, ids=place)
def test_a_script_is_main_of_argv(path):
    mains = [n for n in tree(path).body if isinstance(n, ast.FunctionDef) and n.name == "main"]
    assert [argument.arg for argument in mains[0].args.args] == ["argv"]
    assert [ast.unparse(default) for default in mains[0].args.defaults] == ["None"]
    assert _is_main_guard(tree(path).body[-1])


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def test_importing_makes_no_file_and_no_device(tmp_path):
    """All modules in one fresh process: TensorFlow's devices can still be configured after it."""
    modules = [module_name(path) for path in [*SCRIPTS, *UTILS, *NETS, *FID_ORIG]]
    code = (
        f"import importlib, sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "import tensorflow as tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()])"
    )
    python = [sys.executable, "-B", "-c", code]
    run = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.iterdir()) == []


# Sizes


def test_functions_and_files_are_short():
    long_functions = [
        f"{place(path, function)} {function.name}: {length(function)} lines"
        for path in [*PROJECT, *TESTS]
        for function in functions(path)
        if length(function) > FUNCTION_CEILING
    ]
    long_files = [
        f"{place(path)}: {lines} lines"
        for path in [*PROJECT, *CONFIGS, *TESTS]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_CEILING
    ]
    assert not long_functions + long_files


def test_nine_functions_in_ten_are_shorter_still():
    lengths = [length(function) for path in PROJECT for function in functions(path)]
    usual = sum(lines < FUNCTION_USUAL for lines in lengths)
    assert usual >= 0.9 * len(lengths)


# Shapes


def test_functions_are_nested_once_at_most():
    deep = {
        f"{place(path)}: {name}, depth {depth}"
        for path in PROJECT
        for name, depth, _ in nested_functions(tree(path))
        if depth > NESTING_CEILING
    }
    assert not deep


def test_functions_take_six_parameters_at_most():
    wide = {
        f"{place(path)}: {name}, {count} parameters"
        for path in PROJECT
        for name, _, function in nested_functions(tree(path))
        if (count := len(parameters(function))) > PARAMETERS_CEILING
    }
    assert not wide


@pytest.mark.parametrize("path", SCRIPTS, ids=place)
def test_no_factory_of_a_script_calls_another(path):
    """So the whole update stands in one function."""
    factories = {f.name: f for f in functions(path) if f.name.startswith("make_")}
    calls = [
        f"{maker} calls {node.func.id}"
        for maker, function in factories.items()
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in factories
    ]
    assert not calls


def test_what_the_type_check_ignores_is_little_and_has_a_reason():
    lines = [
        (f"{place(path)}: {line.strip()}", before, line)
        for path in PROJECT
        for before, line in itertools.pairwise(path.read_text(encoding="utf-8").splitlines())
        if "pyright: " in line or "type: ignore" in line
    ]
    mute = [
        where
        for where, before, line in lines
        if not re.search(r"# pyright: ignore\[\w+\](  # \w|$)", line)
        or (line.endswith("]") and not before.lstrip().startswith("#"))
    ]
    assert not mute
    assert len(lines) <= IGNORES_CEILING
