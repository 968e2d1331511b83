"""The notebook is short, was run as it stands, and runs again to the same outputs."""

import json
import re

import pytest

from utils.data.tfds import open_builder

MOST_CELLS, MOST_BYTES, LARGEST_DIFFERENCE = 15, 400_000, 1e-4
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]\d+)?")


@pytest.fixture
def path(repository):
    return repository / "examples/langevin.ipynb"


def _outputs(cell) -> list[str]:
    """Return what a cell prints, every number left out, and the kinds of its other outputs."""
    outputs = cell["outputs"]  # prints may come in one piece or in several
    printed = "".join("".join(each.get("text", "")) for each in outputs)
    shown = [" ".join(sorted(each["data"])) for each in outputs if "data" in each]
    return [NUMBER.sub("0", printed), *shown]


def test_the_notebook_is_short_and_holds_the_outputs_of_one_run_in_order(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(cells) <= MOST_CELLS
    assert path.stat().st_size < MOST_BYTES
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell["outputs"] if o.get("name") == "stderr"]


@pytest.mark.slow
def test_the_notebook_runs_to_the_same_outputs_and_its_chain_is_the_librarys(
    path, repository, monkeypatch
):
    prepared = {"data_type": "emoji32", "data_dir": str(repository / "emoji32_tfds")}
    open_builder(prepared)  # the first use of the data says that it prepares them
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # that of tests shows nothing
    stored = nbformat.read(path, as_version=4)
    fresh = nbclient.NotebookClient(
        nbformat.from_dict(stored), timeout=600, resources={"metadata": {"path": path.parent}}
    ).execute()
    told = [_outputs(cell) for cell in fresh.cells if cell.cell_type == "code"]
    assert told == [_outputs(cell) for cell in stored.cells if cell.cell_type == "code"]
    printed = "".join(o.get("text", "") for cell in fresh.cells for o in cell.get("outputs", []))
    (difference,) = re.findall(r"^largest difference .*: (\S+)$", printed, flags=re.MULTILINE)
    assert float(difference) < LARGEST_DIFFERENCE
