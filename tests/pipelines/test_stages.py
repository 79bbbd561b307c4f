"""Stages tell the truth: what dvc.yaml declares for each is what its script imports, opens and reads."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from support.pipeline_project import Project

# name of a stage → its script's arguments; each after those whose results it reads
STAGES = {
    "ingest": [],
    "prepare@disc": ["disc"],
    "shortcuts@disc": ["disc"],
    "tune@disc-ni_cae": ["disc", "ni_cae"],
    "settings": [],
    "train@disc-patch_kde": ["disc", "patch_kde"],
    "train@disc-kd_cae": ["disc", "kd_cae"],
    "train@disc-ni_cae": ["disc", "ni_cae"],
    "train@disc-pca": ["disc", "pca"],
    "train@disc-cnn": ["disc", "cnn"],
    "train@disc-anogan": ["disc", "anogan"],
    "score@disc-patch_kde": ["disc", "patch_kde"],
    "score@disc-kd_cae": ["disc", "kd_cae"],
    "score@disc-ni_cae": ["disc", "ni_cae"],
    "score@disc-pca": ["disc", "pca"],
    "score@disc-cnn": ["disc", "cnn"],
    "score@disc-anogan": ["disc", "anogan"],
    "evaluate@disc-patch_kde": ["disc", "patch_kde"],
    "evaluate@disc-kd_cae": ["disc", "kd_cae"],
    "evaluate@disc-ni_cae": ["disc", "ni_cae"],
    "evaluate@disc-pca": ["disc", "pca"],
    "evaluate@disc-cnn": ["disc", "cnn"],
    "evaluate@disc-anogan": ["disc", "anogan"],
    "generate@disc-dcgan": ["disc", "dcgan"],
    "study@disc-generated": ["disc", "generated"],
    "study@disc-labels": ["disc", "labels"],
    "study@disc-noise": ["disc", "noise"],
    "compare": [],
    "report": [],
}
TRACER = ROOT / "tests/support/trace_stage.py"
DECLARED = """
import json
from dvc.repo import Repo
found = {}
for stage in Repo().index.stages:
    deps = [d for d in stage.deps if not hasattr(d, "params")]
    keys = [k for d in stage.deps if hasattr(d, "params") for k in d.params]
    found[stage.addressing] = {
        "deps": [str(d) for d in deps], "keys": keys, "outs": [str(o) for o in stage.outs]
    }
print("DECLARED" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone for one category, with nothing made yet."""
    made = Project(tmp_path_factory.mktemp("stages"))
    made.edit(lambda tree: tree.update(categories=["disc"], models_tuned=["ni_cae"]))
    made.edit(lambda tree: tree["tune"].update(trials=2))
    made.edit(lambda tree: tree.update(tuned=True))
    return made


@pytest.fixture(scope="module")
def declared(project):
    """What dvc.yaml declares, as DVC itself resolves it."""
    printed = project.call("python", "-c", DECLARED)
    return json.loads(printed.split("DECLARED")[1])


@pytest.fixture(scope="module")
def traced(project, tmp_path_factory):
    """What each script really did; together they are one run of the pipeline, without DVC's own time."""
    reports = tmp_path_factory.mktemp("reports")
    scripts = {stage: [f"pipelines/{stage.split('@')[0]}.py", *STAGES[stage]] for stage in STAGES}
    project.call("python", str(TRACER), str(reports), given=json.dumps(scripts))
    return {stage: json.loads((reports / f"{stage}.json").read_text()) for stage in STAGES}


def covered(name, declared_paths):
    return any(name == path or name.startswith(path.rstrip("/") + "/") for path in declared_paths)


def is_tracking(name):
    return name.startswith("mlproject/tracking/")


def is_record(name):
    return name.startswith(("mlflow.db", "mlruns", ".git/", "data/download"))


def test_every_stage_of_the_pipeline_is_traced_here(declared):
    """The record is not a result: `register` alone is left out. New stages must be listed above."""
    assert {stage.split("@")[0] for stage in declared} == {stage.split("@")[0] for stage in STAGES} | {
        "register"
    }


@pytest.mark.parametrize("stage", STAGES)
def test_imports_are_declared(stage, declared, traced):
    used = {name for name in traced[stage]["modules"] if not is_tracking(name)}
    missing = sorted(name for name in used if not covered(name, declared[stage]["deps"]))
    assert not missing, f"{stage} imports what dvc.yaml does not declare: {missing}"


@pytest.mark.parametrize("stage", STAGES)
def test_opened_files_are_declared(stage, declared, traced):
    allowed = [*declared[stage]["deps"], *declared[stage]["outs"], "params.yaml"]
    missing = sorted(
        name
        for name in traced[stage]["opened"]
        if not covered(name, allowed)
        and not is_tracking(name)
        and not is_record(name)
        and not name.endswith((".pyc", ".so"))
        and ".part/" not in name
        and not name.endswith(".part")
        and "/." not in name
        and Path(name).suffix != ""
    )
    assert not missing, f"{stage} opens what dvc.yaml does not declare: {missing}"


@pytest.mark.parametrize("stage", STAGES)
def test_writes_stay_in_the_stages_outputs(stage, declared, traced):
    outs = declared[stage]["outs"]
    outside = sorted(
        name
        for name in traced[stage]["written"]
        if not is_record(name)
        and not any(name.startswith(out.rstrip("/")) for out in outs)
        and "/." not in name
    )
    assert not outside, f"{stage} writes outside its outputs: {outside}"


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_read_are_the_ones_declared(stage, declared, traced):
    assert sorted(traced[stage]["keys"]) == sorted(declared[stage]["keys"])


@pytest.mark.parametrize("script", sorted({stage.split("@")[0] for stage in STAGES} - {"ingest"}))
def test_no_dependency_is_declared_that_no_stage_of_the_script_uses(script, declared, traced):
    """Such a file makes stages rerun for nothing. Ingest imports one source of its three."""
    stages = [stage for stage in STAGES if stage.split("@")[0] == script]
    used = set().union(*(set(traced[stage]["modules"]) for stage in stages))
    code = {dep for stage in stages for dep in declared[stage]["deps"] if dep.endswith(".py")}
    assert sorted(code - used) == []


def test_a_generator_leaves_its_losses_grids_and_quality(project, traced):
    artifacts, report = (project.folder / name for name in ("artifacts", "reports/categories"))
    assert sorted(path.name for path in (artifacts / "disc/dcgan/training").rglob("*.*")) == [
        "epoch_0001.png", "epoch_0002.png", "history.csv", "run.json",
    ]  # fmt: skip
    quality = json.loads((report / "disc/dcgan/quality.json").read_text())
    assert (quality["n_train"], quality["memorised"]) == (32, False)
    figures = {path.name for path in (report / "disc/dcgan/figures").iterdir()}
    assert figures == {"grid.png", "nearest.png"}


def test_dvc_reads_the_pipeline():
    graph = subprocess.run(["dvc", "dag", "--mermaid"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "train@" in graph.stdout
