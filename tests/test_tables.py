"""Every config, key, network and data set has its row in the tables that list them."""

import ast
import runpy
from pathlib import Path

import pytest

from tests.source import (
    BENCHMARKS,
    CONFIGS,
    PROJECT,
    REPOSITORY,
    SCRIPT_OF_FOLDER,
    SCRIPTS,
    dotted,
    files,
    place,
    tree,
)
from utils.config import keys
from utils.config.load import load_config
from utils.config.record import Config


@pytest.mark.parametrize("path", CONFIGS, ids=place)
def test_a_config_says_its_command_and_is_one_dict_named_config(path):
    command = f"{SCRIPT_OF_FOLDER[path.parent.name]} {place(path)}"
    assert command in (ast.get_docstring(tree(path)) or ""), f"docstring without: {command}"
    names = {
        ast.unparse(target)
        for node in tree(path).body
        if isinstance(node, ast.Assign | ast.ImportFrom)
        for target in (node.targets if isinstance(node, ast.Assign) else node.names)
    }
    assert "config" in names


@pytest.mark.parametrize("folder", [f for f in SCRIPT_OF_FOLDER if files(f"{f}/*.py")])
def test_each_config_folder_has_a_smoke_config(folder):
    assert (REPOSITORY / folder / "smoke.py").exists()


def test_every_config_loads_for_its_script():
    for path in CONFIGS:
        script = SCRIPT_OF_FOLDER[path.parent.name].removesuffix(".py")
        assert load_config(str(path), _filled_in(path), script)["exp_name"]


def _filled_in(path: Path) -> list[str]:
    """Return `--set` strings for the paths that a published config leaves to be filled in."""
    written = runpy.run_path(str(path))["config"]
    return [f"{name}=some.weights.h5" for name, value in written.items() if value == ""]


def test_code_reads_the_keys_of_the_table_and_no_others():
    derived = {"num_classes"}  # not written by users: the data set's
    tables = ("keys.py", "unread_keys.py")
    readers = [p for p in PROJECT if p.name not in tables and p not in BENCHMARKS]
    unknown = [
        f"{place(path, node)} {name}"
        for path in readers
        for node in ast.walk(tree(path))
        if (name := _read_key(node)) and name not in {key.name for key in keys.KEYS} | derived
    ]
    assert not unknown
    nodes = [node for path in readers for node in ast.walk(tree(path))]
    words = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    words |= {name for node in nodes if (name := _read_key(node))}
    endings = tuple(word for word in words if word.startswith("_"))  # of f"{network}_lr_info"
    names = {key.name for key in keys.KEYS if not key.name.endswith(endings)}
    assert not names - words, "keys that nothing reads"
    assert not words & {key.name for key in keys.FOSSILS}


def _read_key(node: ast.AST) -> str | None:
    """Return the key that `config.name`, `config["name"]` or `config.get("name")` reads."""
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "config":
        return None if hasattr(Config, node.attr) else node.attr
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "config":
        inner = node.slice
    elif isinstance(node, ast.Call) and dotted(node.func) == "config.get":
        inner = node.args[0]
    else:
        return None
    return inner.value if isinstance(inner, ast.Constant) else None


def test_the_documents_list_every_script_key_config_and_data_set():
    pages = ("README.md", "docs/configs.md", "docs/data.md")
    readme, configs, data = ((REPOSITORY / page).read_text(encoding="utf-8") for page in pages)
    assert not [path.name for path in SCRIPTS if f"`{path.name}`" not in readme]
    assert keys.markdown_table() in configs
    assert not [place(path) for path in CONFIGS if f"{path.name}`" not in configs]
    named = {runpy.run_path(str(path))["config"].get("data_type") for path in CONFIGS} - {None}
    assert not [name for name in named if f"| `{name}` |" not in data], "data sets without a row"


def test_the_readme_gives_the_two_commands_and_ci_runs_the_second():
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    assert "python3 train.py configs/quickstart.py" in lines
    tests = [line for line in lines if line.startswith("python3 -m pytest")]
    assert tests[0] == "python3 -m pytest -q -n 2"
    assert "grep -m 1 '^python3 -m pytest' README.md" in (REPOSITORY / ".ci/run").read_text()


def test_the_tpu_requirements_differ_only_where_tensorflow_lags():
    def bounds(name: str) -> dict[str, str]:
        lines = [line.split("#")[0].strip() for line in (REPOSITORY / name).read_text().split("\n")]
        own = ("tensorflow>", "tensorflow-tpu", "libtpu", "tensorboard")
        return {line: line for line in lines if line and not line.startswith(own)}

    assert bounds("requirements.txt") == bounds("requirements_tpu.txt")
