"""The gate and the champion: who passes, who does not, what is left on a version, the way back."""

import promotion_project as project
import pytest
from promotion_project import aliases, tags

from mlproject import artifacts
from mlproject.tracking import store

pytest_plugins = ["tracked_project", "promotion_project"]


def test_the_first_champion_is_judged_against_chance(fresh, mlproject):
    code, out, err = mlproject("promote", "bottle", "--model", "kd_cae")
    print(out)
    assert (code, err) == (0, "")
    assert "against chance, 0.5" in out
    assert aliases() == {"champion": fresh["kd_cae"]}
