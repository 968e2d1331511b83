"""`SCRIPT.py --help`: every key of the script's configs, in groups, at any width."""

import ast

import pytest

from tests.source import SCRIPTS, tree
from utils.config import keys
from utils.config.help import TEXT, key_help
from utils.config.load import parse_command

DESCRIPTIONS = {path.stem: ast.get_docstring(tree(path)) for path in SCRIPTS}


def _paragraphs(text: str) -> dict[str, str]:
    """Return the words of each key's paragraph, by the key's name as printed."""
    found, name = {}, ""
    for line in text.splitlines():
        if line.startswith("  "):
            name = line[:TEXT].strip() or name
            found[name] = f"{found.get(name, '')} {line[TEXT:].strip()}".strip()
    return found


@pytest.mark.parametrize("columns", [78, 118])
@pytest.mark.parametrize("script", DESCRIPTIONS)
def test_each_key_stands_in_the_help_with_its_meaning_and_its_default(script, columns):
    text, known = key_help(script, columns), keys.keys_of(script, keys.KEYS + keys.FOSSILS)
    assert max(map(len, text.splitlines())) <= columns
    found = _paragraphs(text)
    assert list(found) == [name + "*" * key.resumable for name, key in known.items()]
    for key, words in zip(known.values(), found.values(), strict=True):
        default = "required" if key.default is keys.REQUIRED else f"default {key.default!r}"
        assert words.startswith(key.help.replace("`", "") + " (")
        assert words.endswith(f"; {default})")


@pytest.mark.parametrize("script", DESCRIPTIONS)
def test_groups_come_in_the_order_of_the_table(script):
    blocks = key_help(script, 80).split("\n\n")
    named = [title for title, group in keys.GROUPS.items() if keys.keys_of(script, group)]
    assert [block.partition(":\n")[0] for block in blocks[1:]] == [*named, "of older configs"]
    assert (named[0], named[-2:]) == ("data", ["devices", "run folder and records"])


@pytest.mark.parametrize("script", DESCRIPTIONS)
def test_help_fits_a_terminal_and_names_every_option(script, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        parse_command(script, DESCRIPTIONS[script], ["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) < 80
    for option in ("--set KEY=VALUE", "--dry-run", "--resume RUN_DIR", "--run-dir DIR"):
        assert option in text
    assert text.endswith(key_help(script, 78))
