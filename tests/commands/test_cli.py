"""The command line: what each command prints, changes and exits with."""

import json
from pathlib import Path

import pytest
import yaml

from mlproject.commands import doctor_checks, preset
from mlproject.commands.doctor_stores import Answer
from mlproject.core import params

ROOT = Path(__file__).resolve().parents[2]

PARAMS = """\
# The only home of every default.
categories: [bracket, weave]   # which parts
seed: 0

models:
  kd_cae:
    epochs: 60            # enough for the sample
    bandwidth: 0.2        # paper: 0.2
    filters: [8, 16]
"""
PRESETS = """\
paper:                    # as published
  categories: [bottle]
  models:
    kd_cae: {epochs: 600, bandwidth: 0.2, filters: [32, 64, 128]}
broken:
  models: {kd_cae: {bandwith: 1}}
flat:
  models: 3
"""


def write_project(folder: Path, params: str, presets: str) -> Path:
    """Write both files; return params.yaml."""
    (folder / preset.FILE).parent.mkdir(exist_ok=True)
    (folder / preset.FILE).write_text(presets)
    (folder / "params.yaml").write_text(params)
    return folder / "params.yaml"


def copy_project(folder: Path) -> Path:
    """Copy this project's two files; return params.yaml."""
    return write_project(folder, (ROOT / "params.yaml").read_text(), (ROOT / preset.FILE).read_text())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_project(tmp_path, PARAMS, PRESETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_preset_prints_and_writes_what_it_changes(folder, mlproject):
    code, out, _ = mlproject("preset", "paper")
    assert code == 0
    assert "models.kd_cae.epochs: 60 → 600" in out
    assert "bandwidth" not in out  # it was so already
    tree = yaml.safe_load((folder / "params.yaml").read_text())
    assert tree["models"]["kd_cae"] == {"epochs": 600, "bandwidth": 0.2, "filters": [32, 64, 128]}
    assert tree["categories"] == ["bottle"]
    assert tree["seed"] == 0


def test_preset_keeps_every_comment_and_every_other_line(folder, mlproject):
    mlproject("preset", "paper")
    before, after = PARAMS.splitlines(), (folder / "params.yaml").read_text().splitlines()
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert [line.split(":")[0].strip() for line in changed] == ["categories", "epochs", "filters"]
    assert [line.partition("#")[2] for line in before] == [line.partition("#")[2] for line in after]


def test_preset_twice_changes_nothing(folder, mlproject):
    mlproject("preset", "paper")
    written = (folder / "params.yaml").read_bytes()
    code, out, _ = mlproject("preset", "paper")
    assert (code, out) == (0, "Nothing to change.\n")
    assert (folder / "params.yaml").read_bytes() == written


def test_preset_leaves_no_other_file(folder, mlproject):
    mlproject("preset", "paper")
    assert sorted(path.name for path in folder.rglob("*")) == ["params.yaml", "pipelines", "presets.yaml"]
    assert (folder / preset.FILE).read_text() == PRESETS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("papr", "Did you mean paper?"),
        ("broken", "Did you mean bandwidth?"),
        ("flat", "one is a section, the other a value"),
    ],
)
def test_wrong_preset_is_refused_and_changes_nothing(folder, mlproject, name, message):
    code, out, err = mlproject("preset", name)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert (folder / "params.yaml").read_text() == PARAMS


def test_preset_switches_an_optional_section_off_and_on(folder, mlproject):
    """As a model's noise is: null, or a section."""
    noise = {"kind": "gaussian", "variance": 0.001}
    presets = {"quiet": {"noise": None}, "loud": {"noise": noise}}
    write_project(folder, yaml.safe_dump({"noise": noise}), yaml.safe_dump(presets))
    for name, expected in (("quiet", None), ("loud", noise)):
        assert mlproject("preset", name)[0] == 0
        assert yaml.safe_load((folder / "params.yaml").read_text())["noise"] == expected


def test_preset_list(folder, mlproject):
    assert mlproject("preset", "--list") == (0, "broken\nflat\npaper\n", "")


def test_preset_without_a_name_says_which_there_are(folder, mlproject):
    code, _, err = mlproject("preset")
    assert code == 2
    assert "broken, flat, paper" in err


def test_preset_with_null_takes_an_optional_section_away(tmp_path):
    path = write_project(tmp_path, "noise: {kind: gaussian, share: 0.1}\n", "plain: {noise: null}\n")
    (change,) = preset.apply("plain", path)
    assert str(change).endswith(" → null")
    assert path.read_text() == "noise: null\n"


