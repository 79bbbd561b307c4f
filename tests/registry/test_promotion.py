"""The gate over a real registry: who becomes champion, who does not, and what is left on a version."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import support.promotion_project as project
from mlflow.artifacts import download_artifacts
from support.promotion_project import aliases, tags

from mlproject.core import artifacts, files
from mlproject.core.tables import read_table
from mlproject.data import prepared
from mlproject.registry import recorded_version, version_tags
from mlproject.tracking import connection, lineage

pytest_plugins = ["support.tracked_project", "support.promotion_project"]
CHECKS = ("learnt", "not worse", "false alarms", "same scores", "latency", "memory", "lineage")


def lines(out):
    """Return check → its line."""
    return {
        name: line
        for line in out.splitlines()
        for name in (*CHECKS, "above chance")
        if line[4:].startswith(name)
    }


def test_the_first_champion_is_compared_with_chance(fresh, mlproject):
    code, out, err = mlproject("promote", "bottle", "--model", "kd_cae")
    assert (code, err) == (0, "")
    assert "against chance, 0.5" in lines(out)["above chance"]
    assert "not worse" not in lines(out)
    assert aliases() == {"champion": fresh["kd_cae"]}
    assert tags(fresh["kd_cae"])["promoted.against"] == "chance"


def test_a_model_that_passes_replaces_the_champion_and_can_be_rolled_back(fresh, mlproject):
    mlproject("promote", "bottle", "--version", str(fresh["kd_cae"]))
    code, out, _ = mlproject("promote", "sample-bottle", "--version", str(fresh["pca"]))
    assert code == 0, out
    assert set(lines(out)) == set(CHECKS)
    assert all(line.startswith("ok") for line in lines(out).values())
    assert "on the same 40 test images" in lines(out)["not worse"]
    assert aliases() == {"champion": fresh["pca"], "previous": fresh["kd_cae"]}
    left = tags(fresh["pca"])
    assert left["promoted.against"] == str(fresh["kd_cae"])
    assert left["gate.same_scores"] == lines(out)["same scores"]
    assert "promoted.forced" not in left

    code, out, _ = mlproject("rollback", "bottle")
    assert (code, aliases()) == (0, {"champion": fresh["kd_cae"]})
    code, _, err = mlproject("rollback", "bottle")
    assert code == 2
    assert "no previous champion" in err
    assert aliases() == {"champion": fresh["kd_cae"]}


def test_images_that_came_after_the_champion_are_scored_by_it_and_decide_as_well(fresh, tmp_path):
    """The champion as if five test images were new to it: asked now, it scores them as it did then."""
    client = connection.connect()
    versions = [client.get_model_version(project.NAME, str(fresh[name])) for name in ("kd_cae", "pca")]
    old, new = (recorded_version.fetch(version, tmp_path) for version in versions)
    expected = recorded_version.shared(old, new).set_index("path")
    late = old.test["path"].iloc[[0, 3, 21, 22, 39]]
    rest = old.recorded[~old.recorded["path"].isin(late)].reset_index(drop=True)
    unseen = old.recorded.loc[old.recorded["path"].isin(late), "sha256"]
    earlier = replace(old, recorded=rest, seen=old.seen - set(unseen))
    assert len(recorded_version.shared(earlier, new)) == 35
    found, rescored = recorded_version.shared_and_rescored(earlier, new, project.CATEGORY)
    assert rescored == 5
    found = found.set_index("path").loc[expected.index]
    assert found["champion"].to_numpy() == pytest.approx(expected["champion"].to_numpy(), rel=1e-9)
    assert (found["challenger"] == expected["challenger"]).all()
    learnt_from = replace(earlier, seen=old.seen)
    assert recorded_version.shared_and_rescored(learnt_from, new, project.CATEGORY)[1] == 0
    assert len(old.seen) == 120


def test_what_is_champion_already_stays_so(fresh, mlproject):
    mlproject("promote", "bottle", "--version", str(fresh["kd_cae"]))
    before = tags(fresh["kd_cae"])
    code, out, _ = mlproject("promote", "bottle", "--version", str(fresh["kd_cae"]))
    assert code == 0
    assert "is the champion already" in out
    assert tags(fresh["kd_cae"]) == before


@pytest.fixture(scope="module")
def bad(registered):
    """A version whose recorded scores are noise, and whose threshold calls everything defective."""

    def spoil(table, threshold):
        table["score"] = np.random.default_rng(0).normal(size=len(table))
        threshold["threshold"] = -100.0

    return project.register_altered("kd_cae", spoil)


def test_a_model_that_fails_is_refused_and_every_check_is_shown(fresh, bad, mlproject):
    mlproject("promote", "bottle", "--version", str(fresh["pca"]))
    code, out, err = mlproject("promote", "bottle", "--version", str(bad))
    assert (code, err) == (1, "")
    failed = [name for name in CHECKS if lines(out)[name].startswith("NO")]
    assert failed == ["not worse", "false alarms", "same scores"]
    assert "20 of 20 good test images" in lines(out)["false alarms"]
    assert "Not promoted: not worse, false alarms, same scores. Nothing was changed." in out
    assert aliases() == {"champion": fresh["pca"]}
    assert "promoted.at" not in tags(bad)


@pytest.fixture
def dead(fresh):
    """A version whose training has learnt nothing; it and what its run says are taken back afterwards."""
    path = artifacts.training_folder(project.CATEGORY, "kd_cae") / "run.json"
    kept = path.read_bytes()
    files.write_json(
        path, files.read_json(path) | {"learnt": False, "not_learnt_because": "it gives one picture"}
    )
    version = project.register_altered("kd_cae", lambda _, threshold: threshold.update(threshold=50.0))
    yield version
    path.write_bytes(kept)
    project.register("kd_cae")
    connection.connect().delete_model_version(project.NAME, str(version))


def test_a_model_that_has_learnt_nothing_is_refused_and_says_so_everywhere(dead, mlproject):
    code, out, _ = mlproject("promote", "bottle", "--version", str(dead))
    assert code == 1
    assert lines(out)["learnt"] == "NO  learnt        has learnt nothing: it gives one picture"
    assert "Not promoted: learnt. Nothing was changed." in out
    assert aliases() == {}
    version = connection.connect().get_model_version(project.NAME, str(dead))
    assert "- **It has learnt nothing**: it gives one picture. Do not use it." in version.description
    tags_of_run = connection.connect().get_run(version.run_id).data.tags
    assert tags_of_run["learnt"] == "no: it gives one picture"


def test_a_model_whose_scores_follow_a_shortcut_is_refused(fresh, mlproject):
    """Its scores are how bright the images are; no label says so."""

    def brighter(table, threshold):
        data = prepared.load(project.CATEGORY)
        table["score"] = data.images.mean(axis=(1, 2, 3), dtype=np.float64)

    version = project.register_altered("kd_cae", brighter)
    code, out, _ = mlproject("promote", "bottle", "--version", str(version))
    found = connection.connect().get_model_version(project.NAME, str(version))
    project.register("kd_cae")  # its run says again what its files say
    connection.connect().delete_model_version(project.NAME, str(version))
    assert code == 1
    assert "has learnt nothing: its scores rank the test images as their mean_" in lines(out)["learnt"]
    assert "Not promoted: learnt" in out
    assert "- **It has learnt nothing**: its scores rank the test images" in found.description


def test_a_model_whose_run_does_not_say_whether_it_has_learnt_is_not_promoted(fresh, mlproject):
    client = connection.connect()
    run_id = client.get_model_version(project.NAME, str(fresh["pca"])).run_id
    client.delete_tag(run_id, "learnt")
    code, out, _ = mlproject("promote", "bottle", "--version", str(fresh["pca"]))
    client.set_tag(run_id, "learnt", "yes")
    assert code == 1
    assert "cannot be checked: its run does not say" in lines(out)["learnt"]


def test_force_promotes_and_leaves_its_mark(fresh, bad, mlproject):
    code, out, _ = mlproject("promote", "bottle", "--version", str(bad), "--force", "--why", "a rehearsal")
    assert code == 0
    assert "by force" in out
    assert aliases() == {"champion": bad}
    left = tags(bad)
    assert left["promoted.why"] == "a rehearsal"
    assert left["promoted.forced"] == "above chance, false alarms, same scores"


@pytest.mark.parametrize("options", [["--force"], ["--why", "x"], ["--force", "--why", " "]])
def test_force_needs_a_reason(fresh, mlproject, options):
    code, out, err = mlproject("promote", "bottle", "--model", "kd_cae", *options)
    assert (code, out) == (2, "")
    assert "--force and --why" in err
    assert aliases() == {}


def test_budgets_are_read_from_params_yaml(fresh, mlproject):
    kept = Path("params.yaml").read_bytes()
    project.allow(latency_ms=1e-6, memory_mb=1)
    code, out, _ = mlproject("promote", "bottle", "--model", "pca")
    Path("params.yaml").write_bytes(kept)
    assert code == 1
    assert "Not promoted: latency, memory." in out


def test_an_image_that_was_replaced_is_not_compared_with_the_recorded_score(fresh, mlproject):
    raw = artifacts.RAW / project.CATEGORY
    replaced, other = raw / "test/good/002.png", raw / "test/good/003.png"
    kept = replaced.read_bytes()
    replaced.write_bytes(other.read_bytes())
    code, out, _ = mlproject("promote", "bottle", "--model", "pca")
    replaced.write_bytes(kept)
    assert code == 1
    same = lines(out)["same scores"]
    assert "39 recorded images" in same
    assert "test/good/002.png is another image than the recorded one" in same
    assert "Not promoted: same scores." in out


def test_without_the_images_nothing_is_measured(fresh, mlproject):
    raw, away = artifacts.RAW, Path("away")
    raw.rename(away)
    code, out, _ = mlproject("promote", "bottle", "--model", "pca")
    away.rename(raw)
    assert code == 1
    assert "is missing (and 39 more)" in lines(out)["same scores"]
    assert "Not promoted: same scores, latency, memory." in out


def test_a_version_without_hashes_of_its_files_is_refused(fresh, mlproject):
    client = connection.connect()
    number = str(fresh["pca"])
    kept = tags(fresh["pca"])[version_tags.LINEAGE]
    client.delete_model_version_tag(project.NAME, number, version_tags.LINEAGE)
    code, _, err = mlproject("promote", project.NAME, "--version", number)
    client.set_model_version_tag(project.NAME, number, version_tags.LINEAGE, kept)
    assert code == 2
    assert "the registry holds no hash of its files" in err
    assert aliases() == {}


def test_a_version_whose_run_lacks_its_settings_is_not_promoted(fresh, mlproject):
    client = connection.connect()
    run_id = client.get_model_version(project.NAME, str(fresh["pca"])).run_id
    client.delete_tag(run_id, lineage.PARAMETERS)
    code, out, _ = mlproject("promote", "bottle", "--model", "pca")
    project.register("pca")
    assert code == 1
    assert "missing: parameters" in lines(out)["lineage"]


def test_a_registered_model_tells_all_that_the_gate_asks(registered):
    client = connection.connect()
    version = client.get_model_version(project.NAME, str(registered["pca"]))
    left = version_tags.lineage(version)
    assert left["git_tree"] == "clean"
    assert {"git_commit", "lock_hash", "data_hash", "seed", "run_id"} <= left.keys()
    assert left["run_id"] == version.run_id
    assert client.get_run(version.run_id).data.tags[lineage.PARAMETERS].startswith("{")
    assert version.tags["commit"] == left["git_commit"][:10]
    assert "mistakes.png` of its run" in version.description


def test_the_card_travels_with_intervals_mistakes_and_the_recorded_scores(registered, tmp_path):
    uri = f"models:/{project.NAME}/{registered['pca']}/artifacts"
    folder = Path(download_artifacts(uri, dst_path=str(tmp_path)))
    text = (folder / "README.md").read_text()
    assert re.search(r"AUROC [\d.]+ \[[\d.]+, [\d.]+\]", text)
    assert re.search(r"F1 [\d.]+ \[[\d.]+, [\d.]+\] \(calling everything defective: 0\.667\)", text)
    assert re.search(r"Recall [\d.]+ \[[\d.]+, [\d.]+\], false alarms [\d.]+ \[[\d.]+, [\d.]+\]", text)
    assert "(mistakes.png)" in text
    assert (folder / "mistakes.png").is_file()
    recorded = read_table(folder / "recorded.csv")
    images = [artifacts.RAW / project.CATEGORY / path for path in recorded["path"]]
    assert recorded["sha256"].tolist() == [hashlib.sha256(path.read_bytes()).hexdigest() for path in images]
