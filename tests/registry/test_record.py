"""Stage register: what one pair lacks does not stop the others; links in place of files are followed."""

import re
import shutil
from pathlib import Path

import pytest
import support.tracked_project as project
import yaml

from mlproject.core import artifacts, params
from mlproject.core.errors import UserError
from mlproject.registry import loaded_version, record
from mlproject.tracking import facts

pytest_plugins = ["support.tracked_project"]


def test_a_category_with_a_dot_is_recorded(folder, trained, capsys):
    project.write_pair(trained, category="part.v2")
    project.write_params(["part.v2", project.CATEGORY], [project.MODEL])
    record.record_all()
    said = capsys.readouterr().out
    assert "part.v2 kd_cae: sample-part.v2 version 1 (new)" in said
    assert "bottle kd_cae: sample-bottle version 1 (new)" in said
    assert loaded_version.load("part.v2/1").category == "part.v2"


def test_one_pair_that_cannot_be_recorded_does_not_stop_the_others(folder, trained, capsys):
    project.write_pair(trained, category="broken")
    (artifacts.scores_folder("broken", project.MODEL) / "scores.csv").unlink()
    project.write_params(["broken", project.CATEGORY], [project.MODEL])
    with pytest.raises(UserError, match="1 of 2 results could not be recorded: broken kd_cae"):
        record.record_all()
    said = capsys.readouterr().out
    assert "broken kd_cae: not recorded: " in said
    assert "bottle kd_cae: sample-bottle version 1 (new)" in said


@pytest.mark.parametrize(
    ("key", "listed", "said"),
    [
        ("categories", "nut", "categories must list one category or more"),
        ("detectors", "pca", "detectors is 'pca': it must be a list"),
        ("generators_used", "dcgan", "generators_used is 'dcgan': it must be a list"),
        ("studies_used", ["nose"], "studies_used: nose is not known. Did you mean noise?"),
    ],
)
def test_a_list_that_is_none_is_refused_before_anything_is_recorded(folder, capsys, key, listed, said):
    project.write_params([project.CATEGORY], [project.MODEL])
    Path("params.yaml").write_text(yaml.safe_dump(params.load_file() | {key: listed}))
    with pytest.raises(UserError, match=re.escape(said)):
        record.record_all()
    assert "version" not in capsys.readouterr().out


def test_weights_that_were_made_again_are_not_recorded_with_older_scores(folder, trained, capsys):
    weights = f"artifacts/{project.CATEGORY}/{project.MODEL}/model"
    pair = f"{project.CATEGORY}-{project.MODEL}"
    stages = {
        f"train@{pair}": {"cmd": "train", "outs": [{"path": weights, "md5": facts.dvc_md5(Path(weights))}]},
        f"score@{pair}": {"cmd": "score", "deps": [{"path": weights, "md5": "old"}]},
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    with pytest.raises(UserError, match="1 of 1 results could not be recorded"):
        record.record_all()
    assert f"{weights} was made again after stage score@{pair} had read it" in capsys.readouterr().out
    Path("dvc.lock").unlink()


def test_weights_that_a_stopped_run_left_are_not_recorded_with_older_scores(folder, trained, capsys):
    weights = artifacts.model_folder(project.CATEGORY, project.MODEL)
    made = {"path": weights.as_posix(), "md5": facts.dvc_md5(weights)}
    stages = {f"train@{project.CATEGORY}-{project.MODEL}": {"cmd": "train", "outs": [made]}}
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    record.record_all()
    with (weights / "model.json").open("a") as file:
        file.write(" ")
    with pytest.raises(UserError, match="1 of 1 results could not be recorded"):
        record.record_all()
    assert f"{made['path']} has changed since stage train@" in capsys.readouterr().out


def test_weights_that_are_gone_are_named(folder, trained, capsys):
    shutil.rmtree(artifacts.model_folder(project.CATEGORY, project.MODEL))
    with pytest.raises(UserError, match="1 of 1 results could not be recorded"):
        record.record_all()
    assert f"{project.MODEL}/model: not found" in capsys.readouterr().out


def test_links_into_dvcs_cache_are_logged_as_files(folder, tmp_path):
    """As `dvc config cache.type symlink` leaves them."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for top in ("artifacts", "data", "reports"):
        for number, path in enumerate(sorted(Path(top).rglob("*"))):
            if path.is_file():
                kept = cache / f"{top}-{number}"
                path.rename(kept)
                path.symlink_to(kept)
    record.record_all()
    assert loaded_version.load("bottle/1").threshold == 1.5
    assert not [path for path in Path("mlruns").rglob("*") if path.is_symlink()]
