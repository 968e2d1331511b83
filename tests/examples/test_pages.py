"""Pages that people copy from: their configs load, their commands name keys that there are."""

import re
import shlex
from pathlib import Path

import pytest

from tests.source import SCRIPTS, files, place
from utils.config.load import load_config

PAGES = files("examples/*.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"[Ss]ave (?:this one|this) as `([^`]+)`.*?^```python\n(.*?)^```$",
                   flags=re.MULTILINE | re.DOTALL)  # fmt: skip


def commands_of(page: Path) -> list[list[str]]:
    """Return the commands of a page's blocks, split as a shell does, without `python3`."""
    blocks = [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if not kind]
    lines = [line for text in blocks for line in text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("python3 ")]


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_configs_of_a_page_load_with_what_its_commands_change(page, tmp_path):
    for name, text in SAVED.findall(page.read_text(encoding="utf-8")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    scripts, loaded = {path.name for path in SCRIPTS}, 0
    for script, *arguments in commands_of(page):
        if script in scripts and arguments[0].endswith(".py"):
            own = tmp_path / arguments[0]
            config = str(own) if own.exists() else arguments[0]
            load_config(config, changes_of(arguments), script.removesuffix(".py"))
            loaded += 1
    assert loaded


def changes_of(arguments: list[str]) -> list[str]:
    """Return what a command sets."""
    return arguments[arguments.index("--set") + 1 :] if "--set" in arguments else []
