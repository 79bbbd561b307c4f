"""Copies: equal images and re-saved ones share a role; parts that look alike do not count as copies."""

import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from support.pipeline_project import draw, write_category

from mlproject.core.errors import UserError
from mlproject.core.params import Split
from mlproject.data import copies, labelled_pool, prepared, sensor_noise, split
from mlproject.data.checks import check_category
from mlproject.data.decode import fit, open_image
from mlproject.data.layout import read_layout
from mlproject.data.prepare import prepare_category
from mlproject.models.cnn import for_weights_and_epoch
from pipelines import train

SIZE = 128


def textured(number: int) -> Image.Image:
    """A photo of a part with fine structure of its own on a shape that all have."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:256, :256]
    part = 60 + 120 * ((x - 128) ** 2 + (y - 128) ** 2 < 90**2)
    blobs = np.kron(rng.normal(0, 18, (64, 64)), np.ones((4, 4)))
    return Image.fromarray((part + blobs).clip(0, 255).astype(np.uint8)).convert("RGB")


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


AGAIN = {
    "png": lambda image: saved(image, "PNG"),
    "jpeg 95": lambda image: saved(image, "JPEG", quality=95),
    "jpeg 60": lambda image: saved(image, "JPEG", quality=60),
    "webp": lambda image: saved(image, "WEBP", quality=80),
    "smaller": lambda image: saved(image.resize((200, 200)), "PNG"),
    "larger": lambda image: saved(image.resize((512, 512)), "PNG"),
    "smaller jpeg": lambda image: saved(image.resize((180, 180)), "JPEG", quality=75),
}


def found(images: list[bytes]) -> list[int]:
    pixels = [fit(open_image(data)[0], SIZE) for data in images]
    small = np.stack([copies.thumbnail(image) for image in pixels])
    digests = [image.tobytes() for image in pixels]
    return copies.originals(
        small, digests, photo=lambda number: fit(open_image(images[number])[0], 256)
    ).tolist()


@pytest.mark.parametrize("again", AGAIN)
def test_a_photo_that_was_saved_again_is_a_copy_of_the_first(again):
    photos = [textured(number) for number in range(12)]
    files = [saved(photo, "PNG") for photo in photos]
    assert found([*files, AGAIN[again](photos[3]), AGAIN[again](photos[8])]) == [*range(12), 3, 8]


def test_a_copy_of_a_copy_has_the_original_of_both():
    photos = [textured(number) for number in range(6)]
    twice = open_image(AGAIN["jpeg 60"](photos[2]))[0]
    files = [saved(photo, "PNG") for photo in photos]
    assert found([*files, AGAIN["jpeg 60"](photos[2]), AGAIN["smaller"](twice)])[6:] == [2, 2]


def test_copies_are_found_across_blocks(monkeypatch):
    """Equal and saved-again photos, in blocks of 4, of which 5 images are compared at a time."""
    photos = [textured(number) for number in range(9)]
    first = [saved(photo, "PNG") for photo in photos]
    images = [*first, *(saved(photo, "JPEG", quality=60) for photo in photos), *first[::-1]]
    monkeypatch.setattr(copies, "_BLOCK", 4)
    monkeypatch.setattr(copies, "_TOGETHER", 5)
    assert found(images) == [*range(9), *range(9), *range(8, -1, -1)]


def test_every_pair_within_both_limits_is_found_and_no_other():
    """Half of the photos are others with noise: many lie close to a limit."""
    rng = np.random.default_rng(0)
    first = rng.integers(60, 200, (32, 32, 3)) + rng.normal(0, 5, (300, 32, 32, 3))
    second = first + rng.normal(0, 1, first.shape) * rng.uniform(0, 5, (300, 1, 1, 1))
    small = np.concatenate([first, second]).astype(np.uint8)
    brightness = small.sum(axis=3, dtype=float)
    detail = (brightness - ndimage.uniform_filter(brightness, (0, 5, 5), mode="nearest")).reshape(600, -1)
    mean = detail.mean(axis=0)
    detail -= np.outer(detail @ mean / (mean @ mean), mean)
    energy = (detail**2).sum(axis=1)
    share = ((detail[:300] - detail[300:]) ** 2).sum(axis=1) / (energy[:300] + energy[300:])
    levels = np.abs(small[:300].astype(int) - small[300:]).max(axis=(1, 2, 3))
    copied = (share <= copies.LARGEST_SHARE) & (levels <= copies.LARGEST_DIFFERENCE)
    assert 100 < copied.sum() < (levels <= copies.LARGEST_DIFFERENCE).sum()
    expected = [*range(300), *np.where(copied, range(300), range(300, 600))]
    assert copies.originals(small, range(600)).tolist() == expected


@pytest.mark.parametrize(("share", "looked_at"), [(0.99, True), (1.01, False)])
def test_details_that_lie_on_the_axes_alone_are_looked_at_up_to_the_limit(share, looked_at):
    """All of their difference is seen there: a filter that were any stricter would lose copies."""
    axes = copies._axes(np.random.default_rng(0).normal(size=(200, 1024)).astype(np.float32))
    first, other = axes[:, :2].T * 1000
    cosine = 1 - share * copies.LARGEST_SHARE  # of the energy of both, in their difference
    second = cosine * first + np.sqrt(1 - cosine**2) * other
    with tempfile.TemporaryFile() as file:
        projections = copies._Projections(file, axes)
        projections.append(np.stack([first, second]).astype(np.float32))
        assert bool(list(projections.possible_pairs())) == looked_at


def test_parts_of_one_kind_are_no_copies():
    rng = np.random.default_rng(0)
    assert found([saved(Image.fromarray(draw(rng, False)[0]), "PNG") for _ in range(80)]) == list(range(80))


@pytest.mark.parametrize("noise", [1, 3, 8])
def test_photos_of_a_plain_surface_under_a_changing_lamp_are_no_copies(noise):
    rng = np.random.default_rng(0)
    slope = np.linspace(-1, 1, 256)
    images = []
    for _ in range(60):
        light = 128 + 5 * rng.normal() + 5 * rng.normal() * slope + 5 * rng.normal() * slope[:, None]
        images.append((light + noise * rng.normal(size=(256, 256))).clip(0, 255).astype(np.uint8))
    assert found([saved(Image.fromarray(image), "PNG") for image in images]) == list(range(60))


def without_a_texture(number: int, noise: float = 4) -> Image.Image:
    """A photo of a part with the same pattern as all others, moved a little, with noise of its own."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:512, :512] - 256 - rng.uniform(-1, 1, (2, 1, 1))
    pattern = 120 + 40 * np.sin(x / 9) * np.cos(y / 13) + 30 * np.sin((x + y) / 31)
    part = ((x / 200) ** 2 + (y / 140) ** 2 < 1) * pattern * (1 + rng.uniform(-0.02, 0.02))
    photo = part[..., None] * [1, 0.9, 0.8] + rng.normal(0, noise, (512, 512, 3))
    return Image.fromarray(photo.clip(0, 255).astype(np.uint8))


