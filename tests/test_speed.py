"""`make bench`: every row that needs no peers is measured at a tiny size; the page hides nothing."""

import math
import os
import shutil
import sys
from dataclasses import replace

import pytest
from conftest import ROOT
from support import fork_server
from support.tracked_project import empty_database  # noqa: F401  (a fixture)

from benchmarks.speed import inputs, machine, measure, page, scoring
from benchmarks.speed.__main__ import all_groups
from benchmarks.speed.measure import NO_PEERS, Group, Result, Row, Side
from mlproject.models.components.pooled_density import PooledDensity
from mlproject.models.components.position_density import PositionDensity

GROUPS = all_groups(tiny=True)
PILLOW = Side("Pillow", "decoding:pillow", {"n": 1, "repeats": 1, "side": 32, "ending": "png"})
ABSENT = Side("absent", "decoding:no_such_function", {})


@pytest.fixture
def no_peers(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "PEERS", tmp_path / ".peers")


@pytest.mark.parametrize("name", GROUPS)
def test_every_row_is_measured_but_for_absent_peers(name, no_peers, monkeypatch, tmp_path, request):
    if name == "tracking":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # the side sets another: this undoes it
        monkeypatch.setattr("mlproject.tracking.live.START_SECONDS", 0)
        shutil.copy(request.getfixturevalue("empty_database"), tmp_path / "mlflow.db")
    if name.startswith("served"):
        monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "")  # MLflow sets it: this undoes it
    if name in ("cold", "dvc"):  # what they run is loaded already
        monkeypatch.setenv("PATH", os.pathsep.join([str(fork_server.programs()), os.environ["PATH"]]))
        monkeypatch.setattr(sys, "executable", str(fork_server.programs() / "python"))
    group = GROUPS[name]
    result = measure.run(group, tmp_path, in_process=True)
    for row in group.rows:
        found = result.of(row)
        if any(group.sides[key].peers for key in (row.ours, row.against)):
            assert found == NO_PEERS
        else:
            ours, against = found
            assert len(ours) == len(against) > 0
            assert all(math.isfinite(value) and value > 0 for value in ours + against)
    assert not page.failed([result])


@pytest.mark.parametrize(("model", "kind"), [("patch_kde", PositionDensity), ("texture", PooledDensity)])
def test_patch_kde_is_measured_on_a_part_and_on_a_texture(model, kind):
    """Shapes that are others in each photo once made each of its rows that of a texture, unseen."""
    images = inputs.arrays(12, 64, alike=inputs.PART)
    assert {type(density) for density in scoring.fitted(model, images, 10).densities} == {kind}


def test_sides_are_measured_in_turn_each_in_its_own_process(tmp_path):
    row = Row("decoding", "a", "b", "images/s")
    group = Group(
        "pair", {"a": PILLOW, "b": PILLOW, "c": ABSENT}, (row, Row("none", "a", "c", "s")), rounds=2
    )
    result = measure.run(group, tmp_path)
    assert [len(values) for values in result.of(row)] == [2, 2]
    assert 0 < result.peaks["a"] < 1000
    assert result.of(group.rows[1]).startswith("failed: AttributeError")
    assert page.failed([result])


def result(ours, against, **goal) -> Result:
    row = Row("a row", "ours", "theirs", "s", **goal)
    group = Group("group", {"ours": Side("here", ""), "theirs": Side("there", "")}, (row,), note="A note.")
    return Result(
        group,
        {"ours": ours, "theirs": against},
        {},
        {"ours": "12 layers"},
        {},
        "measured thus",
        machine="two cores",
    )


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [({"at_least": 2}, "met"), ({"at_least": 2.1}, "**missed**"), ({"at_most": 1.9}, "**missed**"), ({}, "")],
)
def test_a_missed_goal_is_printed_as_missed(goal, verdict):
    made = result([2.0, 4.0, 9.0], [1.0, 2.0, 3.0], **goal)
    assert page.cells(made, made.group.rows[0]) == (
        *("a row", "here: 4 s (2 to 9)", "there: 2 s (1 to 3)", "2 (2 to 3)"),
        *(made.group.rows[0].goal, verdict),
    )


def test_a_verdict_on_a_busy_machine_says_so():
    made = replace(result([1.0], [1.0], at_most=1), others=0.9)
    assert page.cells(made, made.group.rows[0])[-1] == "met, busy machine"


def test_the_page_names_facts_load_and_what_was_not_measured():
    text = page.page([result([1.0], [1.0], at_most=1)])
    for said in (
        "Machine: two cores.",
        "1 met, 0 missed",
        "group: here: 12 layers; A note. measured thus; other",
        "- a GPU",
    ):
        assert said in text


def test_a_group_measured_again_leaves_the_others_on_the_page(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    (tmp_path / "docs/results").mkdir(parents=True)
    first, second = result([1.0], [1.0]), result([7.0], [1.0])
    groups = {"group": first.group, "other": replace(first.group, name="other")}
    page.keep({"group": first, "other": replace(first, group=groups["other"])}, groups)
    page.keep({"group": replace(second, machine="four cores")}, groups)
    found = page.kept(groups)
    assert [found[name].values["ours"] for name in groups] == [[7.0], [1.0]]
    text = (tmp_path / "docs/speed.md").read_text(encoding="utf-8")
    for said in ("here: 7 s", "Machine 1: four cores.", "Machine 2, measured thus"):
        assert said in text


def test_a_side_that_was_added_since_the_group_was_measured_is_named_as_not_measured():
    made = result([1.0], [1.0])
    made.group.sides["new"] = Side("new here", "")
    assert page.cells(made, Row("a row", "new", "theirs", "s"))[-1] == "not measured"


def test_the_committed_page_is_that_of_the_committed_results():
    """A group that was added, or whose rows were renamed, needs `python -m benchmarks.speed GROUP`."""
    results = page.kept(all_groups())
    assert (ROOT / "docs/speed.md").read_text(encoding="utf-8") == page.page(list(results.values()))
