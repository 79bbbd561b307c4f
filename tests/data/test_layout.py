"""MVTec's folder layout is read whole, and what is wrong in it is refused by name."""

from pathlib import Path

import pytest

from mlproject.core.errors import UserError
from mlproject.data.layout import find_category, read_layout

FILES = (
    "train/good/000.png",
    "train/good/001.JPG",
    "test/good/000.tif",
    "test/dent/000.bmp",
    "test/dent/001.jpeg",
    "test/cut/000.png",
)
MASKS = ("ground_truth/dent/000_mask.png", "ground_truth/dent/001_mask.png", "ground_truth/cut/000_mask.bmp")


def tree(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


@pytest.fixture
def category(tmp_path: Path) -> Path:
    return tree(tmp_path / "nut", *FILES, *MASKS)


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_layout(folder)
    assert "Nothing was written" in str(caught.value)
    return str(caught.value)


def test_images_come_train_first_then_by_path_each_with_its_mask(category):
    entries = read_layout(category)
    assert [entry.path for entry in entries] == [*FILES[:2], FILES[5], FILES[3], FILES[4], FILES[2]]
    cut = entries[2]
    assert (cut.split, cut.defect, cut.label, cut.mask) == ("test", "cut", 1, "ground_truth/cut/000_mask.bmp")
    assert [(e.label, e.mask) for e in entries if e.defect == "good"] == [(0, None)] * 3


def test_hidden_files_thumbs_and_the_licence_beside_the_folders_are_left_alone(category):
    tree(category, "readme.txt", "license.txt", "train/.DS_Store", "train/good/Thumbs.db", "test/dent/.keep")
    assert len(read_layout(category)) == len(FILES)


def test_a_category_without_any_masks_is_allowed(tmp_path):
    entries = read_layout(tree(tmp_path, *FILES))
    assert all(entry.mask is None for entry in entries)


def test_with_masks_every_defective_image_needs_one(category):
    (category / MASKS[1]).unlink()
    text = refusal(category)
    assert text.startswith(f"{category / 'test/dent/001.jpeg'}: has no mask")
    assert "ground_truth/dent/001_mask.png" in text


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("ground_truth/dent/007_mask.png", "is a mask without an image"),
        ("ground_truth/dent/000.png", "is no name of a mask"),
        ("ground_truth/dent/000_mask.jpg", "is not allowed here, only .png, .bmp"),
        ("ground_truth/scratch/000_mask.png", "test/scratch does not exist"),
        ("ground_truth/good/000_mask.png", "masks of good images"),
        ("train/good/notes.txt", "only .png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp files are"),
        ("train/good/more/000.png", "is not allowed here"),
        ("train/bad/000.png", "only good is"),
        ("train/000.png", "only folders are"),
        ("test/000.png", "only folders are"),
        ("test/dent/000.png", "has the same name as 000.bmp but for the ending"),
        ("train/good/a\nb.png", "has a name that cannot be printed"),
    ],
)
def test_what_does_not_belong_is_refused_by_name(category, extra, said):
    tree(category, extra)
    assert said in refusal(category)


@pytest.mark.parametrize("gone", ["train", "train/good", "test", "test/good"])
def test_a_missing_folder_is_refused_by_name(category, tmp_path, gone):
    (category / gone).rename(tmp_path / "elsewhere")
    assert f"{category / gone}: is missing" in refusal(category)


@pytest.mark.parametrize("emptied", ["train/good", "test/good", "test/dent"])
def test_an_empty_folder_of_images_is_refused_by_name(category, emptied):
    for file in (category / emptied).iterdir():
        file.unlink()
    assert f"{category / emptied}: holds no images" in refusal(category)


def test_a_test_set_without_defects_is_refused(tmp_path):
    folder = tree(tmp_path / "nut", *FILES[:3])
    assert f"{folder / 'test'}: has no folder of defective images" in refusal(folder)


def test_a_folder_that_may_not_be_read_is_refused_by_name(category, monkeypatch):
    listing = Path.iterdir

    def guarded(path: Path):
        if path.name == "dent":
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", guarded)  # root, as in a container, may read everything
    assert f"{category / 'ground_truth/dent'}: cannot be read (permission denied)" in refusal(category)


def test_a_category_is_found_in_the_tree_or_as_the_tree(category):
    assert find_category(category.parent, "nut") == category
    assert find_category(category, "nut") == category


def test_an_unknown_category_names_the_nearest(category):
    for root in (category.parent, category):
        with pytest.raises(UserError, match=r"category nutt is not known. Did you mean nut\? Allowed: nut$"):
            find_category(root, "nutt")


def test_a_missing_root_is_said_to_be_missing(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        find_category(tmp_path / "nowhere", "bottle")


def test_real_categories_have_the_published_numbers_of_images(real_mvtec):
    entries = read_layout(find_category(real_mvtec, "bottle"))
    assert sum(e.split == "train" for e in entries) == 209
    assert sum(e.label for e in entries) == sum(e.mask is not None for e in entries) == 63
