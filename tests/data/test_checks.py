"""Photos that cannot be decoded, or decode and are wrong, are found and numbered; good ones are not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlproject.data import checks
from mlproject.data.layout import read_layout

SIDE = 32
RNG = np.random.default_rng(0)


def photo(width: int = SIDE, height: int = SIDE) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), np.uint8))


def save(image: Image.Image, path: Path, **how: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)


def mask(share: float) -> Image.Image:
    marked = np.zeros((SIDE, SIDE), np.uint8)
    marked.ravel()[: round(share * SIDE * SIDE)] = 255
    return Image.fromarray(marked)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A category with nothing wrong."""
    category = tmp_path / "nut"
    for name in ("train/good/0", "train/good/1", "train/good/2", "test/good/0", "test/dent/0"):
        save(photo(), category / f"{name}.png")
    save(mask(0.1), category / "ground_truth/dent/0_mask.png")
    return category


def found(folder: Path) -> list[str]:
    return checks.summary(folder, checks.check_category(folder, read_layout(folder)))


def test_nothing_is_found_where_nothing_is_wrong(folder):
    save(Image.fromarray(RNG.integers(0, 65536, (SIDE, SIDE)).astype(np.uint16)), folder / "train/good/3.png")
    assert found(folder) == []


def test_twelve_bit_values_in_a_sixteen_bit_file_are_found(folder):
    values = RNG.integers(0, 4096, (SIDE, SIDE)).astype(np.uint16)
    save(Image.fromarray(values), folder / "train/good/1.png")
    (line,) = found(folder)
    assert "train/good/1.png" in line
    assert "uses only 17 of 256 grey levels" in line  # 4095 / 257 is 15.9: 0 to 16


@pytest.mark.parametrize(("share", "said"), [(0.0, "marks nothing (0 %)"), (0.98, "marks 98% of the image")])
def test_empty_and_inverted_masks_are_found(folder, share, said):
    save(mask(share), folder / "ground_truth/dent/0_mask.png")
    (line,) = found(folder)
    assert "ground_truth/dent/0_mask.png" in line
    assert said in line


def test_what_stage_prepare_will_refuse_is_found(folder):
    damaged = folder / "train/good/0.png"
    damaged.write_bytes(damaged.read_bytes()[:500])
    save(photo(), folder / "test/dent/1.png")
    save(Image.new("L", (9, 9), 255), folder / "ground_truth/dent/1_mask.png")
    of_mask, of_photo = sorted(found(folder))
    assert "1_mask.png: cannot be decoded (the mask is 9×9 pixels, its image 32×32" in of_mask
    assert "train/good/0.png: cannot be decoded (" in of_photo


def test_a_turned_photo_whose_mask_is_not_is_found(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(photo(), folder / "test/dent/0.png", exif=exif)
    (line,) = found(folder)
    assert "test/dent/0.png" in line
    assert "EXIF orientation 6" in line
    save(mask(0.1), folder / "ground_truth/dent/0_mask.png", exif=exif)
    assert found(folder) == []


def test_equal_training_photos_are_found(folder):
    same = photo()
    for number in range(3):
        save(same, folder / f"train/good/{number}.png")
    (line,) = found(folder)
    assert "train/good/0.png" in line
    assert "all 3 training photos are equal" in line


def test_an_image_that_is_there_twice_is_found_whatever_its_format(folder):
    Image.open(folder / "train/good/0.png").save(folder / "train/good/7.bmp")
    (line,) = found(folder)
    assert "train/good/7.bmp" in line
    assert "the same image as" in line
    assert "train/good/0.png" in line


def test_a_photo_that_was_saved_again_is_found(folder):
    for number in range(20, 30):
        save(photo().convert("L"), folder / f"train/good/{number}.png")
    Image.open(folder / "train/good/22.png").save(folder / "train/good/again.jpg", quality=95)
    (line,) = found(folder)
    assert "train/good/again.jpg" in line
    assert "is nearly the same image as" in line
    assert "train/good/22.png" in line
    assert "the two have one role" in line


@pytest.mark.parametrize(("width", "height"), [(1, 1), (300, 20), (SIDE * 9, SIDE * 9)])
def test_a_photo_of_another_shape_or_size_is_found(folder, width, height):
    save(photo(width, height), folder / "train/good/1.png")
    (line,) = found(folder)
    assert "train/good/1.png" in line
    assert f"is {width} × {height} pixels" in line


def test_of_many_alike_three_are_named_and_the_rest_counted(folder):
    for number in range(10, 15):
        save(photo(), folder / f"test/dent/{number}.png")
        save(mask(0.9), folder / f"ground_truth/dent/{number}_mask.png")
    lines = found(folder)
    assert len(lines) == 4
    assert "2 more files like that (inverted mask)" in lines[-1]
