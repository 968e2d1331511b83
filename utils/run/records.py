"""Records of a run: `metrics.csv`, TensorBoard, and a progress bar or plain lines."""

import array
import csv
import math
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from utils.errors import UserError
from utils.files.whole import join, one_line_write_errors, whole_file

SHOWN = (("energy diff", "energy_diff", "+.4g"), ("gradient", "grad_norm", ".4g"))
EARLY = (1, 10)  # updates that always print a plain line
SILENCE = 10  # seconds between plain lines


class Metrics:
    """`metrics.csv`, one row per update, and the same columns in memory for the plots.

    One worker `writes` the file; the others read it when they resume.
    """

    def __init__(self, path: str, columns: Sequence[str], *, writes: bool = True):
        self.path, self.columns, self.writes = path, list(columns), writes
        self._series = {name: array.array("d") for name in self.columns}
        self._unwritten: list[list[str]] = []

    def append(self, row: Mapping[str, float]) -> None:
        """Add the row of an update, with NaN for missing values; `flush` writes it to disk."""
        values = [row.get(name, math.nan) for name in self.columns]
        for name, value in zip(self.columns, values, strict=True):
            self._series[name].append(value)
        if self.writes:
            self._unwritten.append([_text(value) for value in values])

    def series(self, name: str) -> np.ndarray:
        """Return a column, one float64 per update."""
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
        """Keep only the rows of the first `updates` updates, in memory and on disk.

        The file has at least the rows up to the last state. Later rows, and a row that a kill left
        incomplete, are removed. Raises UserError if other rows are missing or unreadable.
        """
        rows = self._read()[:updates]
        try:
            if [row[0] for row in rows] != [str(update) for update in range(1, updates + 1)]:
                raise ValueError("rows are missing")
            for i, name in enumerate(self.columns):
                self._series[name] = array.array("d", (float(row[i]) for row in rows))
        except ValueError as error:
            raise UserError(
                f"{self.path} lacks rows of the {updates} {self.columns[0]}s that are done, or "
                "another program has rewritten it: copy the run folder again"
            ) from error
        self._unwritten.clear()
        if not self.writes:
            return
        with whole_file(self.path) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([self.columns, *rows])

    def _read(self) -> list[list[str]]:
        if not tf.io.gfile.exists(self.path):
            return []
        with tf.io.gfile.GFile(self.path) as file:
            lines = file.read().split("\n")[1:-1]  # without header, and without an incomplete end
        return [row for row in csv.reader(lines) if len(row) == len(self.columns)]


class Progress:
    """A bar with rates on a terminal; elsewhere a plain line every `every` updates.

    Rates and remaining time exclude the first update, which traces.
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
        self.start_time, self.start = 0.0, -1  # time and update from which rates are measured
        bar = sys.stderr.isatty() and sys.stdout.isatty()
        self.bar = tqdm(total=total, initial=done, unit=unit, dynamic_ncols=True) if bar else None

    def show(self, step: int, metrics: Mapping[str, float], chain_steps: int) -> None:
        """Show update `step` (from 1), which took `chain_steps` Langevin steps per image."""
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
        """Return the rates since the first update, and the remaining time at these rates."""
        rate = (step - self.start) / (time.perf_counter() - self.start_time)
        left = tqdm.format_interval((self.total - step) / rate)
        return [f"{rate:.2f} {self.unit}s/s", *self._speed(rate, chain_steps), f"{left} left"]

    def _speed(self, rate: float, chain_steps: int) -> list[str]:
        return [f"{rate * self.images * chain_steps:,.0f} image-steps/s"] if chain_steps else []

    def back_to(self, step: int) -> None:
        """Measure rates from `step` on: after the first update, and after a rollback."""
        if self.bar is not None:
            self.bar.n = self.bar.initial = self.bar.last_print_n = step
            self.bar.unpause()  # its clock begins again
        self.start_time, self.start = time.perf_counter(), step

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()


class ChainProgress:
    """Steps of evaluation chains: a bar on a terminal; elsewhere a line every `SILENCE` seconds."""

    def __init__(self, *, total: int, done: int, images: int):
        self.images, self.start, self.total = images, done, total
        self.start_time = self.printed = time.perf_counter()
        self.bar = tqdm(total=total, initial=done, unit="step", dynamic_ncols=True, disable=None)

    def show(self, done: int, text: str) -> None:
        """Show that `done` of all steps are taken, each of `images` images."""
        now = time.perf_counter()
        rate = (done - self.start) / (now - self.start_time)
        text = f"{text}, {rate * self.images:,.0f} image-steps/s"
        if not self.bar.disable:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(done - self.bar.n)
        elif now - self.printed > SILENCE or done == self.total:
            self.printed = now
            left = tqdm.format_interval((self.total - done) / rate)
            print(f"step {done}/{self.total}  {text}, {left} left", flush=True)

    def skip(self, count: int) -> None:
        """Leave `count` steps, which are never taken, out of the rate."""
        self.start += count


def make_board(folder: str) -> tf.summary.SummaryWriter:
    """Return the TensorBoard writer of a run folder."""
    with one_line_write_errors("logs"):
        return tf.summary.create_file_writer(join(folder, "logs"))


def to_board(board: tf.summary.SummaryWriter, step: int, metrics: Mapping[str, float]) -> None:
    """Write one point of each metric."""
    with one_line_write_errors("logs"), board.as_default(step=step):
        for name, value in metrics.items():
            tf.summary.scalar(name, value)
        board.flush()


def grid_to_board(board: tf.summary.SummaryWriter, step: int, name: str, grid: np.ndarray) -> None:
    """Write a picture (h, w, c) uint8 at a step."""
    with one_line_write_errors("logs"), board.as_default(step=step):
        tf.summary.image(name, grid[np.newaxis])
        board.flush()


def _text(value: float) -> str:
    """Return the shortest decimal that is read back as the same number."""
    return (
        str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
    )
