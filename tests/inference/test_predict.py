"""`mlproject predict`: verdicts on any folder of photos, from a folder that holds no project."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import pyfunc
from PIL import Image, ImageColor
from support import fork_server

from mlproject import models
from mlproject.core.errors import UserError
from mlproject.data import photos
from mlproject.inference import predict, results
from mlproject.models.components.heat_scale import HeatScale
from mlproject.reports.figures.overlays import FRAME, framed, overlay
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project"]


def picture(seed: int, size: tuple[int, int] = (60, 45)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def some_photos(tmp_path) -> Path:
    """Three photos at two depths, one that is broken, and what is no photo."""
    folder = tmp_path / "photos"
    (folder / "line 2").mkdir(parents=True)
    picture(0).save(folder / "a.png")
    picture(1).save(folder / "a.jpg")
    picture(2, (300, 200)).save(folder / "line 2/c.PNG")
    whole = (folder / "a.png").read_bytes()
    (folder / "line 2/broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture
def empty_folder(first, tmp_path, monkeypatch) -> Path:
    """A working directory that has nothing but MLFLOW_TRACKING_URI."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", connection.uri())
    connection.connect().set_registered_model_alias(first.name, "champion", str(first.version))
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def mlproject(empty_folder, mlproject):
    return mlproject


