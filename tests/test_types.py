"""The code's types fit, as mypy sees them: a test, so that it runs while others do."""

import subprocess
import sys

from conftest import ROOT


def test_types_fit():
    result = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
