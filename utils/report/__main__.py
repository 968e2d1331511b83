"""Write `report.html` of runs: config, curves, pictures over steps, scores, energies.

python3 -m utils.report RUN [RUN ...] [--single-file]
"""

from collections.abc import Sequence

import utils.before_tensorflow

from utils.config.command_line import Parser
from utils.errors import one_line_errors
from utils.report.pages import write_page

DESCRIPTION = """Write the page of runs, finished or not: config, curves, pictures over steps,
scores, energies. Of one run it is RUN/report.html; several runs stand side by side in the
report.html of the folder that holds all of them. It opens from the disk, and shows pictures by
relative paths: move or send the whole folder, or use --single-file."""


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Write the page that the command line asks for."""
    parser = Parser(prog="python3 -m utils.report", description=DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder of any script")
    parser.add_argument(
        "--single-file",
        action="store_true",
        help="pictures inside of the page, at most 50 and 20 MB: of many steps some",
    )
    arguments = parser.parse_args(argv)
    print(write_page(arguments.runs, single_file=arguments.single_file), flush=True)


if __name__ == "__main__":
    main()