def test_photos_of_parts_without_a_texture_of_their_own_are_no_copies():
    files = [saved(without_a_texture(number), "PNG") for number in range(40)]
    assert found(files) == list(range(40))


@pytest.mark.parametrize("again", [*AGAIN, "jpeg 50"])
def test_copies_of_a_part_without_a_texture_are_told_from_its_other_photos(again):
    photos = [without_a_texture(number) for number in range(12)]
    files = [saved(photo, "PNG") for photo in photos]
    save = AGAIN.get(again) or (lambda image: saved(image, "JPEG", quality=50))
    copy = found([*files, save(photos[3])])[-1]
    assert copy == 3


def test_prepare_and_check_ask_the_noise_too(tmp_path: Path):
    folder = tmp_path / "plate"
    for number in range(24):
        kind = {0: "test/hole", 1: "test/good"}.get(number, "train/good")
        path = folder / kind / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saved(without_a_texture(number), "PNG"))
    small = [copies.thumbnail(fit(without_a_texture(number), 256)) for number in range(24)]
    assert len(set(copies.originals(np.stack(small), range(24)).tolist())) < 24, "they look like copies"
    assert prepare_category(folder, tmp_path / "out", 256) == {}
    found = check_category(folder, read_layout(folder))
    assert [finding for finding in found if finding.kind == "copies"] == []


def test_a_photo_without_noise_says_nothing_about_another():
    smooth = sensor_noise.of(np.asarray(without_a_texture(0, noise=0)))
    assert not sensor_noise.separate(smooth, smooth)
    dark = sensor_noise.of(np.zeros((256, 256, 3), np.uint8))
    assert not sensor_noise.separate(dark, smooth)


def test_a_part_with_a_small_defect_is_no_copy_of_the_part_without_it():
    photos = [textured(number) for number in range(8)]
    scratched = np.asarray(photos[5]).copy()
    scratched[100:112, 100:112] = 255
    files = [saved(photo, "PNG") for photo in photos]
    assert found([*files, saved(Image.fromarray(scratched), "PNG")]) == list(range(9))


