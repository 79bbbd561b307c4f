"""Each source fills data/raw with all categories or with nothing; a person's own folder is only read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mlproject.core import params
from mlproject.core.errors import UserError
from mlproject.core.files import write_json
from mlproject.data import archive
from mlproject.data.ingest import ingest
from mlproject.data.sample import build

FILES = (
    "train/good/000.png",
    "test/good/000.png",
    "test/dent/000.png",
    "ground_truth/dent/000_mask.png",
)


def write_category(folder: Path) -> None:
    for file in FILES:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(f"{folder.name} {file}".encode())


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def data(source: str, path: Path | str = "data/photos", strict: bool = False) -> params.Data:
    return params.Data(
        source=source,
        path=str(path),
        url="http://localhost/a",
        sha256="0" * 64,
        accept_licence=True,
        strict=strict,
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("nut", "bolt", "gear"):
        write_category(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def listed(tmp_path: Path, monkeypatch) -> Callable[[object], None]:
    """Writes a params.yaml with that list of categories."""
    monkeypatch.setattr(params, "FILE", tmp_path / "params.yaml")
    return lambda categories: write_json(params.FILE, {"categories": categories})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "data/raw"


def run(source: params.Data, categories: object, out: Path) -> dict:
    return ingest(source, categories, out, out.parent / "download")


def test_a_folder_gives_its_listed_categories_and_stays_as_it_was(photos, out):
    (photos / "nut/readme.txt").touch()
    before = {path: (path.stat().st_mode, path.stat().st_nlink) for path in photos.rglob("*")}
    found = run(data("folder", photos), ["nut", "gear"], out)
    assert files(out) == {
        f"{name}/{file}": f"{name} {file}".encode() for name in ("gear", "nut") for file in FILES
    }
    assert {name: len(entries) for name, entries in found.items()} == {"nut": 3, "gear": 3}
    assert {path: (path.stat().st_mode, path.stat().st_nlink) for path in photos.rglob("*")} == before


def test_nothing_in_raw_is_a_link_that_dvc_could_turn_against_the_originals(photos, out):
    run(data("folder", photos), ["nut"], out)
    assert not any(
        path.is_symlink() or path.stat().st_nlink > 1 for path in out.rglob("*") if not path.is_dir()
    )


def test_a_folder_may_be_one_category_itself(photos, out):
    run(data("folder", photos / "nut"), ["nut"], out)
    assert names(out) == ["nut"]


def test_what_was_there_is_replaced(photos, out):
    run(data("folder", photos), ["nut"], out)
    run(data("folder", photos), ["bolt"], out)
    assert names(out) == ["bolt"]


def test_the_download_folder_exists_afterwards_whatever_the_source(photos, out):
    run(data("folder", photos), ["nut"], out)
    assert (out.parent / "download").is_dir()


@pytest.mark.parametrize("categories", [["nut", "bold"], ["bold"]])
def test_an_unknown_category_names_the_nearest_and_nothing_is_written(photos, out, categories):
    with pytest.raises(UserError, match=r"category bold is not known\. Did you mean bolt\?"):
        run(data("folder", photos), categories, out)
    assert names(out.parent) == ["download"]


def test_one_category_out_of_layout_stops_all_before_anything_is_written(photos, out):
    (photos / "gear/ground_truth/dent/000_mask.png").unlink()
    with pytest.raises(UserError, match=r"gear/test/dent/000.png: has no mask"):
        run(data("folder", photos), ["nut", "gear"], out)
    assert names(out.parent) == ["download"]


def test_a_path_within_what_is_replaced_is_refused(out):
    write_category(out / "nut")
    with pytest.raises(UserError, match=r"data.path .* lies in"):
        run(data("folder", out), ["nut"], out)
    assert len(files(out)) == len(FILES)


def test_a_missing_path_is_refused(tmp_path, out):
    with pytest.raises(UserError, match=r"data\.path is .*nowhere': no such folder"):
        run(data("folder", tmp_path / "nowhere"), ["nut"], out)


@pytest.mark.parametrize(
    ("categories", "said"),
    [
        ([], "must list one category or more"),
        (None, "must list one category or more"),
        ("nut", "must list one category or more"),
        (["nut", "bolt", "nut"], "nut is there twice"),
        ([1], "1 is no text"),
        (["../nut"], "is no name of a category"),
        (["a/b"], "is no name of a category"),
        ([".."], "is no name of a category"),
        (["nut; rm -r x"], "is no name of a category"),
        (["-nut"], "is no name of a category"),
        (["nut\n"], "is no name of a category"),
        ([""], "is no name of a category"),
    ],
)
def test_lists_of_categories_that_could_not_be_folders_are_refused(listed, categories, said):
    listed(categories)
    with pytest.raises(UserError, match=said):
        params.categories()


def test_names_in_any_language_are_allowed(listed):
    names = ["metal_nut", "Zahnbürste-2", "v1.2"]
    listed(names)
    assert params.categories() == names


def test_the_sample_is_written_whole(out, monkeypatch):
    monkeypatch.setattr(
        build, "write_sample", lambda folder, asked: [write_category(folder / n) for n in asked]
    )
    assert list(run(data("sample"), ["bracket", "weave"], out)) == ["bracket", "weave"]
    assert names(out) == ["bracket", "weave"]


def test_the_archive_is_asked_for_with_the_settings_and_leaves_nothing_when_it_fails(out, monkeypatch):
    asked = {}

    def fetch(out: Path, **settings: object) -> None:
        asked.update(settings)
        write_category(out / "bottle")
        raise UserError("wrong hash")

    monkeypatch.setattr(archive, "fetch", fetch)
    with pytest.raises(UserError, match="wrong hash"):
        run(data("mvtec"), ["bottle", "screw"], out)
    assert asked == {
        "url": "http://localhost/a",
        "sha256": "0" * 64,
        "accept_licence": True,
        "download": out.parent / "download",
        "categories": ["bottle", "screw"],
    }
    assert names(out.parent) == ["download"]


def test_real_categories_are_taken_from_their_tree(real_mvtec, out):
    found = run(data("folder", real_mvtec), ["bottle"], out)
    assert len(found["bottle"]) == 292
    assert len(files(out)) == 292 + 63


@pytest.mark.parametrize("path", ["", "nowhere"])
def test_a_path_that_leads_nowhere_names_its_key(path, out):
    with pytest.raises(UserError, match=r"params\.yaml: data\.path is .*: no such folder"):
        run(data("folder", path), ["nut"], out)


def test_a_link_that_leads_nowhere_is_named(photos, out):
    (photos / "nut/train/good/777.png").symlink_to("gone.png")
    with pytest.raises(UserError, match=r"777\.png: is a link that leads nowhere"):
        run(data("folder", photos), ["nut"], out)


def test_what_the_checks_find_is_a_warning_or_with_strict_an_error(photos, out, capsys):
    Image.new("L", (8, 8)).save(photos / "nut/test/dent/000.png")
    Image.new("L", (8, 8)).save(photos / "nut/ground_truth/dent/000_mask.png")
    run(data("folder", photos), ["nut"], out)
    assert "warning: " in (said := capsys.readouterr().err)
    assert "000_mask.png: marks nothing (0 %)" in said
    before = files(out)
    with pytest.raises(UserError, match=r"000_mask\.png: marks nothing [^\n]*\n(.*\n)*Nothing was written"):
        run(data("folder", photos, strict=True), ["nut", "gear"], out)
    assert files(out) == before
