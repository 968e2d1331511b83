"""Each in a process of its own: here TensorFlow is imported already."""

import os
import subprocess
import sys

import pytest

START_UP = """
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795710059.771570   26797 port.cc:153] oneDNN custom operations are on.
2026-11-26 10:00:00.123456: W tensorflow/core/platform.cc:30] Could not find something.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.
E0000 00:00:1795710066.797049   26837 cuda_platform.cc:52] failed call to cuInit
""".lstrip()
LOGS = f"""
import os, sys
import utils.before_tensorflow
os.write(2, {START_UP.encode()!r})
"""


@pytest.fixture
def run(tmp_path, repository):
    """Return (arguments of python, variables) -> the process at its end."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
        known = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        environment = {**known, "PYTHONPATH": str(repository), **variables}
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True,
            text=True, check=False, timeout=300,
        )  # fmt: skip

    return run


def test_start_up_lines_vanish_and_others_come_through(run):
    done = run("-c", LOGS + "os.write(2, b'a warning\\nno end of line')")
    assert (done.returncode, done.stderr) == (0, "a warning\nno end of line")


def test_from_the_first_own_line_on_every_line_comes_through(run):
    code = "from utils.console import console\nwith console(): print('mine')\n"
    done = run("-c", LOGS + code + LOGS)
    assert (done.stdout, done.stderr) == ("mine\n", START_UP)


def test_a_warning_leaves_start_up_lines_held_back(run):
    code = LOGS + "from utils.console import console\n"
    code += "with console(): print('warning: mine', file=sys.stderr)\n" + LOGS
    assert run("-c", code + "with console(): print('mine')\n").stderr == "warning: mine\n"
    died = run("-c", code + "os.abort()")
    assert sorted(died.stderr.splitlines()) == sorted([*2 * START_UP.splitlines(), "warning: mine"])


@pytest.mark.parametrize("question", ["isatty()", "fileno()"])
def test_a_script_that_asks_its_console_is_not_answered_by_the_filter(run, question):
    """So a bar is drawn on a terminal."""
    told = f"with console(): sys.stderr.{question}\nprint(os.path.exists('/proc/self/fd/2'))\n"
    code = told + "from utils.before_tensorflow import _RELEASE\nassert not _RELEASE"
    done = run("-c", LOGS + "from utils.console import console\n" + code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_traceback_comes_through(run):
    done = run("-c", LOGS + "raise ValueError('of mine')")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ValueError: of mine\n")


def test_ctrl_c_during_the_start_up_is_one_line(run):
    # A suite in the background of a shell ignores SIGINT, and so would its children.
    heeds = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    interrupt = "os.kill(os.getpid(), signal.SIGINT)\n"
    done = run("-c", heeds + LOGS + interrupt)
    assert (done.returncode, done.stderr) == (-2, "interrupted; no run had begun\n")
    released = run("-c", heeds + LOGS + "utils.before_tensorflow.release()\n" + interrupt)
    assert released.stderr.endswith("KeyboardInterrupt\n")


@pytest.mark.parametrize("end", ["os.abort()", "os.kill(os.getpid(), 9)"])
def test_what_ends_a_process_at_its_start_up_comes_through_with_all_lines(run, end):
    done = run("-c", LOGS + f"os.write(2, b'F0000 00:00:1.2 1 check.cc:1] failed\\n')\n{end}")
    assert done.returncode < 0
    assert sorted(done.stderr.splitlines()) == sorted(
        [*START_UP.splitlines(), "F0000 00:00:1.2 1 check.cc:1] failed"]
    )


def test_an_import_that_is_killed_shows_its_lines(run):
    code = "import utils.before_tensorflow, os, tensorflow\nos.kill(os.getpid(), 9)"
    done = run("-c", code)
    assert done.returncode < 0
    assert "oneDNN custom operations are on" in done.stderr


def test_who_wants_the_log_gets_it(run):
    assert run("-c", LOGS, TF_CPP_MIN_LOG_LEVEL="0").stderr == START_UP


def test_onednn_is_on_unless_the_user_says_otherwise(run):
    code = LOGS + "print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    assert run("-c", code).stdout == "1\n"
    assert run("-c", code, TF_ENABLE_ONEDNN_OPTS="0").stdout == "0\n"


def test_the_garbage_collector_rests_until_the_first_own_line(run):
    told = "print(gc.get_threshold())\n"
    code = f"import gc\n{told}from utils.before_tensorflow import release\n{told}release()\n{told}"
    before, during, after = run("-c", code).stdout.splitlines()
    assert before == after != during


def test_nothing_is_done_where_tensorflow_is_imported(run):
    code = "import sys\nsys.modules['tensorflow'] = sys\n" + LOGS
    done = run("-c", code + "print('TF_ENABLE_ONEDNN_OPTS' in os.environ)")
    assert (done.stdout, done.stderr) == ("False\n", START_UP)


SURPLUS = """from configs import smoke
config = {**smoke.config, "on_divergence": "ignore", "max_saturated": 0.5}
"""


def test_a_run_has_only_its_own_warnings_on_standard_error(run, repository, tmp_path):
    (tmp_path / "mine.py").write_text(SURPLUS)
    done = run(str(repository / "train.py"), "mine.py", "--dry-run", "--set", "data_dir=data")
    warning = "warning: keys without effect in this run: max_saturated\n"
    assert (done.returncode, done.stderr) == (0, warning)


def test_saving_pictures_has_nothing_on_standard_error(run):
    module, out = "fid_orig.save_images", ["pictures", "--images", "1", "--set", "data_dir=data"]
    done = run("-m", module, "data", "configs/smoke.py", *out)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bad_device_is_one_line(run, repository):
    done = run(str(repository / "train.py"), "configs/smoke.py", "--set", "device_type=tpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: device_type 'tpu'")
