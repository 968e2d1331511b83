"""Write the page `report.html` of one run, or of several runs side by side.

python3 -m utils.report RUN [RUN ...] [--single-file]
"""

from collections.abc import Sequence

import utils.before_tensorflow

from utils.config.command_line import Parser, path
from utils.errors import one_line_errors
from utils.report.pages import write_page

DESCRIPTION = """Write the page of runs, finished or not: config, curves, pictures over steps,
scores, energies. One run is shown in RUN/report.html, several runs side by side in the report.html
of the folder that holds all of them. The page opens from the disk and loads pictures by relative
paths: move or send the whole folder, or use --single-file."""


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Parser(prog="python3 -m utils.report", description=DESCRIPTION)
    parser.add_argument(
        "runs", nargs="+", type=path, metavar="RUN", help="run folder of any script"
    )
    parser.add_argument(
        "--single-file",
        action="store_true",
        help="embed the pictures in the page: at most 50 and 20 MB, so some steps may be left out",
    )
    arguments = parser.parse_args(argv)
    print(write_page(arguments.runs, single_file=arguments.single_file), flush=True)


if __name__ == "__main__":
    main()
