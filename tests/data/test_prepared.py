"""A raw category becomes arrays and a manifest that agree, or nothing and an error that names the file."""

import errno
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlproject.core import files
from mlproject.core.errors import UserError
from mlproject.core.params import Split
from mlproject.data import prepare, prepared
from mlproject.data.prepare import prepare_category

SIZE = 16
IMAGES = ("train/good/1.png", "train/good/0.png", "test/good/0.png", "test/dent/0.bmp", "test/dent/1.png")
MASKS = ("ground_truth/dent/0_mask.png", "ground_truth/dent/1_mask.png")


def picture(number: int) -> Image.Image:
    """A picture of SIZE × SIZE, another one for each number."""
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw/nut"
    for number, path in enumerate(IMAGES):
        save(picture(number), folder / path)
    for number, path in enumerate(MASKS):
        mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
        mask[number : number + 3] = 255
        save(Image.fromarray(mask), folder / path)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "prepared/nut"


def refusal(raw: Path, out: Path) -> str:
    with pytest.raises(UserError) as caught:
        prepare_category(raw, out, SIZE)
    assert not out.exists()
    assert not out.parent.exists() or not list(out.parent.iterdir())
    assert "Nothing was written" in str(caught.value)
    return str(caught.value)


def test_rows_of_images_masks_and_manifest_belong_together(raw, out):
    prepare_category(raw, out, SIZE)
    data = prepared.load("nut", out.parent)
    order = ["train/good/0.png", "train/good/1.png", "test/dent/0.bmp", "test/dent/1.png", "test/good/0.png"]
    assert list(data.manifest["path"]) == order
    for pixels, path in zip(data.images, order, strict=True):
        assert np.array_equal(pixels, np.asarray(picture(IMAGES.index(path))))
    assert [list(np.flatnonzero(mask[:, 0])) for mask in data.masks] == [[0, 1, 2], [1, 2, 3], []]
    assert isinstance(data.images, np.memmap)
    assert not data.images.flags.writeable


@pytest.mark.parametrize("calibration", ["half", "cross"])
def test_roles_and_pool_are_rows_of_the_manifest_each_image_in_one(raw, out, calibration):
    for number in range(10, 48):
        save(picture(number), raw / f"train/good/{number}.png")
    prepare_category(raw, out, SIZE)
    data = prepared.load("nut", out.parent)
    roles = data.roles(Split(validation_share=0.4, calibration=calibration, folds=2), seed=0)
    rows = np.concatenate([roles.train, roles.validation, roles.calibration])
    assert sorted(rows) == list(data.rows(split="train"))
    assert (len(roles.calibration) > 0) == (calibration == "half")
    halves = data.labelled_pool(0), data.held_out(0)
    assert sorted(np.concatenate(halves)) == list(data.rows(split="test"))
    assert set(data.manifest["defect"].iloc[halves[1]]) == {"dent", "good"}


def test_the_manifest_says_what_each_file_was(raw, out):
    save(picture(9).convert("L").resize((40, 24)), raw / "train/good/1.png")
    prepare_category(raw, out, SIZE)
    data = prepared.load("nut", out.parent)
    assert " ".join(data.manifest.columns) == (
        "path category split defect label width height mode sha256 has_mask bytes original"
    )
    row = data.manifest.iloc[1]
    content = (raw / "train/good/1.png").read_bytes()
    assert (row["width"], row["height"], row["mode"], row["bytes"]) == (40, 24, "L", len(content))
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert (row["category"], row["split"], row["defect"], row["label"], row["has_mask"]) == (
        "nut",
        "train",
        "good",
        0,
        0,
    )
    assert list(data.manifest["has_mask"]) == [0, 0, 1, 1, 0]


def test_rows_and_paths_are_chosen_by_column(raw, out):
    prepare_category(raw, out, SIZE)
    data = prepared.load("nut", out.parent)
    assert list(data.rows(split="train")) == [0, 1]
    assert data.paths(data.rows(split="test", label=0)) == ["test/good/0.png"]


def test_counts_and_hashes_that_any_reader_can_compute_again(raw, out):
    prepare_category(raw, out, SIZE)
    lines = sorted(
        f"{path} {hashlib.sha256((raw / path).read_bytes()).hexdigest()}\n" for path in IMAGES + MASKS
    )
    images = prepared.load("nut", out.parent).images
    pixels = b"".join(hashlib.sha256(image.tobytes()).digest() for image in images)
    assert prepared.files.read_json(out / "prepared.json") == {
        "category": "nut",
        "image_size": SIZE,
        "data_hash": hashlib.sha256("".join(lines).encode()).hexdigest(),
        "pixels_hash": hashlib.sha256(pixels).hexdigest(),
        "n_train": 2,
        "n_test_good": 1,
        "n_test_defective": 2,
    }


def test_photos_smaller_than_the_side_asked_for_keep_their_size(raw, out):
    prepare_category(raw, out, 4 * SIZE)
    data = prepared.load("nut", out.parent)
    assert data.image_size == SIZE
    assert data.masks.shape[1:] == (SIZE, SIZE)
    assert (data.images[data.paths(data.rows()).index(IMAGES[0])] == np.asarray(picture(0))).all()


