"""What a run tells while it runs: `metrics.csv`, TensorBoard, a progress bar or plain lines."""

import array
import csv
import math
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from utils.files.whole import join, one_line_write_errors, whole_file

SHOWN = (("energy diff", "energy_diff", "+.4g"), ("gradient", "grad_norm", ".4g"))
EARLY = (1, 10)  # updates that have a plain line in any case
SILENCE = 10  # seconds between plain lines


class Metrics:
    """`metrics.csv`, one row an update, and the same columns in memory for the plots.

    Of many workers one `writes` the file, the others read it when they resume.
    """

    def __init__(self, path: str, columns: Sequence[str], *, writes: bool = True):
        self.path, self.columns, self.writes = path, list(columns), writes
        self._series = {name: array.array("d") for name in self.columns}
        self._unwritten: list[list[str]] = []

    def append(self, row: Mapping[str, float]) -> None:
        """Add the row of one update, NaN where it has no value; `flush` brings it to disk."""
        values = [row.get(name, math.nan) for name in self.columns]
        for name, value in zip(self.columns, values, strict=True):
            self._series[name].append(value)
        if self.writes:
            self._unwritten.append([_text(value) for value in values])

    def series(self, name: str) -> np.ndarray:
        """Return a column, one float64 an update."""
        return np.array(self._series[name])

    def flush(self) -> None:
        """Append the new rows to the file."""
        if not self.writes:
            return
        with one_line_write_errors(self.path):
            is_new = not tf.io.gfile.exists(self.path)
            with tf.io.gfile.GFile(self.path, "a") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerows([self.columns] if is_new else [])
                writer.writerows(self._unwritten)
        self._unwritten.clear()

    def cut(self, updates: int) -> None:
        """Keep the rows of the first `updates` updates, in memory and on disk, and no others.

        On disk lies at least what the last state saw; later rows, and a row that a kill broke off,
        go.
        """
        rows = [row for row in self._read() if int(row[0]) <= updates]
        for i, name in enumerate(self.columns):
            self._series[name] = array.array("d", (float(row[i]) for row in rows))
        self._unwritten.clear()
        if not self.writes:
            return
        with whole_file(self.path) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([self.columns, *rows])

    def _read(self) -> list[list[str]]:
        if not tf.io.gfile.exists(self.path):
            return []
        with tf.io.gfile.GFile(self.path) as file:
            lines = file.read().split("\n")[1:-1]  # no header, nothing behind the last line's end
        return [row for row in csv.reader(lines) if len(row) == len(self.columns)]


class Progress:
    """A bar with rates on a terminal; elsewhere a plain line every `every` updates.

    Rates, and the time that is left, leave the first update out: it traces.
    """

    def __init__(
        self,
        *,
        total: int,
        done: int,
        images_per_update: int,
        every: int,
        unit: str = "update",
        shown: Sequence[tuple[str, str, str]] = SHOWN,
    ):
        self.total, self.every, self.images = total, every, images_per_update
        self.unit, self.shown = unit, shown
        self.start_time, self.start = 0.0, -1  # when, and after which update, rates begin
        bar = sys.stderr.isatty() and sys.stdout.isatty()
        self.bar = tqdm(total=total, initial=done, unit=unit, dynamic_ncols=True) if bar else None

    def show(self, step: int, metrics: Mapping[str, float], chain_steps: int) -> None:
        """Tell that update `step` (from 1) is done, after `chain_steps` Langevin steps an image."""
        values = [
            f"{label} {metrics[name]:{form}}" for label, name, form in self.shown if name in metrics
        ]
        is_first = self.start < 0
        if is_first:
            self.back_to(step)
        if self.bar is not None:
            speed = self._speed(self.bar.format_dict["rate"] or 0, chain_steps)
            self.bar.set_postfix_str(", ".join([*speed, values[0]]), refresh=is_first)
            self.bar.update(step - self.bar.n)
        elif step in EARLY or step % self.every == 0 or step == self.total:
            speed = [] if is_first else self._estimate(step, chain_steps)
            line = "  ".join([f"{self.unit} {step}/{self.total}", *values, *speed])
            print(line, flush=True)

    def _estimate(self, step: int, chain_steps: int) -> list[str]:
        """Return the rates since the first update, and the time that is left at them."""
        rate = (step - self.start) / (time.perf_counter() - self.start_time)
        left = tqdm.format_interval((self.total - step) / rate)
        return [f"{rate:.2f} {self.unit}s/s", *self._speed(rate, chain_steps), f"{left} left"]

    def _speed(self, rate: float, chain_steps: int) -> list[str]:
        return [f"{rate * self.images * chain_steps:,.0f} image-steps/s"] if chain_steps else []

    def say(self, line: str) -> None:
        """Print a line without breaking the bar."""
        tqdm.write(line) if self.bar is not None else print(line, flush=True)

    def back_to(self, step: int) -> None:
        """Count from `step` on, after the first update or a rollback."""
        if self.bar is not None:
            self.bar.n = self.bar.initial = self.bar.last_print_n = step
            self.bar.unpause()  # its clock begins again
        self.start_time, self.start = time.perf_counter(), step

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()


class ChainProgress:
    """Steps of evaluation chains: a bar on a terminal; elsewhere a plain line at times."""

    def __init__(self, *, total: int, done: int, images: int):
        self.images, self.start, self.total = images, done, total
        self.start_time = self.told = time.perf_counter()
        self.bar = tqdm(total=total, initial=done, unit="step", dynamic_ncols=True, disable=None)

    def show(self, done: int, text: str) -> None:
        """Tell that `done` of all steps are done, `images` images each."""
        now = time.perf_counter()
        rate = (done - self.start) / (now - self.start_time)
        text = f"{text}, {rate * self.images:,.0f} image-steps/s"
        if not self.bar.disable:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(done - self.bar.n)
        elif now - self.told > SILENCE or done == self.total:
            self.told = now
            left = tqdm.format_interval((self.total - done) / rate)
            print(f"step {done}/{self.total}  {text}, {left} left", flush=True)


def make_board(folder: str) -> tf.summary.SummaryWriter:
    """Return the TensorBoard writer of a run folder."""
    return tf.summary.create_file_writer(join(folder, "logs"))


def to_board(board: tf.summary.SummaryWriter, step: int, metrics: Mapping[str, float]) -> None:
    """Write one point of every metric."""
    with one_line_write_errors("logs"), board.as_default(step=step):
        for name, value in metrics.items():
            tf.summary.scalar(name, value)
        board.flush()


def grid_to_board(board: tf.summary.SummaryWriter, step: int, name: str, grid: np.ndarray) -> None:
    """Write a picture (h, w, c) uint8 beside the points of its step."""
    with one_line_write_errors("logs"), board.as_default(step=step):
        tf.summary.image(name, grid[np.newaxis])
        board.flush()


def _text(value: float) -> str:
    """Return the shortest decimal that reads back as the same number."""
    return (
        str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
    )
