"""A version extended: what is kept, measured again and recorded; what is refused registers nothing."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import support.promotion_project as project
from mlflow.artifacts import download_artifacts, load_dict
from PIL import Image
from support.pipeline_project import draw

from mlproject.core import artifacts, params
from mlproject.core.tables import read_table
from mlproject.data import prepared
from mlproject.data.decode import decode_bytes
from mlproject.evaluation import thresholds
from mlproject.models.components.combination import Combination
from mlproject.models.patch_kde import PatchKDE
from mlproject.production import feedback
from mlproject.registry import extension, extension_results, loaded_version, version_tags
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project", "support.promotion_project"]
RAW = artifacts.RAW / project.CATEGORY


@pytest.fixture(scope="module")
def extended_project(tmp_path_factory, empty_database) -> Iterator[Path]:
    """A project with version 1, a patch_kde, version 2, a PCA, and seven photos of good parts."""
    folder = tmp_path_factory.mktemp("extended")
    with project.committed(folder, empty_database, ["patch_kde", "pca"]):
        random = np.random.default_rng(7)
        (folder / "photos/lot 7/tray").mkdir(parents=True)
        for number in range(7):
            place = "photos/lot 7/tray" if number > 4 else "photos/lot 7"
            Image.fromarray(draw(random, defective=False)[0]).save(folder / place / f"{number}.png")
        yield folder


def version(number: int):
    return connection.connect().get_model_version(project.NAME, str(number))


def recorded(number: int, into: Path) -> tuple[pd.DataFrame, list[dict]]:
    """Return recorded.csv of a version, and the steps of its extension.json."""
    folder = Path(download_artifacts(f"models:/{project.NAME}/{number}/artifacts", dst_path=str(into)))
    steps = folder / "extension.json"
    found = json.loads(steps.read_text())["steps"] if steps.is_file() else []
    return read_table(folder / "recorded.csv"), found


def sha256(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def training_images() -> list[str]:
    data = prepared.load(project.CATEGORY)
    return data.paths(data.roles(params.load("split", params.Split), 0).train)


@pytest.fixture(scope="module")
def first(extended_project):
    """The number of the version with all photos but without one training image, and what was removed."""
    from mlproject.registry import extension
    from mlproject.registry.address import find_version

    client, removed = connection.open_registry(), training_images()[3]
    made = extension.extend(client, find_version(client, "bottle/1"), [Path("photos/lot 7")], [removed])
    return made.registered.version, removed


def test_the_new_version_records_its_parent_and_each_image(first, tmp_path):
    number, removed = first
    known = version_tags.lineage(version(number))
    assert (known["parent"], known["added"], known["removed"]) == ("sample-bottle/1", "7", "1")
    assert known["parent_files"] == version_tags.lineage(version(1))["files"]
    assert known["data_hash"] != version_tags.lineage(version(1))["data_hash"]
    assert known["lock_hash"] == version_tags.lineage(version(1))["lock_hash"]
    table, (step,) = recorded(number, tmp_path)
    assert step["removed"] == [{"path": removed, "sha256": sha256(RAW / removed)}]
    lot = {image["path"]: image["sha256"] for image in step["added"]}
    assert lot["added/lot 7/tray/5.png"] == sha256("photos/lot 7/tray/5.png")
    assert len(lot) == 7
    of_parent = [path for path in training_images() if path != removed]
    assert table.loc[table["subset"] == "train", "path"].tolist() == [*of_parent, *lot]
    assert "with 7 added and 1 taken out" in version(number).description
    assert "added/lot 7/0.png" in version(number).description


def test_a_training_image_that_has_copies_sets_no_threshold():
    rows = pd.DataFrame({"subset": ["validation", "calibration", "test"]})
    parent = SimpleNamespace(not_trained=rows, threshold={"false_alarm_rate_asked": 0.3})
    detector = SimpleNamespace(
        threshold_roles=PatchKDE.threshold_roles,
        threshold_scores=lambda parts: parts["density"],
        combination=Combination({"density": 0.0}, {"density": 1.0}),
        paper_rule=None,
    )
    scored = SimpleNamespace(parts={"density": np.array([3.0, 4.0, 9.0])})
    left_out = pd.DataFrame({"density": [5.0, np.nan], "score": [5.0, np.nan]})
    found = extension_results._threshold(parent, detector, scored, left_out)
    assert (found["n_calibration"], found["threshold"]) == (3, 5.0)


def test_test_figures_and_threshold_are_measured_again_from_the_same_images(first, tmp_path):
    number, _ = first
    before, after = (recorded(n, tmp_path / str(n))[0].set_index("path") for n in (1, number))
    tested = before.index[before["subset"] == "test"]
    assert (after.loc[tested, "sha256"] == before.loc[tested, "sha256"]).all()
    assert not (after.loc[tested, "score"] == before.loc[tested, "score"]).any()
    new = loaded_version.load(f"bottle/{number}")
    images = np.stack([decode_bytes((RAW / path).read_bytes(), 64) for path in tested])
    np.testing.assert_array_equal(new.detector.score(images).scores, after.loc[tested, "score"])
    good = after.loc[after["subset"].isin(["train", "validation", "calibration"]), "score"]
    expected = thresholds.calibrate(good.to_numpy(), 0.05, strict=False).value
    assert new.threshold == pytest.approx(expected, rel=1e-9)
    assert good.notna().all()
    run = connection.connect().get_run(version(number).run_id)
    assert run.data.tags["mlproject.extends"] == "sample-bottle/1"
    assert run.data.metrics["n_calibration"] == len(good)
    report = load_dict(f"runs:/{run.info.run_id}/report/metrics.json")
    assert report["n_calibration"] == len(good)
    assert sum(kind["n"] for kind in report["defects"]["types"]) == report["n_defective"]
    assert 0.5 < run.data.metrics["auroc"] <= 1


def test_photos_in_the_projects_folder_are_no_uncommitted_change(first, mlproject):
    """The gate's other checks are of what was measured again."""
    assert version_tags.lineage(version(first[0]))["git_tree"] == "clean"
    out = mlproject("promote", "bottle", "--version", str(first[0]))[1]
    checks = {line[4:18].strip(): line[:2] for line in out.splitlines()}
    assert [checks[name] for name in ("learnt", "above chance", "same scores", "lineage")] == ["ok"] * 4


