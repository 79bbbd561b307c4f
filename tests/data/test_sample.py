"""The built-in sample: whole, repeatable, exactly masked, and without shortcuts."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from mlproject.core.errors import UserError
from mlproject.data.sample import build, camera

DEFECTS = {
    "bracket": {"broken_edge", "dent", "missing_hole", "rust", "scratch"},
    "weave": {"hole", "pulled_thread", "stain"},
    "bolt": {"blunt_tip", "dirt", "head_scratch", "missing_ridge", "thread_nick"},
}


@pytest.fixture(scope="module", params=build.CATEGORIES)
def test_set(request):
    """Every test picture of a category, with (image, mask, twin) of each, and 24 training images."""
    todo = build.pictures(request.param, seed=0)
    train, test = todo[:24], [picture for picture in todo if picture.subset == "test"]
    drawn = [build.render(picture) for picture in train + test]
    return test, drawn[24:], np.stack([image for image, _, _ in drawn[:24]])


def few(category: str, seed: int = 0) -> list[build.Picture]:
    """The first two pictures of every folder."""
    return [picture for picture in build.pictures(category, seed) if picture.index < 2]


def write(target: Path, todo: list[build.Picture]) -> dict[str, bytes]:
    """Write the pictures and return every file's bytes by its path in the category."""
    with ThreadPoolExecutor(1) as pool:
        build.write_category(target, todo, pool)
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*.png")}


@pytest.mark.parametrize("category", build.CATEGORIES)
def test_a_category_has_enough_images_of_every_kind(category):
    todo = build.pictures(category, seed=0)
    count = Counter(picture.path.parent for picture in todo)
    expected = {Path(category, "train/good"): 200, Path(category, "test/good"): 30}
    expected |= {Path(category, "test", defect): 12 for defect in DEFECTS[category]}
    assert count == expected


@pytest.mark.parametrize("category", build.CATEGORIES)
def test_files_are_in_the_layout_of_mvtec(tmp_path, category):
    files = write(tmp_path / category, few(category))
    images = {f"train/good/00{i}.png" for i in range(2)} | {f"test/good/00{i}.png" for i in range(2)}
    images |= {f"test/{defect}/00{i}.png" for defect in DEFECTS[category] for i in range(2)}
    masks = {f"ground_truth/{defect}/00{i}_mask.png" for defect in DEFECTS[category] for i in range(2)}
    assert set(files) == images | masks
    for name, content in files.items():
        picture = Image.open(BytesIO(content))
        assert (picture.size, picture.mode) == ((256, 256), "L" if name in masks else "RGB")
        if name in masks:
            assert set(np.unique(np.asarray(picture))) == {0, 255}


def test_same_seed_gives_the_same_bytes_in_any_order_and_another_seed_others(tmp_path):
    todo = few("weave")[::2]
    first = write(tmp_path / "weave", todo)
    again = write(tmp_path / "weave", todo[::-1])
    other = write(tmp_path / "weave", few("weave", seed=1)[::2])
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_writing_replaces_the_category_and_leaves_nothing_else(tmp_path, monkeypatch):
    two = few("bracket")
    monkeypatch.setattr(build, "pictures", lambda category, seed: two)
    (tmp_path / "bracket/train/good").mkdir(parents=True)
    (tmp_path / "bracket/train/good/old.png").touch()
    (tmp_path / "bracket.00000000.part/left/by/a/killed/run").mkdir(parents=True)
    build.write_sample(tmp_path, ["bracket"], workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["bracket"]
    assert {path.name for path in (tmp_path / "bracket/train/good").iterdir()} == {"000.png", "001.png"}


def test_a_failure_half_way_leaves_what_was_there(tmp_path, monkeypatch):
    before = write(tmp_path / "bracket", few("bracket")[:1])

    def full_disk(pixels, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "_save", full_disk)
    with pytest.raises(UserError, match="the disk is full"):
        write(tmp_path / "bracket", few("bracket"))
    assert [path.name for path in tmp_path.iterdir()] == ["bracket"]
    after = {path.relative_to(tmp_path / "bracket").as_posix() for path in tmp_path.rglob("*.png")}
    assert after == set(before)


def test_an_unknown_category_names_the_nearest_and_writes_nothing(tmp_path):
    with pytest.raises(UserError, match=r"brackt is not known\. Did you mean bracket\?"):
        build.write_sample(tmp_path, ["weave", "brackt"])
    assert not list(tmp_path.iterdir())


def test_masks_hold_exactly_what_the_defect_changed(test_set):
    pictures, drawn, _ = test_set
    for picture, (image, mask, twin) in zip(pictures, drawn, strict=True):
        changed = (image != twin).any(axis=-1)
        assert not (changed & ~mask).any(), picture.path
        if picture.defect == "good":
            assert not mask.any()
        else:
            assert 0.0005 < mask.mean() < 0.1, picture.path
            assert changed[mask].mean() > 0.5, picture.path  # inside, a moved thread looks as it did


def test_defects_differ_in_size_down_to_a_few_pixels_and_each_can_be_seen(test_set):
    pictures, drawn, _ = test_set
    defective = [row for picture, row in zip(pictures, drawn, strict=True) if picture.defect != "good"]
    areas = np.sort([np.count_nonzero(mask) for _, mask, _ in defective])
    assert areas[0] < 100  # .15 % of the image
    assert areas[-6] > 5 * areas[5]
    assert min(np.abs(image.astype(int) - twin).max() for image, _, twin in defective) >= 16  # grey levels


def test_no_image_is_repeated(test_set):
    _, drawn, train = test_set
    everything = [image.tobytes() for image, _, _ in drawn] + [image.tobytes() for image in train]
    assert len(set(everything)) == len(everything)


def png_bytes(image: np.ndarray) -> int:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.tell()


def sharpness(image: np.ndarray) -> float:
    grey = image.mean(axis=-1)
    return float(sum((np.diff(grey, axis=axis) ** 2).mean() for axis in (0, 1)))


def test_no_simple_statistic_tells_good_from_defective(test_set):
    pictures, drawn, train = test_set
    defective = [picture.defect != "good" for picture in pictures]
    images = [image.astype(float) for image, _, _ in drawn]
    statistics = {
        "brightness": [image.mean() for image in images],
        "contrast": [image.std() for image in images],
        "sharpness": [sharpness(image) for image in images],
        "red": [image[..., 0].mean() for image in images],
        "green": [image[..., 1].mean() for image in images],
        "blue": [image[..., 2].mean() for image in images],
        "distance from usual brightness": [abs(image.mean() - train.mean()) for image in images],
        "file size": [png_bytes(image) for image, _, _ in drawn],
    }
    found = {name: float(roc_auc_score(defective, values)) for name, values in statistics.items()}
    assert all(0.35 < auroc < 0.65 for auroc in found.values()), found


def test_distance_to_the_mean_image_hardly_beats_chance(test_set):
    pictures, drawn, train = test_set
    mean = train.mean(axis=0)
    distances = [float(((image - mean) ** 2).mean()) for image, _, _ in drawn]
    assert roc_auc_score([picture.defect != "good" for picture in pictures], distances) < 0.7


def test_captures_are_even_over_a_folder():
    values = np.array([astuple(capture) for capture in camera.captures(12, np.random.default_rng(0))])
    low, high = (np.array(astuple(limit)) for limit in camera.LIMITS)
    twelfths = np.floor((values - low) / (high - low) * 12)
    assert (np.sort(twelfths, axis=0) == np.arange(12)[:, None]).all()
