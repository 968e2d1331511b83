"""From run folders to `report.html`: a static page that opens from the disk, without a network."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from utils.errors import UserError
from utils.files.whole import join, whole_file
from utils.report.blocks import Block, Pictures, Sections, Slides
from utils.report.embed import UrlOf, embedded
from utils.report.folder import RunFolder
from utils.report.kinds import KINDS, config
from utils.report.text import NONE
from utils.run.run import Run

PAGE, TEMPLATE = "report.html", "page.html.jinja"
ORDER = (  # of sections
    *("Result", "Scores", "Likelihood", "Outliers", "Convergence", "Modes"),
    *("Pictures", "Curves", "Energies", "Nearest training pictures"),
    *("Divergences", "Config"),
)
TITLES = {
    "train": "training of an energy-based model",
    "train_longrun": "correction of a prior",
    "train_clf": "training of a classifier",
    "fid": "samples and scores",
    "attack": "attack on a classifier",
}


def write_own_page(run: Run) -> None:
    """Write the page of a run at its end; the chief does."""
    if run.chief:
        write_page([run.folder])


def write_page(paths: Sequence[str], *, single_file: bool = False) -> str:
    """Write the page of one run, or of several side by side; return its path.

    It is written into the run folder, or into the folder that holds all runs, so that all pictures
    are below it. `single_file` embeds the pictures, as many as fit. Raises UserError if a path is
    no run folder, and if no folder holds all runs.
    """
    runs = list({run.path: run for run in map(RunFolder, paths)}.values())
    folder = _common([run.path for run in runs])
    if len({run.name for run in runs}) < len(runs):
        for run in runs:
            run.name = run.path[len(folder) :].strip("/")
    shown = [sections(run) for run in runs]
    links, note = [_linked(run, folder) for run in runs], ""
    if single_file:
        links, note = embedded(runs, shown)
    parts = [_with_urls(*each) for each in zip(shown, links, strict=True)]
    text = _template().render(
        runs=runs, kinds=TITLES, note=note, different=_different(runs),
        sections=_side_by_side(runs, parts),
    )  # fmt: skip
    with whole_file(path := join(folder, PAGE)) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    return path


def sections(run: RunFolder) -> Sections:
    """Return the sections of a run; raises UserError for a script without a page."""
    if run.script not in KINDS:
        raise UserError(f"{run.path} is a run of {run.script}.py, which has no page: name others")
    return KINDS[run.script](run) | {"Config": config(run)}


def _template() -> jinja2.Template:
    """Return the template; it escapes all values."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template(TEMPLATE)


def _common(folders: Sequence[str]) -> str:
    """Return the folder of a single run, or the folder that holds all runs."""
    if len(folders) == 1:
        return folders[0]
    levels = zip(*(folder.split("/")[:-1] for folder in folders), strict=False)
    same = [names[0] for names in itertools.takewhile(lambda names: len({*names}) == 1, levels)]
    if not any(same[3 if "://" in folders[0] else 0 :]):
        raise UserError(
            f"no folder holds all of {', '.join(folders)}: move them into one for their page"
        )
    return "/".join(same)


def _side_by_side(
    runs: Sequence[RunFolder], parts: Sequence[Sections]
) -> dict[str, list[tuple[str, list[Block]]]]:
    """Return, by section, the names and blocks of the runs that have it."""
    pairs = list(zip(runs, parts, strict=True))
    found = {title: [(run.name, own[title]) for run, own in pairs if own.get(title)]
             for title in ORDER}  # fmt: skip
    return {title: cells for title, cells in found.items() if cells}


def _linked(run: RunFolder, folder: str) -> UrlOf:
    """Return path -> the link to a picture of a run, from a page in `folder`."""
    prefix = run.path[len(folder) :].strip("/")
    return lambda path: quote(join(prefix, path) if prefix else path)


def _with_urls(own: Sections, url_of: UrlOf) -> Sections:
    """Return sections with URLs in place of the paths of pictures."""
    return {title: [_with_url(block, url_of) for block in blocks] for title, blocks in own.items()}


def _with_url(block: Block, url_of: UrlOf) -> Block:
    if isinstance(block, Pictures):
        return block._replace(pictures=_found(block.pictures, url_of))
    if isinstance(block, Slides):
        series = {name: _found(own, url_of) for name, own in block.series.items()}
        return block._replace(series=series)
    return block


def _found(paths: Mapping[Any, str], url_of: UrlOf) -> dict[Any, str]:
    return {key: found for key, path in paths.items() if (found := url_of(path)) is not None}


def _different(runs: Sequence[RunFolder]) -> list[list[str]]:
    """Return the keys whose values differ between the runs that have them, and all values."""
    names = dict.fromkeys(name for run in runs for name in run.config)
    found = {name: [each.config[name] for each in runs if name in each.config] for name in names}
    return [
        [name, *(json.dumps(run.config[name]) if name in run.config else NONE for run in runs)]
        for name, values in found.items()
        if any(value != values[0] for value in values)
    ]
