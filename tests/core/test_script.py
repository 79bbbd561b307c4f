"""A script ends with a line and an exit code, not with a traceback, where nothing is wrong with it."""

import pytest

from mlproject.core import script
from mlproject.core.errors import UserError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [(KeyboardInterrupt(), 130, "interrupted\n"), (UserError("no such key"), 2, "error: no such key\n")],
)
def test_what_a_person_did_is_one_line(error, code, line, capsys, monkeypatch):
    def main() -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(SystemExit) as ended:
        script.run(main)
    assert ended.value.code == code
    assert capsys.readouterr().err == line
