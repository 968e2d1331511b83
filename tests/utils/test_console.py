import io
import os
import subprocess
import sys

from tqdm import tqdm

from utils.console import print_line

PRINTS = (
    "from utils.console import console\n"
    + """
with console():
    for _ in range(3):
        print("\u00e9t\u00e9", flush=True)
open("done", "w")
"""
)


def _run(tmp_path, repository, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(repository), "PYTHONIOENCODING": "ascii"}
    return subprocess.run(
        [sys.executable, "-c", PRINTS], cwd=tmp_path, env=environment, stderr=subprocess.PIPE,
        text=True, **options,
    )  # fmt: skip


def test_what_a_console_cannot_print_is_replaced(tmp_path, repository):
    done = _run(tmp_path, repository, stdout=subprocess.PIPE)
    assert done.stdout == 3 * "\\xe9t\\xe9\n", done.stderr


def test_streams_that_are_closed_before_the_start_are_no_fault(tmp_path, repository):
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    command = f"{sys.executable} -c '{PRINTS}' >&- 2>&-"
    assert subprocess.run(command, shell=True, cwd=tmp_path, env=environment).returncode == 0
    assert (tmp_path / "done").exists()


def test_a_process_goes_on_without_its_console(tmp_path, repository):
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` does when it has seen enough
    done = _run(tmp_path, repository, stdout=writer)
    os.close(writer)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "warning: <stdout> is gone ([Errno 32] Broken pipe); continuing"
    ]
    assert (tmp_path / "done").exists()


def test_a_line_is_printed_above_a_bar(monkeypatch):
    """A plain `print` would continue the bar's own line."""
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    with tqdm(total=2, file=terminal) as bar:
        bar.update()
        print_line("a line")
    assert terminal.getvalue().count("\ra line\n") == 1
