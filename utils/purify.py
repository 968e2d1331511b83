"""Purify pictures by Langevin steps of an EBM, as the defence of `attack.py` does: cleaned data.

    python3 -m utils.purify CONFIG IN OUT [--set KEY=VALUE ...]

CONFIG is one of `configs_attack/`: it names the EBM and how its chains run; no classifier is read.
IN is a folder of pictures, whose labels may be its folders, or an npz with an array `images`. OUT
is a folder, new or empty: PNG files of the same names, or an npz, in the same order and of 8 bits.
Pictures get the size of the EBM's. The same command goes on where it was stopped.
"""

import argparse
from collections.abc import Sequence

import utils.before_tensorflow

from utils.attack.purify import open_work, purify_all
from utils.config.command_line import Parser
from utils.errors import one_line_errors


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Purify as the command line says."""
    parser = Parser(
        prog="python3 -m utils.purify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file of attack.py")
    parser.add_argument("source", metavar="IN", help="folder of pictures, or an .npz file")
    parser.add_argument("target", metavar="OUT", help="folder for the purified pictures")
    parser.add_argument("--set", metavar="KEY=VALUE", action="extend", nargs="+", default=[])
    arguments = parser.parse_args(argv)
    purify_all(open_work(arguments.config, arguments.source, arguments.target, arguments.set))


if __name__ == "__main__":
    main()