def test_changing_one_mask_changes_the_data_hash(raw, out):
    prepare_category(raw, out, SIZE)
    before = prepared.load("nut", out.parent).data_hash
    save(Image.new("L", (SIZE, SIZE), 255), raw / MASKS[0])
    prepare_category(raw, out, SIZE)
    assert prepared.load("nut", out.parent).data_hash != before


def test_without_ground_truth_masks_are_blank(raw, out):
    shutil.rmtree(raw / "ground_truth")
    prepare_category(raw, out, SIZE)
    data = prepared.load("nut", out.parent)
    assert data.masks.shape == (3, SIZE, SIZE)
    assert not data.masks.any()
    assert not data.manifest["has_mask"].any()


def test_any_number_of_workers_writes_the_same_bytes(raw, out, tmp_path):
    for number in range(100, 180):  # more than are ever in flight
        save(picture(number), raw / f"train/good/{number}.png")
    prepare_category(raw, out, SIZE, workers=1)
    other = tmp_path / "other/nut"
    prepare_category(raw, other, SIZE, workers=5)
    for file in ("images.npy", "masks.npy", "manifest.csv", "prepared.json"):
        assert (out / file).read_bytes() == (other / file).read_bytes()


def test_every_image_is_reported_in_turn(raw, out):
    seen = []
    prepare_category(raw, out, SIZE, on_image=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in range(1, 6)]


def test_a_broken_image_is_named_and_nothing_is_left(raw, out):
    broken = raw / "test/dent/0.bmp"
    broken.write_bytes(broken.read_bytes()[:500])
    assert refusal(raw, out) == (
        f"{broken}: cannot be decoded (truncated after 500 of 822 bytes). Nothing was written. "
        "Remove or replace it, then run again; with data.source: folder, the file below data.path that it "
        "is a copy of."
    )


@pytest.mark.parametrize(("content", "said"), [(b"", "the file is empty"), (b"GIF89a", "it is no PNG, JPEG")])
def test_empty_and_foreign_files_are_named(raw, out, content, said):
    (raw / "train/good/1.png").write_bytes(content)
    assert f"{raw / 'train/good/1.png'}: cannot be decoded ({said}" in refusal(raw, out)


def test_a_mask_of_the_wrong_size_is_named(raw, out):
    save(Image.new("L", (SIZE, 8)), raw / MASKS[1])
    assert f"{raw / MASKS[1]}: cannot be decoded (the mask is 16×8 pixels, its image 16×16)" in refusal(
        raw, out
    )


def test_an_image_in_train_and_test_is_leakage_even_in_another_format(raw, out):
    save(picture(0), raw / "test/good/again.tif")
    text = refusal(raw, out)
    assert str(raw / "train/good/1.png") in text
    assert str(raw / "test/good/again.tif") in text


def test_an_image_that_is_good_and_defective_is_refused(raw, out):
    save(picture(2), raw / "test/dent/again.png")
    save(Image.new("L", (SIZE, SIZE), 255), raw / "ground_truth/dent/again_mask.png")
    text = refusal(raw, out)
    assert str(raw / "test/good/0.png") in text
    assert str(raw / "test/dent/again.png") in text
    assert "good or defective, not both" in text


def test_a_file_that_may_not_be_read_is_named(raw, out, monkeypatch):
    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)  # root, as in a container, may read everything
    assert f"{raw / 'train/good/0.png'}: cannot be read (Permission denied)" in refusal(raw, out)


def test_a_full_disk_is_told_and_nothing_is_left(raw, out, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare, "_write_header", full)
    assert f"{out}: the disk is full" in refusal(raw, out)


def test_a_failed_run_leaves_the_previous_result_as_it_was(raw, out):
    prepare_category(raw, out, SIZE)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    (raw / "train/good/0.png").write_bytes(b"")
    with pytest.raises(UserError):
        prepare_category(raw, out, SIZE)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert names(out.parent) == ["nut"]


def test_what_a_killed_run_left_is_not_taken_over(tmp_path):
    (tmp_path / "nut.00000000.part").mkdir()
    (tmp_path / "nut.00000000.part/stale").touch()
    with files.written_whole(tmp_path / "nut") as part:
        (part / "fresh").touch()
    assert names(tmp_path) == ["nut"]
    assert names(tmp_path / "nut") == ["fresh"]


def test_loading_what_was_not_prepared_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="dvc repro"):
        prepared.load("nut", tmp_path)


def test_real_images_are_prepared_with_their_masks(real_mvtec, tmp_path):
    prepare_category(real_mvtec / "bottle", tmp_path / "bottle", 64)
    data = prepared.load("bottle", tmp_path)
    assert data.images.shape == (292, 64, 64, 3)
    assert data.masks.shape == (83, 64, 64)
    marked = data.masks.reshape(83, -1).any(axis=1)
    assert np.array_equal(marked, data.manifest.query("split == 'test'")["label"] == 1)
