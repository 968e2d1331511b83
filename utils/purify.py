"""Purify pictures by Langevin steps of an EBM, as the defence of `attack.py` does.

    python3 -m utils.purify CONFIG IN OUT [--set KEY=VALUE ...]

CONFIG is one of `configs_attack/`: it names the EBM and its sampling; no classifier is read. IN is
a folder of pictures, with or without one subfolder per label, or an npz with an array `images`.
OUT is a new or empty folder. It gets PNG files of the same names, or an npz, in the same order and
as 8-bit pixels. Pictures are cropped and resized to the EBM's size. After a stop, give the same
command again to continue.
"""

import argparse
from collections.abc import Sequence

import utils.before_tensorflow

from utils.attack.purify import open_work, purify_all
from utils.config.command_line import Parser, path
from utils.errors import one_line_errors


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Parser(
        prog="python3 -m utils.purify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=path, help="config file of attack.py")
    parser.add_argument(
        "source", metavar="IN", type=path, help="folder of pictures, or an .npz file"
    )
    parser.add_argument(
        "target", metavar="OUT", type=path, help="new folder for the purified pictures"
    )
    parser.add_argument("--set", metavar="KEY=VALUE", action="extend", nargs="+", default=[])
    arguments = parser.parse_args(argv)
    purify_all(open_work(arguments.config, arguments.source, arguments.target, arguments.set))


if __name__ == "__main__":
    main()
