"""Corrected verdicts become a data set: what is fitted to and what decides stay apart; mistakes are named."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from PIL import Image
from support import fork_server
from support.pipeline_project import write_category
from support.watched_line import write_photos

from mlproject import cli
from mlproject.core import artifacts
from mlproject.core.errors import UserError
from mlproject.core.files import path_text
from mlproject.data.layout import read_layout
from mlproject.production import feedback
from mlproject.tracking import connection

CATEGORY = "disc"
INTO = Path("data/corrected/sample")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with the images of one category, brought in."""
    monkeypatch.chdir(tmp_path)
    write_category(tmp_path / artifacts.RAW / CATEGORY, seed=0, n_train=12, n_good=3, n_defective=3)
    return tmp_path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_csv(truths: dict[Path, str], **changes: str) -> Path:
    rows = [
        {"path": str(p), "sha256": sha256(p), "score": 1.0, "truth": t} | changes for p, t in truths.items()
    ]
    pd.DataFrame(rows).to_csv("corrected.csv", index=False)
    return Path("corrected.csv")


def extend(truths: dict[Path, str]) -> feedback.Added:
    corrections = feedback.read(write_csv(truths))
    return feedback.extend_data_set(corrections, CATEGORY, [CATEGORY], INTO)


def corrected() -> dict[str, str]:
    """Return sha256 → folder of the images that were added to the data set."""
    return {
        sha256(INTO / CATEGORY / entry.path): str(Path(entry.path).parent)
        for entry in read_layout(INTO / CATEGORY)
        if "corrected-" in entry.path
    }


def test_each_photo_gets_one_role_and_defective_ones_are_never_learnt_from(here):
    photos = write_photos(here / "photos", 30)
    truths = {photo: ("good" if number < 24 else "dent") for number, photo in enumerate(photos)}
    added = extend(truths)
    found = corrected()
    assert set(found) == {sha256(photo) for photo in photos}
    assert {found[sha256(photo)] for photo in photos[24:]} == {"test/dent"}
    fitted = [photo for photo in photos if found[sha256(photo)] == "train/good"]
    assert 6 <= len(fitted) <= 18
    assert added.folders["train/good"] == len(fitted)
    assert added.masks_left_out
    assert len(read_layout(INTO / CATEGORY)) == 18 + 30
    assert all(path.exists() for path in photos)
    assert len(read_layout(artifacts.RAW / CATEGORY)) == 18  # the source is left as it was


def test_later_corrections_go_into_the_same_data_set(here):
    photos = write_photos(here / "photos", 6)
    extend(dict.fromkeys(photos[:4], "good"))
    before = corrected()
    again = extend({photos[0]: "good", photos[1]: "scratch", photos[5]: "good"})
    assert (again.known, again.moved, sum(again.folders.values())) == (1, 1, 2)
    after = corrected()
    assert after[sha256(photos[1])] == "test/scratch"
    assert {key: after[key] for key in before if key != sha256(photos[1])} == {
        key: folder for key, folder in before.items() if key != sha256(photos[1])
    }


def test_a_type_of_defect_may_be_two_words(here):
    (photo,) = write_photos(here / "photos", 1)
    extend({photo: "Bruch klein"})
    assert corrected() == {sha256(photo): "test/Bruch klein"}


def test_a_photo_whose_name_is_no_utf_8_is_found_by_the_name_that_the_table_has(here):
    first, second = write_photos(here / "photos", 2)
    odd = first.rename(here / "photos" / os.fsdecode(b"stra\xdfe.png"))
    literal = second.rename(here / "photos" / r"a\xdf.png")
    path = write_csv({odd: "dent", literal: "dent"}, path="")
    table = pd.read_csv(path).assign(path=[path_text(odd), path_text(literal)])
    table.to_csv(path, index=False)
    assert {made.sha256 for made in feedback.read(path)} == {sha256(odd), sha256(literal)}


