"""Photos of a folder: each is scored or named, whatever else lies there."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mlproject.data import heic, photos


def picture(side: int = 20) -> Image.Image:
    pixels = np.arange(side * side * 3, dtype=np.uint32).reshape(side, side, 3) * 7 % 256
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "locked").mkdir(parents=True)
    picture().save(folder / "a.png")
    picture().save(folder / "b.webp", lossless=True)
    (folder / "d.png").symlink_to("nowhere.png")
    (tmp_path / "elsewhere").mkdir()
    picture().save(tmp_path / "elsewhere/e.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    for name in ("notes.TXT", "more.txt", "README", ".DS_Store"):
        (folder / name).write_text("no photo")
    return folder


@pytest.fixture
def locked(folder, monkeypatch) -> None:
    """Let reading the folder `locked` fail as for whoever lacks the permission; root, as in CI, has it."""
    scandir = os.scandir

    def refuse(path="."):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def errors_of(paths) -> dict[str, str]:
    return {photo.path.name: photo.error for photo in photos.decoded(paths, 16)}


def test_every_photo_is_decoded_or_named_and_the_rest_is_counted(folder, locked):
    paths, others = photos.find([folder])
    assert errors_of(paths) == {
        "a.png": "",
        "b.webp": "",
        "d.png": "the link leads nowhere",
        "linked": "a link to a folder is not followed: name the folder itself",
        "locked": "cannot be read (Permission denied)",
    }
    assert others == {".txt": 2, "without an ending": 1, "hidden": 1}


def test_webp_comes_back_as_png_does(folder):
    first, second = photos.decoded([folder / "a.png", folder / "b.webp"], 16, picture_side=20)
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.picture, second.picture)


def heic_file(path: Path) -> Path:
    pytest.importorskip("pillow_heif")
    heic.register()
    smooth = picture(4).resize((64, 64), Image.Resampling.BICUBIC)
    smooth.save(path, format="HEIF", quality=95)
    smooth.save(path.with_suffix(".png"))
    return path


def test_heic_comes_back_nearly_as_it_was(tmp_path):
    path = heic_file(tmp_path / "c.HEIC")
    assert path in photos.find([tmp_path]).paths
    first, second = photos.decoded([path, path.with_suffix(".png")], 32)
    assert np.abs(first.pixels.astype(int) - second.pixels).mean() < 8


def test_damaged_heic_is_named(tmp_path):
    path = heic_file(tmp_path / "c.heic")
    path.write_bytes(path.read_bytes()[:-40])
    assert errors_of([path])["c.heic"].startswith("damaged: ")


def test_heic_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x1cftypheic" + b"\0" * 100)
    monkeypatch.setattr(heic, "find_spec", lambda name: None)
    assert "pip install '.[heic]'" in errors_of(photos.find([tmp_path]).paths)["c.heic"]


def test_only_regular_files_of_a_photos_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(30_000_000_000)
    picture().save(tmp_path / "z.png")
    assert errors_of(photos.find([tmp_path]).paths) == {
        "fifo.png": "it is not a regular file",
        "sparse.png": "it has 30,000,000,000 bytes, 300,000,000 are allowed",
        "z.png": "",
    }


@pytest.mark.parametrize("error", [AssertionError("no palette"), RecursionError(), MemoryError()])
def test_whatever_a_decoder_raises_is_that_photos_error(tmp_path, monkeypatch, error):
    for name in ("a.png", "b.png", "c.png"):
        picture().save(tmp_path / name)
    fit = photos.fit

    def failing(image, size):
        if image.info.get("broken"):
            raise error
        return fit(image, size)

    monkeypatch.setattr(photos, "fit", failing)
    marked = Image.open(tmp_path / "b.png")
    info = PngInfo()
    info.add_text("broken", "yes")
    marked.save(tmp_path / "b.png", pnginfo=info)
    found = errors_of(photos.find([tmp_path]).paths)
    assert found["a.png"] == found["c.png"] == ""
    assert found["b.png"].startswith(f"cannot be decoded ({type(error).__name__}")


def paletted_png_without_a_palette() -> bytes:
    file = BytesIO()
    picture().quantize(8).save(file, format="PNG")
    data = file.getvalue()
    start = data.index(b"PLTE") - 4
    return data[:start] + data[start + 12 + int.from_bytes(data[start : start + 4], "big") :]


def test_a_paletted_png_without_its_palette_stops_no_other(tmp_path):
    (tmp_path / "a.png").write_bytes(paletted_png_without_a_palette())
    picture().save(tmp_path / "b.png")
    found = errors_of(photos.find([tmp_path]).paths)
    assert found["a.png"]
    assert found["b.png"] == ""
