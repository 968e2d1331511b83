"""Laws of curves as SVG: they show the measured values, and all of them."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from utils.report.charts import COLORS, COLUMNS, HEIGHT, WIDTH, Line, chart
from utils.report.text import duration, number, with_error


def _drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def _points(svg: str) -> np.ndarray:
    """Return the (n, 2) points of the line."""
    (path,) = (p.get("d") for p in _drawn(svg).iter("path") if "line" in p.get("class"))
    return np.array([pair.split() for pair in path[1:].split("L")], float)


def test_a_long_curve_shows_means_between_its_smallest_and_largest_values(rng):
    y = rng.normal(size=10 * COLUMNS)
    gathered = Line(np.arange(len(y)), y).gathered()
    parts = y.reshape(COLUMNS, 10)
    np.testing.assert_allclose(gathered.y, parts.mean(axis=1))
    np.testing.assert_array_equal(gathered.low, parts.min(axis=1))
    np.testing.assert_array_equal(gathered.high, parts.max(axis=1))


def test_a_short_curve_is_drawn_point_by_point_and_tells_its_values():
    y = np.array([1.0, np.nan, -3.0, 1234.5])
    svg = chart("scores", {"FID": Line(np.arange(4), y)}, x="step").svg
    points = _points(svg)
    assert len(points) == 3
    assert (np.diff(points[:, 0]) > 0).all()
    assert points[:, 1].argmax() == 1, "the smallest value stands lowest"
    told = [title.text for title in _drawn(svg).iter("title")]
    assert told == ["FID at 0: 1", "FID at 2: -3", "FID at 3: 1,234"]


@pytest.mark.parametrize(
    "y", [[], [3.0], [0.0, 0.0], [np.nan, np.nan], [1e30, -1e30], [5.0] * 1000]
)
@pytest.mark.parametrize("log", [False, True])
def test_every_curve_stays_inside_its_drawing(y, log):
    line = Line(np.arange(len(y)), np.array(y))
    svg = chart("any", {"": line}, x="step", levels={"data": 2.0}, log=log).svg
    numbers = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in _drawn(svg).iter("circle")]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in numbers)
    assert len(numbers) == (np.isfinite(y).sum() if len(y) < 50 else 0)
    assert "nan" not in svg


def test_what_lies_beyond_the_axis_is_said():
    y = np.sin(np.arange(1000.0))
    y[7] = 1e6
    drawn = chart("energy", {"": Line(np.arange(1000), y)}, x="update")
    assert re.fullmatch(r"cut: values reach from -1 to 1,000,000", drawn.note)
    assert np.ptp(_points(drawn.svg)[:, 1]) > HEIGHT / 4, "the rest is not flat"
    assert chart("energy", {"": Line(np.arange(1000), np.sin(y))}, x="update").note == ""


def test_steps_of_a_logarithmic_axis_are_equally_far():
    x = np.array([0, 9, 99, 999, 9999])
    svg = chart("score", {"": Line(x, x * 1.0)}, x="step", log=True).svg
    np.testing.assert_allclose(np.diff(_points(svg)[:, 0], n=2), 0, atol=0.3)  # 1 decimal


def test_every_curve_has_a_color_and_a_name():
    lines = {f"{steps} steps": Line(np.arange(100), np.ones(100)) for steps in range(9)}
    drawn = chart("FID", lines, x="update")
    colors = [p.get("class") for p in _drawn(drawn.svg).iter("path") if "line" in p.get("class")]
    assert colors == [f"line c{place % COLORS}" for place in range(9)]
    assert drawn.names == list(lines)


def test_titles_and_names_are_no_markup():
    svg = chart("a<b", {"x&y": Line(np.arange(1), np.ones(1))}, x='">', levels={"<i>": 2.0}).svg
    assert _drawn(svg).get("aria-label") == "a<b"
    assert {'">', "<i>"} < {text.text for text in _drawn(svg).iter("text")}
    assert [title.text for title in _drawn(svg).iter("title")] == ["x&y at 0: 1"]


def test_numbers_are_told_as_people_read_them():
    assert [number(x) for x in (None, np.nan, 1e6, 0.00123456, -2, np.inf)] == [
        *("–", "–", "1,000,000", "0.001235", "-2", "–")
    ]
    assert with_error(1.5, 0.123) == "1.5 ± 0.12"
    assert with_error(1.5, None) == "1.5"
    assert [duration(s) for s in (5, 90, 7200)] == ["5.0 s", "1.5 min", "2.0 h"]