def test_a_training_image_that_is_defective_leaves_the_training_images(here):
    bad = artifacts.RAW / CATEGORY / "train/good/003.png"
    added = extend({bad.resolve(): "dent"})
    assert added.moved == 1
    assert not (INTO / CATEGORY / "train/good/003.png").exists()
    assert corrected() == {sha256(bad): "test/dent"}


def test_masks_stay_where_only_good_photos_are_added(here):
    added = extend(dict.fromkeys(write_photos(here / "photos", 3), "good"))
    assert not added.masks_left_out
    assert all(entry.mask for entry in read_layout(INTO / CATEGORY) if entry.label)


def write_mask(photo: Path, folder: Path, size: int = 48, value: int = 255) -> None:
    folder.mkdir(exist_ok=True)
    Image.new("L", (size, size), value).save(folder / f"{photo.stem}_mask.png")


def masked() -> set[str]:
    return {str(entry.mask) for entry in read_layout(INTO / CATEGORY) if entry.mask}


def test_drawn_masks_go_with_their_photos_and_all_masks_stay(here):
    dented, scratched = write_photos(here / "photos", 2)
    for photo in (dented, scratched):
        write_mask(photo, here / "drawn")
    corrections = feedback.read(write_csv({dented: "dent", scratched: "scratch"}), here / "drawn")
    added = feedback.extend_data_set(corrections, CATEGORY, [CATEGORY], INTO)
    assert not added.masks_left_out
    assert len(masked()) == 3 + 2
    name = f"corrected-{sha256(dented)[:16]}"
    assert f"ground_truth/dent/{name}_mask.png" in masked()
    assert extend({dented: "scratch"}).moved == 1, "its mask goes with it"
    assert f"ground_truth/scratch/{name}_mask.png" in masked()
    assert len(masked()) == 3 + 2
    assert extend({dented: "good"}).moved == 1
    assert len(masked()) == 3 + 1


def test_corrections_of_a_category_that_params_no_longer_name_stay(here):
    write_category(here / artifacts.RAW / "ring", seed=1, n_train=12, n_good=3, n_defective=3)
    dented, good = write_photos(here / "photos", 2)
    feedback.extend_data_set(feedback.read(write_csv({dented: "dent"})), "ring", [CATEGORY, "ring"], INTO)
    extend({good: "good"})
    assert any("corrected-" in entry.path for entry in read_layout(INTO / "ring"))


def test_what_else_lies_in_the_data_set_stays(here):
    photos = write_photos(here / "photos", 2)
    extend({photos[0]: "good"})
    others = ["LICENCE.txt", "unsorted/1.png", "x/notes.txt", "screw/test/good/0.png"]
    for name in others:
        (INTO / name).parent.mkdir(parents=True, exist_ok=True)
        (INTO / name).write_text(name)
    extend({photos[1]: "good"})
    assert [(INTO / name).read_text() for name in others] == others
    assert len(corrected()) == 2


def test_two_photos_of_one_name_do_not_share_a_mask(here):
    (first,), (second,) = (write_photos(here / name, 1, seed) for name, seed in (("cam1", 0), ("cam2", 1)))
    second = second.rename(second.with_name(first.name))
    write_mask(first, here / "drawn")
    with pytest.raises(UserError, match=r"line 3: .*cam1/0000\.png has the same name"):
        feedback.read(write_csv({first: "dent", second: "dent"}), here / "drawn")


def test_a_photo_under_two_names_has_the_mask_of_either(here):
    (first,) = write_photos(here / "photos", 1)
    second = here / "photos/again.png"
    second.write_bytes(first.read_bytes())
    write_mask(second, here / "drawn")
    (made,) = feedback.read(write_csv({first: "dent", second: "dent"}), here / "drawn")
    assert made.mask == (here / "drawn/again_mask.png").read_bytes()


