import os
import signal
import subprocess
import sys

import pytest

WAITS = """
import ctypes
from utils.devices.termination import end_at_signals
end_at_signals()
print("waiting", flush=True)
while True:
    ctypes.CDLL(None).sleep(60)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_worker_that_waits_and_says_so(repository, name):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.Signals[name])
    error = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + signal.Signals[name]
    assert error == f"ended by {name}; outside of updates nothing is lost\n"