def test_the_command_says_what_changed_and_repeats_nothing(first, mlproject):
    number, removed = first
    before = project.aliases()
    code, out, err = mlproject("extend", "bottle/1", "--add", "photos/lot 7", "--remove", removed)
    assert (code, err) == (0, "")
    assert (
        f"sample-bottle version {number} (known): sample-bottle/1 with 7 images added and 1 taken out" in out
    )
    assert f"from {16 + len(training_images()) - 1 + 7} good images" in out
    assert "from the same 40 test images" in out
    assert f"Not promoted: `mlproject promote sample-bottle --version {number}`" in out
    assert project.aliases() == before


def test_the_command_says_when_the_new_version_cannot_be_extended_again(first, mlproject, monkeypatch):
    _, removed = first
    arguments = ("extend", "bottle/1", "--add", "photos/lot 7", "--remove", removed)
    assert "cannot be extended again" not in mlproject(*arguments)[1]
    monkeypatch.setattr(PatchKDE, "extendable_images", 10)
    assert "cannot be extended again: of more than 10 training images" in mlproject(*arguments)[1]


def test_an_extended_version_is_extended_without_the_photos_of_the_first_time(first, mlproject, tmp_path):
    number, _ = first
    away = Path("photos/lot 7").rename("photos/away")
    code, _, err = mlproject("extend", f"bottle/{number}", "--remove", "tray/5.png")
    away.rename("photos/lot 7")
    assert code == 0, err
    table, steps = recorded(number + 1, tmp_path)
    assert [step["parent"] for step in steps] == ["sample-bottle/1", f"sample-bottle/{number}"]
    assert steps[1]["added"] == []
    assert "added/lot 7/tray/5.png" not in table["path"].tolist()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bottle/1"], "Give --add PHOTOS or --remove IMAGE"),
        (["bottle/2", "--remove", "000.png"], "pca cannot be extended"),
        (
            ["bottle/1", "--remove", "test/good/000.png"],
            "none of its 64 training images. test/good/000.png is a test",
        ),
        (["bottle/1", "--remove", "train/good/4.png"], "training images. Did you mean train/good/"),
        (["bottle/1", "--remove", "04.png"], "training images. Did you mean 0"),
        (["bottle/1", "--add", "nowhere"], "nowhere: not found"),
        (["bottle/1", "--add", "data/raw/bottle/test/good/000.png"], "a test image of sample-bottle/1"),
        (["bottle/1", "--add", "smaller.jpg"], "is the same photo as test/good/001.png"),
        (["bottle/1", "--add", "broken.png"], "broken.png: "),
    ],
)
def test_what_is_refused_registers_nothing(first, mlproject, arguments, said):
    Path("broken.png").write_bytes(b"no image")
    Image.open(RAW / "test/good/001.png").resize((60, 60)).save("smaller.jpg", quality=95)
    before = len(connection.connect().search_model_versions(f"name = '{project.NAME}'"))
    code, out, err = mlproject("extend", *arguments)
    Path("broken.png").unlink()
    Path("smaller.jpg").unlink()
    assert (code, out) == (2, "")
    assert said in err
    assert len(connection.connect().search_model_versions(f"name = '{project.NAME}'")) == before


def test_which_models_can_be_extended_is_said(first, mlproject):
    err = mlproject("extend", "bottle/2", "--remove", "000.png")[2]
    assert err.rstrip().endswith("Can be: patch_kde, pretrained_patch_kde")


def test_a_photo_that_is_known_already_is_left_out(first, mlproject):
    known = str(RAW / training_images()[0])
    code, _, err = mlproject("extend", "bottle/1", "--add", known)
    assert code == 2
    assert "it has learnt from, or is calibrated on, every photo given: nothing would change" in err
    code, out, _ = mlproject("extend", "bottle/1", "--add", known, "--add", "photos/lot 7/0.png")
    assert code == 0
    assert "with 1 images added" in out
    assert f"Left out, learnt from or calibrated on already: 1 ({known})" in out
    again = "photos/again.png"
    with Image.open(known) as photo:
        photo.save(again, compress_level=1)
    assert sha256(again) != sha256(known)
    code, _, err = mlproject("extend", "bottle/1", "--add", again)
    assert code == 2
    assert "it has learnt from, or is calibrated on, every photo given: nothing would change" in err