def test_the_mask_of_a_known_photo_is_replaced(here):
    (dented,) = write_photos(here / "photos", 1)
    for value, replaced in ((255, 0), (255, 0), (128, 1)):
        write_mask(dented, here / "drawn", value=value)
        corrections = feedback.read(write_csv({dented: "dent"}), here / "drawn")
        added = feedback.extend_data_set(corrections, CATEGORY, [CATEGORY], INTO)
        assert added.masks_replaced == replaced
    kept = INTO / CATEGORY / f"ground_truth/dent/corrected-{sha256(dented)[:16]}_mask.png"
    assert kept.read_bytes() == (here / "drawn/0000_mask.png").read_bytes()


def test_every_copy_of_a_training_image_that_is_defective_leaves_them(here):
    folder = here / artifacts.RAW / CATEGORY / "train/good"
    (folder / "zz.png").write_bytes((folder / "003.png").read_bytes())
    assert extend({folder / "003.png": "dent"}).moved == 2
    assert corrected() == {sha256(folder / "003.png"): "test/dent"}
    assert sha256(folder / "003.png") not in {sha256(p) for p in (INTO / CATEGORY / "train/good").iterdir()}


def test_masks_for_a_category_that_has_none_are_said_not_to_be_used(here):
    dented, scratched, bent = write_photos(here / "photos", 3)
    assert extend({dented: "dent"}).masks_left_out
    write_mask(scratched, here / "drawn")
    corrections = feedback.read(write_csv({scratched: "scratch"}), here / "drawn")
    assert feedback.extend_data_set(corrections, CATEGORY, [CATEGORY], INTO).masks_unused
    assert not extend({bent: "dent"}).masks_unused


@pytest.mark.parametrize(
    ("size", "value", "said"),
    [(40, 255, "line 2: .*the mask is 40×40 pixels"), (48, 0, "line 2: .*its mask marks nothing")],
)
def test_a_mask_that_does_not_fit_is_named(here, size, value, said):
    (photo,) = write_photos(here / "photos", 1)
    write_mask(photo, here / "drawn", size, value)
    with pytest.raises(UserError, match=said):
        feedback.read(write_csv({photo: "dent"}), here / "drawn")


