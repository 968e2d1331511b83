"""`SCRIPT.py --help`: how to run a script, and the keys of its configs, by groups."""

import argparse
import shutil
import textwrap

from utils.config import keys
from utils.config.command_line import Parser
from utils.config.kinds import label

TEXT = 24  # the column where the text of a key begins, as that of an option
INTRODUCTION = "keys of the config (* may also be changed when a run is resumed):"


class ScriptParser(Parser):
    """The command line of a script; its help ends with the keys of the script's configs."""

    def format_help(self) -> str:
        columns = shutil.get_terminal_size().columns - 2  # as argparse counts
        return f"{super().format_help()}\n{key_help(self.prog.removesuffix('.py'), columns)}"


class Paragraphs(argparse.HelpFormatter):
    """Wraps the paragraphs of a description; indented ones, commands, stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(p if p.startswith(" ") else textwrap.fill(p, width) for p in paragraphs)


def key_help(script: str, columns: int) -> str:
    """Return the keys of a script, with meanings, values and defaults, wrapped to `columns`."""
    lines = [textwrap.fill(INTRODUCTION, columns)]
    for title, group in {**keys.GROUPS, "of older configs": keys.FOSSILS}.items():
        if own := keys.keys_of(script, group):
            lines += ["", f"{title}:", *(_paragraph(key, columns) for key in own.values())]
    return "\n".join(lines) + "\n"


def _paragraph(key: keys.Key, columns: int) -> str:
    default = "required" if key.default is keys.REQUIRED else f"default {key.default!r}"
    text = f"{key.help} ({label(key.kind)}; {default})".replace("`", "")
    name = f"  {key.name}{'*' * key.resumable}"
    return textwrap.fill(
        text,
        columns,
        initial_indent=f"{name:{TEXT}}",
        subsequent_indent=" " * TEXT,
        break_on_hyphens=False,
    )