def test_a_process_in_an_empty_folder_needs_only_the_address(empty_folder, some_photos):
    command = [
        fork_server.programs() / "mlproject",
        "predict",
        "bottle@champion",
        some_photos / "a.png",
    ]
    result = subprocess.run(command, cwd=empty_folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().endswith(f"{some_photos}/a.png")
    assert not list(empty_folder.iterdir())


def test_scores_what_it_can_and_names_the_rest(mlproject, first, some_photos, tmp_path):
    overlays = tmp_path / "overlays"
    code, _, errors = mlproject(
        "predict", "bottle@champion", some_photos, "--out", tmp_path / "r.csv", "--overlays", overlays
    )
    assert code == 1
    assert f"{some_photos}/line 2/broken.png: truncated" in errors

    table = pd.read_csv(tmp_path / "r.csv")
    assert list(table.columns) == ["path", "score", "threshold", "defective", "error"]
    names = [str(Path(path).relative_to(some_photos)) for path in table["path"]]
    assert names == ["a.jpg", "a.png", "line 2/broken.png", "line 2/c.PNG"]
    good = table[table["error"].isna()]
    assert len(good) == 3
    assert good["defective"].tolist() == (good["score"] > 1.5).tolist()

    model = pyfunc.load_model(f"models:/{first.name}/{first.version}")
    served = model.predict(pd.DataFrame({"image": [Path(path).read_bytes() for path in good["path"]]}))
    assert np.abs(served["score"].to_numpy() - good["score"].to_numpy()).max() <= 1e-12

    drawn = sorted(str(file.relative_to(overlays)) for file in overlays.rglob("*.png"))
    assert drawn == ["a.jpg.png", "a.png.png", "line 2/c.PNG.png"]
    assert Image.open(overlays / "line 2/c.PNG.png").size == (300, 200)


def test_regions_of_defective_photos_are_written_and_framed(mlproject, some_photos, tmp_path):
    file, overlays = tmp_path / "regions.json", tmp_path / "overlays"
    halves = Image.new("RGB", (90, 50), "white")
    halves.paste("black", (0, 0, 45, 50))  # unlike the noise that the model was trained on
    halves.save(some_photos / "halves.png")
    code, _, _ = mlproject(
        "predict", "bottle@champion", some_photos, "--out", tmp_path / "r.csv",
        "--overlays", overlays, "--regions", file,
    )  # fmt: skip
    assert code == 1
    table = pd.read_csv(tmp_path / "r.csv").set_index("path")
    found = json.loads(file.read_text())
    sizes = {Path(image["file_name"]).name: (image["width"], image["height"]) for image in found["images"]}
    assert sizes == {"a.jpg": (60, 45), "a.png": (60, 45), "c.PNG": (300, 200), "halves.png": (90, 50)}
    names = {image["id"]: image["file_name"] for image in found["images"]}
    marked = {names[region["image_id"]] for region in found["annotations"]}
    assert str(some_photos / "halves.png") in marked
    assert table.loc[sorted(marked), "defective"].all()
    for region in found["annotations"]:
        width, height = sizes[Path(names[region["image_id"]]).name]
        left, top, wide, high = region["bbox"]
        assert 0 <= left < left + wide <= width
        assert 0 <= top < top + high <= height
    frame = np.array(ImageColor.getrgb(FRAME))
    for path in table.index[table["error"].isna()]:
        drawn = np.asarray(Image.open(overlays / f"{Path(path).relative_to(some_photos)}.png"))
        assert (drawn == frame).all(axis=-1).any() == (path in marked)


def test_no_file_goes_unmentioned_and_no_name_forges_a_line(mlproject, some_photos):
    forged = "b\n9 photos scored, 0 defective\n.png"
    (some_photos / forged).write_bytes((some_photos / "a.png").read_bytes())
    (some_photos / "\x1b[2Jc.png").write_bytes(b"no photo")
    (some_photos / "d.png").symlink_to("nowhere")
    code, output, errors = mlproject("predict", "bottle", some_photos)
    assert code == 1
    assert "\x1b" not in output + errors
    assert len(output.splitlines()) == 4
    assert rf"'{some_photos}/b\n9 photos scored, 0 defective\n.png'" in output
    summary = errors.splitlines()
    assert sum("photos scored" in line for line in summary) == 1
    assert "4 photos scored" in errors
    assert "Left out, not photos: 1 .txt, 1 hidden" in summary
    assert "3 photos could not be scored:" in summary
    assert rf"  '{some_photos}/\x1b[2Jc.png': it is no PNG" in errors
    assert f"  {some_photos}/d.png: the link leads nowhere" in summary


def test_names_that_are_no_utf_8_are_kept_apart(mlproject, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in (b"caf\xe8.png", b"caf\xe9.png"):
        picture(0).save(folder / os.fsdecode(name))
    assert mlproject("predict", "bottle", str(folder), "--out", "found.csv")[0] == 0
    paths = pd.read_csv("found.csv")["path"].tolist()
    assert paths == [f"{folder}/caf\\xe8.png", f"{folder}/caf\\xe9.png"]


def test_nothing_that_could_be_scored_is_another_exit_code_than_something(mlproject, some_photos, tmp_path):
    (tmp_path / "broken").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "broken" / name).write_bytes((some_photos / "a.png").read_bytes()[:100])
    code, _, errors = mlproject("predict", "bottle", tmp_path / "broken", "--out", tmp_path / "r.csv")
    assert code == 2
    assert "0 photos scored" in errors
    assert pd.read_csv(tmp_path / "r.csv")["error"].notna().tolist() == [True, True]


def test_every_ending_holds_the_same(mlproject, some_photos, tmp_path):
    for ending in ("csv", "json", "parquet"):
        mlproject("predict", "bottle", some_photos, "--out", tmp_path / f"new/r.{ending}")
    read = pd.read_csv(tmp_path / "new/r.csv")
    parquet = pd.read_parquet(tmp_path / "new/r.parquet")
    records = json.loads((tmp_path / "new/r.json").read_text())
    for name in ("path", "score", "defective"):
        assert read[name].dropna().tolist() == parquet[name].dropna().tolist()
        assert read[name].dropna().tolist() == [row[name] for row in records if row[name] is not None]
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["r.csv", "r.json", "r.parquet"]


def test_verdicts_are_printed_where_no_file_is_named(mlproject, some_photos):
    code, output, errors = mlproject(
        "predict", "bottle/1", some_photos / "a.png", some_photos / "line 2/c.PNG"
    )
    assert code == 0
    lines = output.splitlines()
    assert [line.split("  ")[-1] for line in lines] == [
        f"{some_photos}/a.png",
        f"{some_photos}/line 2/c.PNG",
    ]
    assert "2 photos scored" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bottle@champion", "nowhere"], "nowhere: not found"),
        (["bottle@champion", "PHOTOS/notes"], "no images"),
        (["bottle@champion", "PHOTOS", "--out", "r.xlsx"], "Allowed: .csv, .json, .parquet"),
        (["bottle@champion", "PHOTOS", "--overlays", "PHOTOS"], "already exists"),
        (["bottle@champion", "PHOTOS", "--overlays", "PHOTOS/a.png/new"], "a.png may not be written to"),
        (["bottle@champion", "PHOTOS", "--out", "r.json", "--regions", "./r.json"], "are the same file"),
        (["bottel", "PHOTOS"], "Did you mean"),
        (["bottle@previous", "PHOTOS"], "has no previous"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(mlproject, some_photos, arguments, said):
    (some_photos / "notes").mkdir()
    before = sorted(some_photos.parent.rglob("*"))
    code, output, errors = mlproject(
        "predict", *[text.replace("PHOTOS", str(some_photos)) for text in arguments]
    )
    assert (code, output) == (2, "")
    assert said in errors
    assert sorted(some_photos.parent.rglob("*")) == before


def test_photos_in_memory_stay_few_however_many_there_are(trained, tmp_path, monkeypatch):
    """Photos decoded and not yet scored, counted while 400 are scored."""
    picture(0).save(tmp_path / "a.png")
    decoded, most = 0, 0
    decode = photos._decode

    def counted(*arguments):
        nonlocal decoded
        decoded += 1
        return decode(*arguments)

    monkeypatch.setattr(photos, "_decode", counted)
    detector = models.load(trained)
    for scored, _ in enumerate(predict.predict_photos(detector, 0.0, 48, [tmp_path / "a.png"] * 400)):
        most = max(most, decoded - scored)
    assert decoded == 400
    assert most <= 3 * predict.BATCH


def test_a_result_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    row = predict.Prediction(Path("a.png"), 1.0, 2.0, True).row()
    with pytest.raises(UserError, match="the disk is full"):
        results.write(tmp_path / "r.csv", [row])
    assert not list(tmp_path.iterdir())


def test_a_region_narrower_than_a_pixel_of_the_picture_is_framed():
    drawn = framed(np.zeros((1, 40, 3), np.uint8), [(0.5, 0.4, 0.501, 0.6), (0.0, 0.0, 1.0, 1.0)])
    assert (np.asarray(drawn) == ImageColor.getrgb(FRAME)).all(axis=-1).any()


def test_overlays_share_one_scale():
    """What good images reach stays nearly as it was; what lies beyond is covered, however bright the rest."""
    scale = HeatScale(1.0, 3.0)
    grey = np.full((40, 60, 3), 128, np.uint8)
    assert (overlay(grey, np.full((8, 8), 0.5), scale) == grey).all()
    spot, spots = np.full((8, 8), 1.0), np.full((8, 8), 1.0)
    spot[1, 1] = spots[1, 1] = 2.0
    spots[6, 6] = 50.0  # would darken the other on a scale of its own
    corner = np.s_[:15, :20]
    assert (overlay(grey, spot, scale)[corner] == overlay(grey, spots, scale)[corner]).all()
    assert np.abs(overlay(grey, np.full((8, 8), 3.0), scale).astype(int) - grey).max() > 50
