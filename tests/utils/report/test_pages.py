"""Laws of `report.html`: it shows the files of a run folder, and nothing from outside."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import tensorflow as tf

from tests.source import SCRIPT_OF_FOLDER
from utils.report import embed
from utils.report.__main__ import main
from utils.report.pages import write_page

SCRIPTS = [script.removesuffix(".py") for script in SCRIPT_OF_FOLDER.values()]


class Page(HTMLParser):
    """A parsed page: the addresses of everything that it would load, and its text."""

    def __init__(self, path: Path):
        super().__init__()
        self.folder, self.sources, self.links, self.text = path.parent, [], [], ""
        content = path.read_text(encoding="utf-8")
        self.feed(content)
        assert not re.search(r"url\(|@import|https?:", content), "nothing from elsewhere"

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert tag not in {"link", "iframe", "object"}
        assert not (tag == "script" and "src" in found)
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []

    def handle_data(self, data):
        self.text += f"{data} "

    def pictures(self) -> list[Path]:
        """Return the files of its pictures, which are below the page's folder."""
        files = [self.folder / unquote(source) for source in self.sources]
        assert all(file.resolve().is_relative_to(self.folder.resolve()) for file in files)
        return files


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_page_shows_every_picture_and_leads_nowhere_else(finished, script):
    folder = finished(script)
    page = Page(Path(write_page([str(folder)])))
    assert page.folder == folder
    shown = {file.relative_to(folder) for file in page.pictures()}
    own = {"accuracy_over_attack.png"}  # shown as a chart instead
    there = {file.relative_to(folder) for file in folder.rglob("*.png") if file.name not in own}
    assert shown == there
    assert all(link.startswith("#") for link in page.links)
    assert "20 of 20" in page.text
    assert "not finished" not in page.text


