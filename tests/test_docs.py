"""The documents hold together: links, anchors, pictures, paths, and one version everywhere."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.source import CONFIGS, PROJECT, REPOSITORY, TESTS, files, place

PAGES, TO_COPY = files("docs/*.md"), files("examples/*.md")
DOCUMENTS = [*files("README.md", "CONTRIBUTING.md", "CHANGELOG.md"), *PAGES, *TO_COPY]
PAGE_CEILING = 250
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
PICTURE = re.compile(r"!\[([^]]*)\]|<img ((?:[^>\"]|\"[^\"]*\")*)>")
FOLDERS = {p.relative_to(REPOSITORY).parts[0] for p in [*PROJECT, *CONFIGS, *TESTS, *PAGES]}
ROOMS = "|".join(sorted(path for path in FOLDERS if not path.endswith(".py")))
PATH = re.compile(rf"(?<![\w/.-])(?:{ROOMS})/[\w./-]*[\w/]")
MODULE = re.compile(r"(?<![\w/.-])(?:utils|nets|benchmarks|fid_orig|examples)(?:\.(?!png)\w+)+")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _prose(path: Path) -> str:
    """Return the text without its code blocks."""
    return re.sub(r"^```.*?^```$", "", _text(path), flags=re.MULTILINE | re.DOTALL)


def _anchors(path: Path) -> set[str]:
    """Return the anchors that a page has on GitHub: its headings, small, without punctuation."""
    headings = re.findall(r"^#+ (.*)$", _prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=place)
def test_links_lead_to_files_and_headings(path):
    broken = []
    for link in (a or b for a, b in LINK.findall(_prose(path))):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if ":" not in name and not (target.exists() and (not anchor or anchor in _anchors(target))):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=place)
def test_pictures_have_alternative_texts(path):
    pictures = PICTURE.findall(_prose(path))
    assert not [p for p in pictures if not (p[0] or re.search(r'alt="[^"]+"', p[1]))]


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if p.stem != "CHANGELOG"], ids=place)
def test_paths_modules_and_scripts_that_are_named_exist(path):
    text = _text(path)
    gone = [name for name in PATH.findall(text) if not (REPOSITORY / name).exists()]
    gone += [name for name in MODULE.findall(text) if not _is_module_or_inside_one(name)]
    sources = {source.name for source in [*PROJECT, *CONFIGS, *TESTS]}
    gone += [name for name in re.findall(r"`(\w+\.py)`", text) if name not in sources]
    assert not gone


def _is_module_or_inside_one(name: str) -> bool:
    """Whether a dotted name is a package, a module, or a name that the module's text has."""
    *above, last = name.split(".")
    inside = "/".join(above)
    if files(f"{inside}/{last}", f"{inside}/{last}.py"):
        return True
    modules = files(f"{inside}.py", f"{inside}/__init__.py")
    return any(re.search(rf"\b{last}\b", _text(module)) for module in modules)


def test_the_readme_leads_to_every_page():
    links = {a for a, _ in LINK.findall(_text(REPOSITORY / "README.md"))}
    assert not [place(page) for page in PAGES if place(page) not in links]


@pytest.mark.parametrize("path", [*PAGES, *TO_COPY], ids=place)
def test_a_page_says_what_it_answers_and_is_short(path):
    title, empty, answer, *rest = _text(path).splitlines()
    assert title.startswith("# ")
    assert not empty
    assert answer[0].isalpha()
    assert sum(not line.startswith("|") for line in rest) <= PAGE_CEILING


def test_one_version_everywhere():
    version = tomllib.loads(_text(REPOSITORY / "pyproject.toml"))["project"]["version"]
    newest = re.search(r"^## (\S+)", _text(REPOSITORY / "CHANGELOG.md"), flags=re.MULTILINE)
    assert newest[1] == version
    assert f"\nversion: {version}\n" in _text(REPOSITORY / "CITATION.cff")
