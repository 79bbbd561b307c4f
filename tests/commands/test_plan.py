"""`mlproject plan`: numbers of images for a false-alarm rate, from the command line."""

import sys

import pytest

from mlproject import cli


def run(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["mlproject", "plan", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), *capsys.readouterr()


def test_a_rate_and_a_confidence_say_how_many_images(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "--false-alarms", ".01", "--confidence", ".95")
    assert code == 0
    assert "calibrate on 299 good images or more" in out
    assert "473 images: the second largest" in out
    assert "(null), 99 images suffice" in out
    assert "above it in 37% of cases" in out  # .99 ** 99


def test_the_confidence_to_set_is_the_one_that_was_asked_for(monkeypatch, capsys):
    _, out, _ = run(monkeypatch, capsys, "--false-alarms", ".05", "--confidence", ".9999999")
    assert "set threshold.confidence: 0.9999999 in params.yaml" in out


def test_a_rate_too_small_for_any_photos_is_refused(monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, "--false-alarms", "1e-9")
    assert code == 2
    assert "Allowed: from 1e-06" in err


@pytest.mark.parametrize("rate", ["0", "1", "5", "nan"])
def test_a_share_that_is_none_is_refused(monkeypatch, capsys, rate):
    code, out, err = run(monkeypatch, capsys, "--false-alarms", rate)
    assert (code, out) == (2, "")
    assert "must lie between 0 and 1" in err
