"""The project's source as the tests of the house read it: files by room, and their syntax trees."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT_OF_FOLDER = {
    "configs": "train.py",
    "configs_lr": "train_longrun.py",
    "configs_clf": "train_clf.py",
    "configs_attack": "attack.py",
    "configs_fid": "fid.py",
}


def files(*patterns: str) -> list[Path]:
    """Return the files of the checkout that match, sorted."""
    return sorted(path for pattern in patterns for path in REPOSITORY.glob(pattern))


SCRIPTS = files("*.py")
UTILS, NETS = files("utils/**/*.py"), files("nets/**/*.py")
FID_ORIG, BENCHMARKS = files("fid_orig/*.py"), files("benchmarks/*.py")
EXAMPLES = files("examples/*.py")
PROJECT = [*SCRIPTS, *UTILS, *NETS, *FID_ORIG, *BENCHMARKS, *EXAMPLES, *files("data/*.py")]
CONFIGS = files(*(f"{folder}/*.py" for folder in SCRIPT_OF_FOLDER))
TESTS = files("tests/**/*.py")


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def place(path: Path, node: ast.AST | None = None) -> str:
    """Return `folder/file.py:line` for a message."""
    line = f":{node.lineno}" if node is not None else ""
    return f"{path.relative_to(REPOSITORY).as_posix()}{line}"


def module_name(path: Path) -> str:
    """Return the name by which a file is imported from the root."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield the modules that a file imports anywhere, each with its import."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    """Yield every function and method of a file, inner ones too."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef))


def nested_functions(
    node: ast.AST, depth: int = 1, outer: str = ""
) -> Iterator[tuple[str, int, ast.FunctionDef]]:
    """Yield every function below a node as `outer.inner`, with its depth: 1 outside of others."""
    for child in ast.iter_child_nodes(node):
        name = f"{outer}{getattr(child, 'name', '')}"
        if isinstance(child, ast.FunctionDef):
            yield name, depth, child
            yield from nested_functions(child, depth + 1, f"{name}.")
        else:
            inside = f"{name}." if isinstance(child, ast.ClassDef) else outer
            yield from nested_functions(child, depth, inside)


def parameters(function: ast.FunctionDef) -> list[str]:
    """Return the names of a function's parameters but `self`."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def length(function: ast.FunctionDef) -> int:
    """Return the number of lines of a function, docstring included, decorators not."""
    return function.end_lineno - function.lineno + 1


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` of an attribute chain of names, or an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner else ""
