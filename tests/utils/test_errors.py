"""How scripts end when they are interrupted, or when the machine fails."""

import os

import pytest
import tensorflow as tf

from utils.errors import one_line_errors, record_how_to_resume


@pytest.mark.parametrize("advice", [None, "to resume: python3 train.py --resume runs/first"])
def test_an_interrupted_script_says_how_to_go_on(advice, capsys):
    @one_line_errors
    def main(argv=None):
        if advice:
            record_how_to_resume(advice)
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == f"interrupted; {advice or 'no run had begun'}\n"


def failure(error, capsys) -> str:
    """Return what a script prints that ends by an error with exit status 2."""

    @one_line_errors
    def main(argv=None):
        if error:
            raise error

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "advice"),
    [("runs/logs; No space left on device", "free some space"), ("OOM", "a smaller batch_size")],
)
def test_a_full_disk_is_not_a_full_memory(words, advice, capsys):
    printed = failure(tf.errors.ResourceExhaustedError(None, None, words), capsys)
    assert advice in printed
    assert printed.count("\n") == 1


def test_a_working_folder_whose_name_is_not_utf8_is_one_line(tmp_path, monkeypatch, capsys):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    monkeypatch.chdir(os.fsdecode(folder))
    assert "the current folder's path is not UTF-8" in failure(None, capsys)