def test_no_photo_of_mvtec_is_a_copy_of_another(real_mvtec):
    for category, again in (("bottle", "jpeg 60"), ("transistor", "smaller jpeg")):
        paths = sorted((real_mvtec / category / "train/good").glob("*.png"))
        files = [path.read_bytes() for path in paths]
        copy = AGAIN[again](open_image(files[70])[0])
        assert found([*files, copy]) == [*range(len(files)), 70]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A category in which every third training photo and every third defect has a copy."""
    folder = tmp_path / "raw/disc"
    write_category(folder, seed=0, n_train=60, n_good=12, n_defective=12)
    for number in range(0, 60, 3):
        image = Image.open(folder / f"train/good/{number:03d}.png").convert("RGB")
        image.resize((128, 128)).save(folder / f"train/good/copy_of_{number:03d}.jpg", quality=95)
    for number in range(0, 12, 3):
        image = (folder / f"test/bar/{number:03d}.png").read_bytes()
        mask = (folder / f"ground_truth/bar/{number:03d}_mask.png").read_bytes()
        (folder / f"test/bar/again_{number:03d}.png").write_bytes(image)
        (folder / f"ground_truth/bar/again_{number:03d}_mask.png").write_bytes(mask)
    return folder


@pytest.mark.parametrize("calibration", ["half", "cross"])
@pytest.mark.parametrize("seed", range(5))
def test_all_copies_of_an_image_have_one_role_and_of_those_held_out_one_counts(
    raw, tmp_path, calibration, seed
):
    assert len(prepare_category(raw, tmp_path / "prepared/disc", 64)) == 24
    data = prepared.load("disc", tmp_path / "prepared")
    assert len(data.copies) == 24
    settings = Split(validation_share=0.4, calibration=calibration, folds=4)
    roles = data.roles(settings, seed)
    parts = [*vars(roles).values(), data.labelled_pool(seed), data.held_out(seed)]
    of = {path: number for number, rows in enumerate(parts) for path in data.paths(rows)}
    assert all(of[copy] == of[original] for copy, original in data.copies.items() if copy in of)
    left_out = {copy for copy in data.copies if copy not in of}
    held_out = {*data.paths(roles.validation), *data.paths(roles.calibration)}
    assert left_out == {copy for copy, original in data.copies.items() if original in held_out}
    good = data.rows(split="train")
    fold = dict(zip(data.paths(good), split.folds(data.originals(good), 4, seed), strict=True))
    assert all(fold[copy] == fold[original] for copy, original in data.copies.items() if copy in fold)


def test_without_copies_roles_and_halves_are_decided_by_the_paths_alone(tmp_path):
    write_category(tmp_path / "raw/disc", seed=0)
    assert prepare_category(tmp_path / "raw/disc", tmp_path / "prepared/disc", 64) == {}
    data = prepared.load("disc", tmp_path / "prepared")
    good, test = data.rows(split="train"), data.rows(split="test")
    roles = data.roles(Split(validation_share=0.4, calibration="half", folds=4), 3)
    alone = split.split(data.paths(good), 0.4, 3)
    for role, rows in vars(roles).items():
        assert np.array_equal(rows, good[getattr(alone, role)])
    kinds = data.manifest["defect"].iloc[test].tolist()
    assert np.array_equal(data.held_out(3), test[labelled_pool.held_out(data.paths(test), kinds, 3)])


def test_halves_of_images_without_copies_are_pinned():
    paths = [f"test/{kind}/{number:03d}.png" for kind in ("good", "cut") for number in range(7)]
    kinds = [path.split("/")[1] for path in paths]
    assert np.flatnonzero(labelled_pool.held_out(paths, kinds, 0)).tolist() == [0, 1, 3, 4, 7, 9, 11, 13]


def test_a_photo_that_is_good_and_defective_is_an_error_that_names_both_files(raw, tmp_path):
    (raw / "test/good/x.png").write_bytes((raw / "test/bar/000.png").read_bytes())
    with pytest.raises(UserError, match=r"test/bar/.*000\.png: is the same image as .*test/good/x\.png"):
        prepare_category(raw, tmp_path / "prepared/disc", 64)


def test_a_test_image_saved_again_from_a_training_image_counts_and_is_named(raw, tmp_path):
    image = Image.open(raw / "train/good/004.png")
    image.convert("RGB").resize((96, 96)).save(raw / "test/good/x.png")
    found = prepare_category(raw, tmp_path / "prepared/disc", 64)
    assert copies.trained_and_tested(found) == {"test/good/x.png": "train/good/004.png"}
    data = prepared.load("disc", tmp_path / "prepared")
    assert "test/good/x.png" in data.paths(data.rows(split="test"))
    assert copies.summary(found) == [
        "25 images are copies of others; all copies of an image have one role",
        "tested on copies of training images: test/good/x.png of train/good/004.png",
    ]


def test_of_the_labels_that_train_the_cnn_all_copies_learn_or_choose_the_epoch(tmp_path):
    """Every defect twice, in files of other names: whatever half a pair is in, it is not divided again."""
    folder = tmp_path / "raw/disc"
    write_category(folder, seed=0, n_train=10, n_good=12, n_defective=24)
    for path in sorted((folder / "test/bar").glob("*.png")):
        (path.parent / f"again_{path.name}").write_bytes(path.read_bytes())
        mask = folder / f"ground_truth/bar/{path.stem}_mask.png"
        (mask.parent / f"again_{mask.name}").write_bytes(mask.read_bytes())
    prepare_category(folder, tmp_path / "prepared/disc", 64)
    labelled = train._labelled(prepared.load("disc", tmp_path / "prepared"), seed=0)
    learn, choose = for_weights_and_epoch(labelled.labels, labelled.originals)
    learnt, chosen = ({labelled.images[row].tobytes() for row in rows} for rows in (learn, choose))
    assert len(chosen) >= 3
    assert learnt & chosen == set()