@pytest.mark.parametrize(
    ("truth", "changes", "said"),
    [
        ("Good", {}, "line 2: truth 'Good' is not allowed. Write good"),
        ("../x", {}, "truth '../x' is not allowed"),
        ("good", {"sha256": "0" * 64}, "other content than when it was scored"),
        ("good", {"path": "gone.png"}, "gone.png cannot be read"),
        ("", {}, "no row has anything in the column truth"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_nothing_is_written(here, truth, changes, said):
    (photo,) = write_photos(here / "photos", 1)
    with pytest.raises(UserError, match=said):
        feedback.read(write_csv({photo: truth}, **changes))
    assert not INTO.exists()


def test_a_photo_with_two_truths_a_broken_one_and_another_table_are_refused(here):
    first, second = write_photos(here / "photos", 2)
    second.write_bytes(first.read_bytes())
    with pytest.raises(UserError, match="line 3: the same photo is good in another line and dent here"):
        feedback.read(write_csv({first: "good", second: "dent"}))
    second.write_bytes(first.read_bytes()[:300])
    with pytest.raises(UserError, match=r"line 2: .*truncated"):
        feedback.read(write_csv({second: "dent"}))
    pd.DataFrame({"path": ["a"]}).to_csv("corrected.csv")
    with pytest.raises(UserError, match="has no column sha256"):
        feedback.read(Path("corrected.csv"))
    with pytest.raises(UserError, match=r"none\.csv: not found. `mlproject verdicts` writes a table"):
        feedback.read(Path("none.csv"))
    with pytest.raises(UserError, match="photos: is no file"):
        feedback.read(Path("photos"))
    with pytest.raises(UserError, match="nowhere: no such folder of masks"):
        feedback.read(write_csv({first: "good"}), Path("nowhere"))


def test_the_command_versions_the_data_set_and_says_what_comes_next(here, monkeypatch, capsys):
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(re.sub(r"(?m)^categories: .*$", "categories: [disc]", text))
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([fork_server.programs() / "dvc", "init", "-q"], check=True)
    photos = write_photos(here / "photos", 4)
    write_csv(dict.fromkeys(photos, "good"))
    monkeypatch.setattr(sys, "argv", ["mlproject", "feedback", "corrected.csv", CATEGORY])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    assert Path("data/corrected/sample.dvc").is_file()
    assert "/sample" in Path("data/corrected/.gitignore").read_text()
    assert "in params.yaml, set data.source: folder and data.path: data/corrected/sample\n" in said.out
    assert f"  mlproject run && mlproject promote {CATEGORY} --model MODEL\n" in said.out
    (command,) = re.findall("  git (add .*) && git commit", said.out)
    Path("scratch.txt").touch()
    subprocess.run(["git", *shlex.split(command)], check=True)
    staged = subprocess.run(
        ["git", "diff", "--cached", "--name-only"], check=True, capture_output=True, text=True
    )
    asked = {"params.yaml", "data/corrected/sample.dvc", "data/corrected/.gitignore"}
    ours = {name for name in staged.stdout.split() if not name.startswith(".dvc")}  # DVC stages its own
    assert ours == asked, "a promotion needs a commit that explains the model"
    tree = yaml.safe_load(text)
    tree["categories"] = ["disc"]
    tree["data"] |= {"source": "folder", "path": "data/corrected/sample"}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    assert connection.dataset() == "sample", "the champion's model, sample-disc, is the challenger's too"
    (INTO / "disc/train/good/000.png").unlink()  # as after `git pull` without `dvc pull`
    outside = ["--into", f"{here.parent}/elsewhere/sample"]
    for wrong in (["disk"], ["disc", *outside], ["disc", "--into", "data/raw/sample"], ["disc"], ["disc"]):
        monkeypatch.setattr(sys, "argv", ["mlproject", "feedback", "corrected.csv", *wrong])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        if wrong == ["disc"]:
            shutil.rmtree(INTO, ignore_errors=True)  # as in a clone before `dvc pull`
    said = capsys.readouterr().err
    assert said.count("`dvc checkout data/corrected/sample.dvc` brings that back") == 2
    assert not INTO.exists()
    assert not (here.parent / "elsewhere").exists()
    assert not Path("data/raw/sample").exists()
    assert "Did you mean disc?" in said
    monkeypatch.setattr(sys, "argv", ["mlproject", "feedback", "corrected.csv", CATEGORY, "--into", "new"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "--into new: must end in /sample" in capsys.readouterr().err
    assert not Path("new").exists()


def test_a_folder_that_the_command_did_not_make_is_left_as_it_is(here, monkeypatch, capsys):
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    tree = yaml.safe_load(Path("params.yaml").read_text())
    tree["categories"], tree["data"] = ["disc"], tree["data"] | {"source": "folder", "path": "my photos"}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    shutil.copytree(artifacts.RAW, "my photos")
    before = sorted(path for path in Path("my photos").rglob("*"))
    write_csv(dict.fromkeys(write_photos(here / "line", 1), "good"))
    arguments = ["mlproject", "feedback", "corrected.csv", CATEGORY, "--into", "my photos"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "my photos: was not made by this command: there is no my photos.dvc" in said
    assert "`dvc add 'my photos'` first" in said
    assert sorted(path for path in Path("my photos").rglob("*")) == before


def test_a_dvc_that_fails_is_not_taken_for_a_data_set_that_differs(here, monkeypatch, capsys):
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(re.sub(r"(?m)^categories: .*$", "categories: [disc]", text))
    write_csv(dict.fromkeys(write_photos(here / "photos", 1), "good"))
    INTO.mkdir(parents=True)
    INTO.with_suffix(".dvc").write_text("outs: []\n")
    monkeypatch.setattr(sys, "argv", ["mlproject", "feedback", "corrected.csv", CATEGORY])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "Nothing was changed: `dvc status --json data/corrected/sample.dvc` failed: you are not" in said
    assert "remove both" not in said
