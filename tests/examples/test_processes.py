"""A script that is started gets the signals of its parent, and does not outlive it."""

import os
import signal
import subprocess
import textwrap

import pytest

from examples import processes

SCRIPT = """
    import signal, sys, time

    def save(number, frame):
        print("saved", flush=True)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, save)
    print("running", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "REPOSITORY", tmp_path)
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    return ["script.py"]


def test_a_signal_reaches_the_script_which_saves_its_state(script):
    with processes.started(script, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "running\n"
        os.kill(os.getpid(), signal.SIGTERM)
        assert process.stdout.read() == "saved\n"
        assert process.wait() == 128 + signal.SIGTERM


def test_a_script_ends_with_its_block(script):
    with pytest.raises(RuntimeError, match="a mistake"), processes.started(script) as process:
        raise RuntimeError("a mistake")
    assert process.wait() == -signal.SIGKILL
