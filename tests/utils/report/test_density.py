"""The page of a density run: the results of each stage in the section of its subject."""

import json

from utils.report.folder import RunFolder
from utils.report.pages import sections, write_page

FOUND = {"log_z": -40.5, "effective_size": 3.25, "acceptance": 0.61, "chains": 8}
REPORT = {
    "outliers": {
        "images": 24,
        "uniform": {
            "images": 24,
            "energy": {
                "auroc": 0.975, "auroc_interval": [0.9, 1.0],
                "fpr95": 0.125, "fpr95_interval": [0.0, 0.5],
            },
        },
    },
    "validity": {
        "r_hat": {"energies": 1.0123}, "ess": {"energies": {"bulk": 77.0, "tail": 66.0}},
        "autocorrelation_steps": {"energies": 12.0},
        "between_starts": {"data and noise": {"energy_distance": 0.5, "p_value": 0.04}},
        "from noise": {
            "energy_of_data": {"mean": -7.5, "standard_error": 0.5}, "energy_drift": None,
            "at": {"200": {
                "energy": {"mean": -6.25, "standard_error": 0.5}, "acceptance": 0.875,
                "saturated": 0.0,
            }},
        },
    },
    "modes": {
        "from noise": {
            "classes": ["a", "b", "c"], "visited_per_chain": 1.75, "visited": 2, "stays": 0.985,
        },
    },
    "log_z": {"by_steps": {"500": {"forward": FOUND, "reverse": FOUND, "difference": 0.0}}},
    "bits_per_dim": {"base": 3.5, "by_steps": {"500": {"forward": 2.25, "reverse": 2.75}}},
}  # fmt: skip


def test_each_stage_of_a_density_has_its_numbers_on_the_page(begin):
    folder = begin("fid", "run", "exp_type=density")
    (folder / "report.json").write_text(json.dumps(REPORT))
    write_page([str(folder)])
    page = (folder / "report.html").read_text()
    for told in (
        "Likelihood", "3.25 of 8", "2.25", "2.75", "3.5 bits per dimension", "Outliers",
        "0.975 [0.900, 1.000]", "0.125 [0.000, 0.500]", "Convergence", "1.012", "77", "66",
        "data and noise", "-6.25", "0.875", "1.75", "2 of 3", "98.5%",
    ):  # fmt: skip
        assert told in page, told


def test_a_density_run_that_has_only_looked_at_images_shows_them(begin):
    folder = begin("fid", "run", "exp_type=density")
    (folder / "report.json").write_text(json.dumps({"outliers": REPORT["outliers"]}))
    found = sections(RunFolder(str(folder)))
    assert [title for title, blocks in found.items() if blocks] == ["Outliers", "Config"]