@pytest.mark.parametrize("name", preset.presets(ROOT / "params.yaml"))
def test_presets_of_this_project_touch_only_values(tmp_path, name):
    copy = copy_project(tmp_path)
    before = copy.read_text()
    changes = preset.apply(name, copy)
    lines = list(zip(before.splitlines(), copy.read_text().splitlines(), strict=True))
    assert sum(old != new for old, new in lines) == len(changes)
    for old, new in lines:
        assert old.partition(":")[0] == new.partition(":")[0]
        assert old.partition("#")[2] == new.partition("#")[2]
    assert preset.apply(name, copy) == []


def test_the_defaults_are_the_preset_quick_and_full_adds_the_rest(tmp_path):
    copy = copy_project(tmp_path)
    assert preset.apply("quick", copy) == []
    defaults = params.load_file(copy)
    preset.apply("full", copy)
    full = params.load_file(copy)
    left_out = {"vae", "pretrained_patch_kde"}  # one to compare, one needs a file
    assert set(defaults["detectors"]) < set(full["detectors"]) == set(full["models"]) - left_out
    assert full["generators_used"] == list(full["generators"])
    assert full["studies_used"] == ["noise", "labels", "generated"]  # the paper's
    preset.apply("quick", copy)
    assert params.load_file(copy) == defaults


def test_outside_a_project_says_where_to_run(tmp_path, monkeypatch, mlproject):
    monkeypatch.chdir(tmp_path)
    code, out, err = mlproject("preset", "paper")
    assert (code, out) == (2, "")
    assert "Run the command in the project's folder" in err


def test_mistyped_command_names_the_nearest(mlproject):
    code, _, err = mlproject("docter")
    assert code == 2
    assert "doctor" in err


@pytest.mark.parametrize(("ok", "expected"), [(True, 0), (None, 0), (False, 1)])
def test_doctor_fails_only_for_what_is_wrong(monkeypatch, mlproject, ok, expected):
    found = {"cores": Answer(True, "2"), "disk [1]": Answer(ok, "0.5 GB", "delete something")}
    monkeypatch.setattr(doctor_checks, "checks", lambda: found)
    code, out, _ = mlproject("doctor")
    assert code == expected
    assert "disk [1]" in out
    assert "delete something" in out


def test_table_without_results_says_what_makes_them(folder, mlproject):
    code, out, err = mlproject("table")
    assert (code, out) == (2, "")
    assert "dvc repro" in err


def test_table_shows_every_model(folder, mlproject):
    decision = {
        "threshold": 1.5,
        "f1": 0.91,
        "balanced_accuracy": 0.9,
        "precision": 0.9,
        "recall": 0.92,
        "false_alarm_rate": 0.1,
    }
    row = {
        "category": "bracket",
        "supervised": False,
        "tuned_on_labels": False,
        "n_good": 20,
        "n_defective": 30,
        "auroc": 0.97,
        "auroc_low": 0.9,
        "auroc_high": 0.99,
        "average_precision": 0.98,
        "held_out": {"differences": {}},
        "pixel_auroc": None,
        "aupro": None,
        "defects": {"types": [], "smaller_half": {"n": 0}, "larger_half": {"n": 0}},
        "all_defective_f1": 0.75,
        "brightness_matched_auroc": 0.96,
        "clean": decision,
        "paper": decision | {"sees_test_labels": False},
        "oracle": decision,
        "threshold_optimism": 0.0,
        "false_alarm_rate_asked": 0.05,
        "false_alarm_rate_supported": 0.05,
        "n_calibration": 40,
        "supported": True,
        "shortcuts": {"strongest": "sharpness", "strongest_auroc": 0.6, "flagged": False},
    }
    (folder / "reports").mkdir()
    same = {"difference": 0.0, "low": 0.0, "high": 0.0, "shown": "unclear"}
    pair = ("kd_cae", "ni_cae")
    rows = [row | {"model": one, "differences": {other: same}} for one, other in (pair, pair[::-1])]
    (folder / "reports/comparison.json").write_text(json.dumps(rows))
    code, out, _ = mlproject("table")
    assert code == 0
    assert "kd_cae" in out
    assert "ni_cae" in out


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "disc", "a.png"), ("export", "disc", "a.onnx"), ("inspect", "disc"),
        ("watch", "disc", "."), ("extend", "disc", "--add", "a.png"), ("rollback", "disc"),
        ("compare", "disc"), ("promote", "disc", "--version", "1"),
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_where_nothing_is_recorded_no_database_is_made(command, tmp_path, monkeypatch, mlproject):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    copy_project(tmp_path)
    Path("a.png").touch()
    before = sorted(tmp_path.rglob("*"))
    code, _, errors = mlproject(*command)
    assert code == 2
    assert "none.db: no such file. Set MLFLOW_TRACKING_URI" in errors
    assert sorted(tmp_path.rglob("*")) == before