WORDS = {
    "train": ("energy difference", "rollback to 2", "samples", "generator", "0.1 s per update"),
    "train_longrun": ("energy difference",),
    "train_clf": ("test accuracy at the end", "after epoch 5, the best of 4 tests", "accuracy"),
    "fid": ("FID[random_conv]", "held-out data", "0.4444 ± 0.1", "energy U", "24 training"),
    "attack": ("robust accuracy", "0.500 [0.095, 0.905]", "verified accuracy"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_page_tells_the_results_and_the_config_of_its_kind(finished, script):
    folder = finished(script)
    text = Page(Path(write_page([str(folder)]))).text
    assert not [word for word in WORDS[script] if word not in text]
    config = json.loads((folder / "config.json").read_text())["config"]
    assert not [name for name in config if name not in text]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_run_that_has_done_nothing_has_a_page(begin, script):
    page = Page(Path(write_page([str(begin(script))])))
    assert page.sources == []
    assert "Config" in page.text


def test_an_unfinished_run_says_so_and_shows_what_is_there(finished):
    folder = finished("train")
    state = folder / "state/20/state.json"
    state.write_text(state.read_text().replace('"total": 20', '"total": 40'))
    with open(folder / "metrics.csv", "a") as file:
        file.write("21,0.5,0.")  # a kill cut the row
    (folder / "shortrun/generator20.png").unlink()
    page = Page(Path(write_page([str(folder)])))
    assert "20 of 40" in page.text
    assert "not finished" in page.text
    assert len(page.pictures()) == 7


def test_damaged_files_count_as_none(finished):
    folder = finished("fid", "scores")
    for content in ('{"scores": [', "[1]"):
        (folder / "report.json").write_text(content)
        assert Page(Path(write_page([str(folder)]))).pictures()
    folder = finished("train", "training")
    event = '{"update": 3, "reason": "NaN", "action": "stop", "time": "now"}'
    (folder / "events.jsonl").write_text(f'{{"update": 2, "re{event}\n{event}\n')
    (folder / "metrics.csv").write_bytes(b"\xff\xfe\n\x00")
    assert "NaN" in Page(Path(write_page([str(folder)]))).text


def test_runs_stand_side_by_side_in_the_folder_that_holds_them(finished, tmp_path):
    folders = [finished("train", "sweep/a"), finished("train", "sweep/b", "epsilon=0.5")]
    page = Page(Path(write_page([f"{folder}/" for folder in [*folders, folders[0]]])))
    assert page.folder == tmp_path / "sweep"
    assert len(page.pictures()) == 16
    differ = page.text.partition("Configs that differ")[2].partition("Result")[0].split()
    assert differ == ["1", "keys", "a", "b", "epsilon", "0.01", "0.5"]


def test_runs_of_one_name_are_told_apart_by_their_folders(finished):
    folders = [finished("train", f"{each}/first", f"epsilon={each}") for each in (1, 2)]
    page = Page(Path(write_page([str(folder) for folder in folders])))
    assert {"1/first", "2/first"} <= {*page.text.split()}


def test_runs_of_different_kinds_share_a_page(finished):
    paths = [str(finished(script, script)) for script in SCRIPTS]
    assert len(Page(Path(write_page(paths))).pictures()) == 8 + 8 + 5 + 1


def test_names_and_values_are_no_markup(finished):
    folder = finished("train", "a <b>#1?&%41", "exp_name=<script>alert(1)<")
    page = Page(Path(write_page([str(folder)])))
    assert all(file.exists() for file in page.pictures())
    assert "<script>alert(1)<" in page.text
    assert "a <b>#1?&%41" in page.text


def test_a_single_file_holds_its_pictures(finished, tmp_path):
    folder = finished("fid")
    page = Page(Path(write_page([str(folder)], single_file=True)))
    assert len(page.sources) == 5
    assert {source.partition(",")[0] for source in page.sources} == {"data:image/png;base64"}
    assert "5 of 5 pictures" in page.text


def test_a_single_file_holds_no_more_than_fits(finished, monkeypatch):
    monkeypatch.setattr(embed, "MOST_PICTURES", 5)
    page = Page(Path(write_page([str(finished("train"))], single_file=True)))
    assert len(page.sources) == 4  # the last of both series; data; diagnostics
    assert "4 of 8 pictures" in page.text


@pytest.mark.parametrize("lengths", [[1, 1], [90], [30, 30, 2], [200, 1, 1], [1] * 70, []])
@pytest.mark.parametrize("size", [1_000, 1_500_000, 30_000_000])
def test_what_is_chosen_fits_and_is_spread_over_each_series(lengths, size):
    series = [[(number, step) for step in range(n)] for number, n in enumerate(lengths)]
    chosen = embed.choose(series, dict.fromkeys((p for own in series for p in own), size))
    assert len(chosen) <= embed.MOST_PICTURES
    assert len(chosen) * size <= embed.MOST_BYTES
    if sum(lengths) <= 50 and sum(lengths) * size <= embed.MOST_BYTES:
        assert len(chosen) == sum(lengths)
    if len(lengths) <= min(50, embed.MOST_BYTES // size):
        assert all(own[-1] in chosen for own in series)
    counts = [len(chosen & {*own}) for own in series]
    full = [count for count, own in zip(counts, series, strict=True) if count < len(own)]
    assert len({*full}) <= 1 or len(lengths) > min(50, embed.MOST_BYTES // size)


@pytest.mark.parametrize(
    ("path", "words"),
    [("nowhere", "does not exist"), ("text", "it is a file"), (".", "no config.json"),
     ("run/plots", "inside a run folder: give the folder itself, run")],
)  # fmt: skip
def test_what_is_no_run_folder_is_one_line(begin, tmp_path, monkeypatch, capsys, path, words):
    begin("train")
    (tmp_path / "text").write_text("notes")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main([path])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_the_command_prints_the_page(finished, capsys):
    folder = finished("attack")
    main([str(folder)])
    assert capsys.readouterr().out == f"{folder}/report.html\n"
    assert (folder / "report.html").exists()


def test_runs_that_no_folder_holds_are_one_line(capsys):
    with pytest.raises(SystemExit):
        main(["/run_of_nobody", "elsewhere"])
    assert "is not a run folder" in capsys.readouterr().err


def test_a_page_is_written_behind_a_url(finished):
    folder = finished("fid")
    for file in folder.rglob("*"):
        if file.is_file():
            target = f"ram://page/{file.relative_to(folder)}"
            tf.io.gfile.makedirs(target.rpartition("/")[0])
            tf.io.gfile.copy(str(file), target, overwrite=True)
    assert write_page(["ram://page/"]) == "ram://page/report.html"
    with tf.io.gfile.GFile("ram://page/report.html") as file:
        remote = file.read()
    assert remote.replace("<h1>page<", "<h1>run<").replace("<title>page<", "<title>run<") == Path(
        write_page([str(folder)])
    ).read_text(encoding="utf-8")


def test_scores_against_statistics_that_do_not_say_what_they_are_of_have_a_page(finished):
    folder = finished("fid")
    report = json.loads((folder / "report.json").read_text())
    bare = {"reference": {"extractor": "random_conv", "images": None}, "nearest": {}}
    none = {"kid": None, "kid_error": None, "warning": None}
    scores = [{**score, **none} for score in report["scores"]]
    (folder / "report.json").write_text(json.dumps({**report, **bare, "scores": scores}))
    assert "Against – images of data" in Page(Path(write_page([str(folder)]))).text
