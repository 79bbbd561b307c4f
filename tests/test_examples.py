"""Examples in docstrings: each one runs as written, and shows what it returns."""

import doctest
import importlib

import pytest
from conftest import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "mlproject").rglob("*.py")
    if "\n    >>> " in path.read_text(encoding="utf-8")
)


def test_the_main_classes_have_examples():
    assert len(MODULES) >= 6, MODULES


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_written(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # where params.yaml is
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
