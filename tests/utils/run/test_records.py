import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from utils.errors import UserError
from utils.run.records import Metrics, Progress, make_board
from utils.run.training import Training

COLUMNS = ("update", "energy_diff")


def _metrics(path, rows: int) -> Metrics:
    metrics = Metrics(str(path), COLUMNS)
    for update in range(1, rows + 1):
        metrics.append({"update": update, "energy_diff": update / 3})
    metrics.flush()
    return metrics


def test_rows_read_back_to_the_last_bit(tmp_path):
    metrics = _metrics(tmp_path / "m.csv", 5)
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines[0] == "update,energy_diff"
    assert [float(line.split(",")[1]) for line in lines[1:]] == [u / 3 for u in range(1, 6)]
    np.testing.assert_array_equal(metrics.series("energy_diff"), np.arange(1, 6) / 3)


def test_cutting_back_leaves_no_gap_and_no_double_row(tmp_path):
    path = tmp_path / "m.csv"
    _metrics(path, 5)
    with open(path, "a") as file:
        file.write("6,2.0\n7,0.3")  # a kill broke the last row off
    again = Metrics(str(path), COLUMNS)
    again.cut(4)
    again.append({"update": 5, "energy_diff": 5 / 3})
    again.flush()
    assert path.read_text() == "\n".join(
        ["update,energy_diff", *(f"{u},{u / 3!r}" if u != 3 else "3,1" for u in range(1, 6)), ""]
    )
    assert len(again.series("update")) == 5


@pytest.mark.parametrize(
    ("old", "new"),
    [("2,", "2;"), ("2,0.6666666666666666\n", ""), ("1,", "1.0,"), ("2,0.66", '2,"0,66')],
)
def test_a_file_that_lacks_rows_is_refused_and_left_as_it_is(tmp_path, old, new):
    """As after a partial copy, and after a spreadsheet has saved it."""
    path = tmp_path / "m.csv"
    _metrics(path, 3)
    path.write_text(damaged := path.read_text().replace(old, new))
    with pytest.raises(UserError, match="lacks rows of the 3 updates that are done"):
        Metrics(str(path), COLUMNS).cut(3)
    assert path.read_text() == damaged


def test_without_a_terminal_a_line_comes_every_so_many_updates(capsys):
    progress = Progress(total=7, done=0, images_per_update=8, every=3)
    for step in range(1, 8):
        progress.show(step, {"energy_diff": 0.5, "grad_norm": 1.0}, chain_steps=10)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1/7", "3/7", "6/7", "7/7"]
    assert "left" not in lines[0]  # nothing but tracing is measured yet
    assert all("image-steps/s" in line and "left" in line for line in lines[1:])


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("done", [0, 20])
def test_the_time_that_is_left_leaves_the_first_update_out(monkeypatch, capsys, done, terminal):
    """Of a resumed run, too: it traces anew. An hour for the first, then 2 s each."""
    clock = [1000.0]
    for of_time in ("time.perf_counter", "tqdm.std.time"):
        monkeypatch.setattr(of_time, lambda: clock[0])
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: terminal)
    progress = Progress(total=done + 100, done=done, images_per_update=8, every=10)
    for step in range(done + 1, done + 12):
        clock[0] += 3600.0 if step == done + 1 else 2.0
        progress.show(step, {"energy_diff": 0.5}, chain_steps=10)
    told = capsys.readouterr()
    assert ("<02:58" if terminal else "03:00 left") in (told.err if terminal else told.out)


def test_a_folder_for_tensorboard_that_cannot_be_made_is_one_line():
    with pytest.raises(UserError, match="cannot write logs"):
        make_board("/proc/nothing")


def test_tensorboard_has_the_pictures_that_lie_in_the_run_folder(tmp_path, rng):
    """By the same names; those without a step, as data, are of step 0."""
    (tmp_path / "shortrun").mkdir()
    run = SimpleNamespace(chief=True, folder=str(tmp_path), board=make_board(str(tmp_path)))
    images = rng.uniform(-1, 1, (4, 6, 6, 3))
    Training.plot(run, {"data": images})
    Training.plot(run, {"shortrun": -images, "generator": images[..., :1]}, 20)
    board = EventAccumulator(str(tmp_path / "logs"))
    board.Reload()
    for name, step in {"data": 0, "shortrun": 20, "generator": 20}.items():
        (event,) = board.Tensors(name)
        assert event.step == step
        file = tmp_path / "shortrun" / f"{name}{step or ''}.png"
        shown, drawn = (Image.open(io.BytesIO(content)) for content in
                        (event.tensor_proto.string_val[2], file.read_bytes()))  # fmt: skip
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(drawn))
