"""Benchmarks run with sizes that measure nothing, so that they are not found broken when needed."""

import importlib
import re

import pytest

SMALL = {
    "density": "--widths 2 --chains 2 --steps 1 --repeats 1",
    "frechet": "--images 20 --dim 4 --repeats 1",
}
SLOW = {
    "attack": "configs_attack/smoke.py --images 2 --repeats 1",
    "langevin": "--sizes 32 --widths 2 --batches 4 --large-batches 4 --steps 1 --repeats 1",
    "update": "configs/smoke.py --sizes 20 --repeats 1",
}
RUNS = [*SMALL.items(), *(pytest.param(*run, marks=pytest.mark.slow) for run in SLOW.items())]


@pytest.mark.parametrize(("name", "arguments"), RUNS)
def test_a_benchmark_prints_what_it_measures(name, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    importlib.import_module(f"benchmarks.{name}").main(arguments.split())
    measured = [line for line in capsys.readouterr().out.splitlines() if re.search(r"\d", line)]
    assert measured
