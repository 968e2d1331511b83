import json
from pathlib import Path

import numpy as np
import pytest

from utils.attack.__main__ import main
from utils.attack.statistics import excess
from utils.attack.table import DEFENSE, SEARCH
from utils.config import keys


@pytest.fixture
def write_run(tmp_path):
    """Return (name, indices, right at the end, control, changes of the config) -> run folder."""

    def write(
        name: str,
        indices: list[int],
        stands: list[int],
        control: list[int] | None = None,
        weights: dict | None = None,
        **changes,
    ) -> str:
        folder = tmp_path / f"{name}_{len(list(tmp_path.iterdir()))}" / "data_log"
        folder.mkdir(parents=True)
        setting = dict.fromkeys(DEFENSE, 1) | {"attack": name, "attack_gradient": "bpda"} | changes
        share = {"accuracy": 1.0, "share": 0.25, "low": 0.2, "high": 0.3}
        report = {
            "images": len(indices), "natural": share, "control": None, "robust": share,
            "excess": None, "one_shot": share, "resubmission": [0.5, 0.25], "setting": setting,
            "seconds": 8.0, "image_steps": 80, "cost": {"seconds_per_image": 8 / len(indices)},
        }  # fmt: skip
        (folder / "report.json").write_text(json.dumps(report))
        path = np.array([np.ones(len(stands)), stands], np.uint8)
        config = {"script": "attack", "config_path": "a.py", "config": {}, "weights": weights or {}}
        (folder.parent / "config.json").write_text(json.dumps(config))
        controls = {} if control is None else {"control": np.array(control, np.uint8)}
        np.savez(folder / "results.npz", class_path=path, indices=np.array(indices), **controls)
        return str(folder.parent)

    return write


def test_the_last_row_is_the_worst_case_of_each_image(write_run, capsys):
    """One run attacked only half of the images: 1 of 4 stays right under all its attacks."""
    runs = [
        write_run("pgd", [5, 9, 2, 7], [1, 1, 0, 0]),
        write_run("pgd", [9, 5, 7, 2], [0, 1, 0, 1], attack_gradient="smoothed"),
        write_run("square", [5, 9], [1, 1]),
    ]
    main(runs)
    lines = capsys.readouterr().out.splitlines()[:6]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert len({len(row) for row in cells}) == 1
    assert [row[0] for row in cells[2:]] == [
        "pgd",
        "smoothed",
        "square",
        "worst case of each image",
    ]
    assert cells[-1][1] == "4"
    assert cells[-1][4].startswith("0.250 [")
    assert cells[-1][-2:] == ["6", "60"]


def worst_cells(capsys) -> list[str]:
    """Return the cells of the row of the worst case."""
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "worst case" in line]
    return [cell.strip() for cell in row.split("|")[1:-1]]


def test_the_worst_case_has_the_worst_control_and_the_excess_over_it(write_run, capsys):
    """Of 40 images the attacks leave 10 and the controls 30; one run has half of the images."""
    every = list(range(40))
    first = write_run("pgd", every, [1] * 20 + [0] * 20, [1] * 35 + [0] * 5)
    second = write_run("square", every[:20][::-1], [0] * 10 + [1] * 10, [1] * 15 + [0] * 5)
    main([first, second])
    cells = worst_cells(capsys)
    found = excess((np.arange(40) >= 5) & (np.arange(40) < 35), np.arange(40) < 10)
    assert cells[3] == "0.750"
    assert cells[4].startswith("0.250 [")
    assert cells[5] == f"0.500 [{found['low']:.3f}, {found['high']:.3f}]"
    main([first, write_run("square", every, [1] * 40)])
    assert worst_cells(capsys)[3] == "0.875"
    main([write_run("pgd", every, [1] * 40), second])
    assert worst_cells(capsys)[3] == "-"


@pytest.mark.parametrize(
    ("stands", "left", "verdict"),
    [
        ([1, 1, 1, 1], 4, "help"),
        ([1, 1, 1, 0], 3, "do not help, they may be masked"),
        ([0, 0, 0, 0], 0, "do not help, they may be masked"),
    ],
)
@pytest.mark.parametrize(
    "blind",
    [
        {"attack": "square"},
        {"attack": "transfer"},
        {"attack": "pgd", "attack_gradient": "none"},
    ],
)
def test_gradients_help_if_attacks_without_them_leave_two_images_more(
    write_run, capsys, blind, stands, left, verdict
):
    """Only the four images that all attacks have seen count; white boxes leave two of them."""
    runs = [
        write_run("pgd", [1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 1, 1]),
        write_run("apgd_ce", [1, 2, 3, 4, 5, 6], [1, 1, 0, 1, 1, 1]),
    ]
    main(runs)
    assert "gradients" not in capsys.readouterr().out
    main([*runs, write_run("blind", [4, 3, 2, 1], stands[::-1], **blind)])
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(
        f"on 4 images attacks without gradients of the purification leave {left}"
    )
    assert line.endswith(f", attacks through it 2: gradients {verdict}")


def test_nothing_can_be_masked_without_a_purification(write_run, capsys):
    main([write_run(name, [1, 2], [0, 0], langevin_steps=0) for name in ("pgd", "transfer")])
    assert "masked" not in capsys.readouterr().out


def test_what_a_table_compares_are_keys_of_an_attack():
    assert {*DEFENSE, *SEARCH} <= {*keys.keys_of("attack")}
    assert not {*DEFENSE} & {*SEARCH}


def test_rows_of_one_name_tell_what_differs(write_run, capsys):
    losses = {"cross_entropy": 20, "margin": 40}
    runs = [write_run("pgd", [1], [1], attack_loss=n, adv_steps=s) for n, s in losses.items()]
    main([*runs, write_run("square", [1], [1], adv_steps=300)])
    names = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines()[2:5]]
    assert names == [*(f"pgd, attack_loss={n}, adv_steps={s}" for n, s in losses.items()), "square"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"adv_eps": 2}, "runs differ in 'adv_eps'"),
        ({"attack_noise": "fixed"}, "runs differ in 'attack_noise'"),
        ({"prior_temp": 2}, "runs differ in 'prior_temp'"),
        ({"weights": {"ebm_weights": "another file"}}, "differ in the content of 'ebm_weights'"),
        (None, "is no run of attack.py"),
    ],
)
def test_a_table_is_of_one_defence(write_run, capsys, tmp_path, other, words):
    runs = [write_run("pgd", [1], [1])]
    runs.append(str(tmp_path) if other is None else write_run("square", [1], [1], **other))
    with pytest.raises(SystemExit) as stop:
        main(runs)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_a_run_counts_once_and_not_while_its_files_are_of_two_moments(write_run, capsys):
    first, second = write_run("pgd", [1, 2], [1, 0]), write_run("square", [1, 2], [1, 1])
    main([first, second, first])
    assert worst_cells(capsys)[-2:] == ["8", "80"], "of two runs on two images"
    report = Path(second, "data_log/report.json")
    report.write_text(report.read_text().replace('"images": 2', '"images": 1'))
    with pytest.raises(SystemExit):
        main([first, second])
    assert "its results are of 2 images, its report of 1" in capsys.readouterr().err
