"""`mlproject compare` over a real registry: what it writes, where it is logged, when there is no gallery."""

from pathlib import Path

import pytest
import support.promotion_project as project
from mlflow import MlflowClient

from mlproject import models
from mlproject.core import artifacts
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table
from mlproject.data import prepared
from mlproject.registry import recorded_version
from mlproject.reports.figures import disagreements
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project", "support.promotion_project"]
FILES = {"comparison.md", "decisions.csv", "gallery.png", "scatter.png"}


@pytest.fixture
def champion(fresh) -> MlflowClient:
    """PCA is champion; the newest other version is the KD-CAE."""
    client = connection.connect()
    client.set_registered_model_alias(project.NAME, "champion", str(fresh["pca"]))
    return client


def test_compare_writes_files_and_logs_them_in_the_challengers_run(champion, fresh, mlproject):
    code, out, err = mlproject("compare", "bottle")
    assert (code, err) == (0, "")
    assert "| version | version 2 (pca) | version 1 (kd_cae) |" in out
    assert "AUROC, challenger − champion" in out
    folder = Path("reports/promotion/bottle")
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "gallery.png").read_bytes().startswith(b"\x89PNG")
    table = read_table(folder / "decisions.csv")
    assert len(table) == 40
    run_id = project.connection.connect().get_model_version(project.NAME, str(fresh["kd_cae"])).run_id
    logged = champion.list_artifacts(run_id, "promotion/against_version_2")
    assert {Path(item.path).name for item in logged} == FILES
    assert run_id in out


def test_the_gallery_shows_each_map_in_the_colours_that_its_model_has_in_every_figure(
    champion, mlproject, monkeypatch
):
    drawn = {}

    def gallery(pair, groups, totals):
        drawn.update({one.row: (pair, one) for shown in groups.values() for one in shown})
        return draw(pair, groups, totals)

    draw = disagreements.gallery
    monkeypatch.setattr(disagreements, "gallery", gallery)
    assert mlproject("compare", "bottle", "--model", "kd_cae")[0] == 0
    data = prepared.load(project.CATEGORY)
    for pair, one in drawn.values():
        row = data.manifest.index[data.manifest["path"] == pair.images["path"].iloc[one.row]]
        for model, found in zip(("pca", "kd_cae"), one.maps, strict=True):
            detector = models.load(artifacts.model_folder(project.CATEGORY, model))
            expected = detector.heat_scale.brightness(detector.score(data.images[row]).maps[0])
            assert found == pytest.approx(expected, abs=1e-5)


def test_without_the_images_there_are_figures_and_no_gallery(champion, mlproject):
    raw, away = artifacts.RAW, Path("away")
    raw.rename(away)
    code, out, _ = mlproject("compare", "bottle", "--model", "kd_cae")
    away.rename(raw)
    assert code == 0, out
    folder = Path("reports/promotion/bottle")
    assert {path.name for path in folder.iterdir()} == FILES - {"gallery.png"}
    assert "No gallery: " in (folder / "comparison.md").read_text()
    assert "gallery.png" not in (folder / "comparison.md").read_text()


def test_a_stray_file_among_the_images_costs_the_gallery_alone(champion, mlproject):
    stray = artifacts.RAW / "bottle/test/good/notes.txt"
    stray.write_text("no image")
    code, out, err = mlproject("compare", "bottle", "--model", "kd_cae")
    stray.unlink()
    assert (code, err) == (0, ""), err
    folder = Path("reports/promotion/bottle")
    assert {path.name for path in folder.iterdir()} == FILES - {"gallery.png"}
    assert f"No gallery: {stray}: " in (folder / "comparison.md").read_text()
    assert "AUROC, challenger − champion" in out


def test_a_champion_that_does_not_answer_is_compared_by_what_it_recorded(champion, mlproject, monkeypatch):
    def ask(version, images, maps=False):
        raise UserError(f"{version.title} does not load and answer: No module named 'lost'")

    monkeypatch.setattr(recorded_version, "ask", ask)
    code, _, err = mlproject("compare", "bottle", "--model", "kd_cae")
    assert (code, err) == (0, ""), err
    text = Path("reports/promotion/bottle/comparison.md").read_text()
    assert "No gallery: version 2 (pca) does not load and answer: No module named 'lost'" in text


def test_models_tested_on_different_images_are_not_compared(champion, fresh, mlproject):
    def other_images(table, threshold):
        table["path"] = table["path"].str.replace("test/", "test/other/")
        threshold["threshold"] = 55.0

    other = project.register_altered("kd_cae", other_images)
    code, _, err = mlproject("compare", "bottle", "--version", str(other))
    assert code == 2
    assert "tested on different images" in err
    assert not list(Path("reports/promotion").glob("*.part"))
    code, out, _ = mlproject("promote", "bottle", "--version", str(other))
    assert code == 1
    assert "tested on different images" in out


def test_the_champion_is_not_compared_with_itself(champion, fresh, mlproject):
    code, _, err = mlproject("compare", "bottle", "--version", str(fresh["pca"]))
    assert code == 2
    assert "is the champion itself" in err