def test_the_data_set_of_feedback_adds_its_new_photos_alone(first, mlproject):
    photo = Path("photos/lot 7/3.png")
    corrections = [feedback.Correction(str(photo), sha256(photo), "good")]
    into = artifacts.CORRECTED / project.DATASET
    feedback.extend_data_set(corrections, project.CATEGORY, [project.CATEGORY], into)
    folder = into / project.CATEGORY / "train/good"
    (into / project.CATEGORY / corrections[0].folder / corrections[0].name).rename(folder / "new.png")
    code, out, err = mlproject("extend", "bottle/1", "--add", str(folder))
    assert code == 0, err
    assert "with 1 images added" in out
    assert "Left out, learnt from or calibrated on already: 80 (" in out
    (folder / "000.png").write_bytes((RAW / "test/good/000.png").read_bytes())
    code, _, err = mlproject("extend", "bottle/1", "--add", str(folder))
    assert code == 2
    assert "000.png: is the same photo as test/good/000.png, a test image" in err


def test_names_that_are_no_utf_8_are_kept_apart():
    names = [extension._name(Path(os.fsdecode(name)), []) for name in (b"a\xe8.png", b"a\xe9.png")]
    assert names == ["added/a\\xe8.png", "added/a\\xe9.png"]


def test_a_photo_of_a_name_that_is_taken_gets_a_numbered_one(first, mlproject, tmp_path):
    later = [Path(f"photos/{day}/good/7.png") for day in ("monday", "tuesday")]
    for number, photo in enumerate(later):
        photo.parent.mkdir(parents=True)
        Path(f"photos/lot 7/{number}.png").rename(photo)
    lots = [argument for photo in later for argument in ("--add", str(photo.parent))]
    code, out, err = mlproject("extend", "bottle/1", *lots)
    assert code == 0, err
    number = int(out.split(" version ")[1].split()[0])
    (step,) = recorded(number, tmp_path)[1]
    added = {image["path"]: image["sha256"] for image in step["added"]}
    assert added == {
        "added/good/7.png": sha256(later[0]),
        "added/good/7-2.png": sha256(later[1]),
    }
    for name in ("good/7.png", "7-2.png"):
        assert mlproject("extend", f"bottle/{number}", "--remove", name)[0] == 0
    for number, photo in enumerate(later):
        photo.rename(f"photos/lot 7/{number}.png")


def test_the_end_of_a_held_out_images_name_is_told_from_a_misspelt_training_images(first, mlproject):
    data = prepared.load(project.CATEGORY)
    (path, *_) = data.paths(data.roles(params.load("split", params.Split), 0).calibration)
    code, _, err = mlproject("extend", "bottle/1", "--remove", f"good/{Path(path).name}")
    assert code == 2
    assert "Did you mean" not in err
    assert f"/{Path(path).name} is a " in err


def test_without_the_images_that_it_is_tested_on_there_is_no_version(first, mlproject):
    folder = artifacts.PREPARED / project.CATEGORY
    manifest = (folder / "manifest.csv").read_text()
    changed = manifest.replace(sha256(RAW / "test/good/002.png"), "0" * 64)
    (folder / "manifest.csv").write_text(changed)
    code, _, err = mlproject("extend", "bottle/1", "--add", "photos/lot 7")
    (folder / "manifest.csv").write_text(manifest)
    assert code == 2
    assert "1 are missing or have changed: test/good/002.png" in err


def test_of_a_parent_with_uncommitted_changes_comes_a_version_with_uncommitted_changes(first, mlproject):
    client = connection.connect()
    tag = version(1).tags[version_tags.LINEAGE]
    dirty = json.dumps(json.loads(tag) | {"git_tree": "dirty"})
    client.set_model_version_tag(project.NAME, "1", version_tags.LINEAGE, dirty)
    code, out, err = mlproject("extend", "bottle/1", "--add", "photos/lot 7/1.png")
    client.set_model_version_tag(project.NAME, "1", version_tags.LINEAGE, tag)
    assert code == 0, err
    number = int(out.split(" version ")[1].split()[0])
    assert version_tags.lineage(version(number))["git_tree"] == "dirty"


def test_with_cross_an_extended_versions_threshold_rests_on_all_good_images_and_the_added(first, mlproject):
    before = Path("params.yaml").read_text()
    Path("params.yaml").write_text(before.replace("calibration: half", "calibration: cross"))
    project.train("patch_kde")
    number, data = project.register("patch_kde"), prepared.load(project.CATEGORY)
    code, out, err = mlproject("extend", f"bottle/{number}", "--add", "photos/lot 7/2.png")
    Path("params.yaml").write_text(before)
    assert code == 0, err
    assert f"from {len(data.rows(split='train')) + 1} good images" in out
