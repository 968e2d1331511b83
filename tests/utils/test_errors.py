"""How scripts end when they are interrupted."""

import pytest

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
