"""Wrong values in params.yaml: of what is used they are refused before anything runs, all by `doctor`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from mlproject.commands import doctor_checks, params_check
from mlproject.commands import run as run_command
from mlproject.commands.preset import apply, presets
from mlproject.core import params
from mlproject.core.errors import UserError

# dotted key → a wrong value of it, and what is said
WRONG: dict[str, tuple[Any, str]] = {
    "models.kd_cae.batch_size": (0, "models.kd_cae.batch_size is 0"),
    "models.pca.color": ("grey", "models.pca.color is not known. Did you mean colour?"),
    "generators.dcgan.image_size": (65, "generators.dcgan.image_size is 65"),
    "studies.labels.seeds": (2, "studies.labels.seeds is 2"),
    "studies.noise.draws": (0, "studies.noise.draws is 0"),
    "studies.samples.detectors": (["nope"], "nope is no detector"),
    "studies.generated.generator": ("gan2", "studies.generated.generator is 'gan2': no such generator"),
    "studies.labels.filters": ([4] * 6, "studies.labels with cnn's settings"),
    "engine": ("rayy", "engine rayy is not known. Did you mean ray?"),
    "study_workers": (-3, "study_workers is -3. Allowed: auto, or a number from 1 on"),
}
ALL_STUDIES = {"studies_used": ["noise", "labels", "generated", "light", "samples", "contamination"]}
QUICK = {"detectors": ["patch_kde"], "generators_used": [], "studies_used": []}


def write_params(key: str = "seed", wrong: Any = 0, **changes: Any) -> None:
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree |= presets(ROOT / "params.yaml")["full"] | changes
    *above, last = key.split(".")
    node = tree
    for part in above:
        node = node[part]
    node[last] = wrong
    Path("params.yaml").write_text(yaml.safe_dump(tree))


def refuse(only_used: bool) -> None:
    params_check.refuse_wrong_values(only_used)
    params_check.refuse_wrong_settings(only_used)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_of_what_is_used_is_refused_and_doctor_names_it(key):
    wrong, said = WRONG[key]
    write_params(key, wrong, **ALL_STUDIES)
    with pytest.raises(UserError, match=re.escape(said)):
        refuse(only_used=True)
    assert said in doctor_checks.answered(doctor_checks.parameters).detail


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_of_what_is_not_used_stops_nothing_and_doctor_names_it(key):
    wrong, said = WRONG[key]
    write_params(key, wrong, **QUICK)
    refuse(only_used=True)
    assert said in doctor_checks.answered(doctor_checks.parameters).detail


@pytest.mark.parametrize(("study", "key"), [("labels", "cnn"), ("samples", "pca"), ("generated", "kd_cae")])
def test_a_model_that_only_a_study_trains_is_used(study, key):
    write_params(f"models.{key}.image_size", "big", **QUICK | {"studies_used": [study]})
    with pytest.raises(UserError, match=f"models.{key}.image_size is 'big'"):
        refuse(only_used=True)


def test_a_section_that_is_none_is_named():
    write_params("models.cnn", 5, **QUICK | {"studies_used": ["labels"]})
    with pytest.raises(UserError, match=r"models\.cnn is 5: it must be a section"):
        refuse(only_used=True)


def test_a_study_of_tuned_settings_is_not_refused_for_those_of_params_yaml():
    write_params("studies.samples.image_size", 100, **QUICK | {"studies_used": ["samples"]})
    with pytest.raises(UserError, match=r"studies\.samples with patch_kde's settings"):
        refuse(only_used=True)
    write_params("studies.samples.image_size", 100, **QUICK | {"studies_used": ["samples"], "tuned": True})
    refuse(only_used=True)


@pytest.mark.parametrize("preset", ["quick", "full", "paper"])
def test_the_projects_own_values_are_right(preset):
    shutil.copytree(ROOT / "pipelines", "pipelines")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    apply(preset)
    refuse(only_used=False)


def test_nothing_runs_with_a_wrong_value(monkeypatch):
    write_params("studies.noise.draws", 0)
    monkeypatch.setattr(run_command, "planned", lambda wanted: (["ingest"], {"ingest"}))
    monkeypatch.setattr(run_command, "repro", lambda *arguments: pytest.fail("a stage ran"))
    with pytest.raises(UserError, match=r"^params\.yaml: studies\.noise\.draws is 0: "):
        run_command.run()
    write_params("models.vae.batch_size", 0)
    monkeypatch.setattr(run_command, "repro", lambda *arguments: 5)
    assert run_command.repro_all([], None) == 5


def test_what_run_itself_loads_has_no_torch():
    code = (
        "import sys; from mlproject.commands import params_check, run; run.refuse_wrong_params(); "
        "print(sorted({'torch', 'mlflow'} & set(sys.modules)))"
    )
    write_params()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("wanted", ["two", None, 0, 1.5, True])
def test_study_workers_are_a_number_or_auto(wanted):
    for right, least in (("auto", 1), (3, 3)):
        write_params("study_workers", right)
        assert params.study_workers() >= least
    write_params("study_workers", wanted)
    with pytest.raises(UserError, match=f"study_workers is {wanted!r}. Allowed: auto, or a number from 1"):
        params.study_workers()
