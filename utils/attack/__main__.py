"""Print one table of runs of `attack.py` on the same defence; its last row is the worst case.

python3 -m utils.attack RUN_DIR [RUN_DIR ...]
"""

from collections.abc import Sequence

import utils.before_tensorflow

from utils.attack.table import read_attack, rows_of
from utils.config.command_line import Parser, path
from utils.errors import one_line_errors


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Print one table of runs of attack.py on the same defence; its last row is the worst case."""
    parser = Parser(prog="python3 -m utils.attack", description=main.__doc__)
    parser.add_argument(
        "runs", type=path, metavar="RUN_DIR", nargs="+", help="run folder of attack.py"
    )
    arguments = parser.parse_args(argv)
    print("\n".join(rows_of([read_attack(folder) for folder in dict.fromkeys(arguments.runs)])))


if __name__ == "__main__":
    main()
