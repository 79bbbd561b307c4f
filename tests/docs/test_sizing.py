"""docs/sizing.md is what its script makes of the committed measurements."""

from conftest import ROOT

from benchmarks import sizing
from mlproject.core import files
from mlproject.core.tables import read_table


def test_the_page_is_made_of_todays_measurements():
    cells, speed = read_table(ROOT / sizing.BENCHMARK), files.read_json(ROOT / sizing.SPEED)["groups"]
    made, shown = sizing.page(cells, speed), (ROOT / sizing.PAGE).read_text(encoding="utf-8")
    assert shown == made, "python benchmarks/sizing.py"


def test_no_job_takes_no_time():
    assert "*0.0 h*" not in (ROOT / sizing.PAGE).read_text(encoding="utf-8")
