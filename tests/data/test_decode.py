"""One image file → pixels: every format and mode, and an exact word about what cannot be decoded."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mlproject.data.decode import UndecodableImage, decode_bytes, decode_mask, fit_array

SIDE = 32
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def encoded(image: Image.Image | np.ndarray, form: str = "PNG", **options) -> bytes:
    file = BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, form, **options)
    return file.getvalue()


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize(("pixels", "expected"), [(RGB, RGB), (GREY, three(GREY))], ids=["rgb", "grey"])
def test_lossless_formats_come_back_as_they_were(form, pixels, expected):
    assert np.array_equal(decode_bytes(encoded(pixels, form), SIDE), expected)


def test_jpeg_comes_back_nearly_as_it_was():
    smooth = np.asarray(Image.fromarray(RGB).resize((4, 4)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    difference = decode_bytes(encoded(smooth, "JPEG", quality=95), SIDE).astype(int) - smooth
    assert np.abs(difference).max() < 16


def test_palette_and_black_and_white_images_show_their_colours():
    palette = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(decode_bytes(encoded(palette), SIDE), np.asarray(palette.convert("RGB")))
    two = Image.fromarray(GREY > 99)
    assert np.array_equal(decode_bytes(encoded(two), SIDE), three(np.where(GREY > 99, 255, 0)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_is_shown_on_white(mode):
    image = Image.fromarray(RGB).convert("L").convert(mode)
    opaque = np.asarray(image.convert("RGB"))
    image.putalpha(
        Image.fromarray(np.where(np.arange(SIDE) < 8, 0, 255).astype(np.uint8)[None].repeat(SIDE, 0))
    )
    decoded = decode_bytes(encoded(image, "TIFF" if mode == "PA" else "PNG"), SIDE)
    assert (decoded[:, :8] == 255).all()
    assert np.array_equal(decoded[:, 8:], opaque[:, 8:])


def test_a_transparent_colour_is_white_too():
    flat = np.full((SIDE, SIDE, 3), (1, 2, 3), dtype=np.uint8)
    assert (decode_bytes(encoded(flat, transparency=(1, 2, 3)), SIDE) == 255).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_so_that_65535_is_255(form):
    deep = np.linspace(0, 65535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE)
    decoded = decode_bytes(encoded(deep, form), SIDE)
    assert np.array_equal(decoded, three(np.rint(deep / 257).astype(np.uint8)))


def test_big_endian_sixteen_bit_tiff_is_read_as_such():
    deep = np.linspace(0, 65535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE)
    image = Image.frombytes("I;16B", (SIDE, SIDE), deep.astype(">u2").tobytes())
    expected = three(np.rint(deep / 257).astype(np.uint8))
    assert np.array_equal(decode_bytes(encoded(image, "TIFF"), SIDE), expected)


def test_sixteen_bit_colour_keeps_its_brightness():
    deep = RNG.integers(0, 65536, (SIDE, SIDE, 3)).astype(np.uint16)
    data = png(SIDE, SIDE, 16, 2, b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep))
    assert np.abs(decode_bytes(data, SIDE) - np.rint(deep / 257)).max() <= 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_honoured(form, orientation, turned):
    half_dark = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    half_dark[: SIDE // 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_bytes(encoded(half_dark, form, exif=exif), SIDE)
    assert np.array_equal(decoded > 127, np.rot90(half_dark, turned) > 127)


def test_images_of_any_shape_become_the_square():
    wide = np.full((10, 301, 3), 77, dtype=np.uint8)
    assert (decode_bytes(encoded(wide), 16) == np.full((16, 16, 3), 77)).all()


@pytest.mark.parametrize(
    "pixels",
    [RGB, GREY, np.dstack([RGB, GREY]), GREY.astype(np.uint16) * 200],
    ids=["rgb", "grey", "rgba", "deep"],
)
def test_an_array_comes_out_as_the_file_that_holds_it(pixels):
    large = pixels.repeat(7, axis=0).repeat(5, axis=1)
    assert np.array_equal(fit_array(large, 16), decode_bytes(encoded(large), 16))


def test_an_array_with_one_channel_is_grey():
    assert np.array_equal(fit_array(GREY[..., None], SIDE), three(GREY))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"not \(4, 4, 2\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"not \(1, 4, 4, 3\)"),
        (np.zeros((0, 4), np.uint8), r"not \(0, 4\)"),
        (np.zeros((4, 4)), "not float64"),
    ],
)
def test_other_arrays_are_refused(array, said):
    with pytest.raises(UndecodableImage, match=said):
        fit_array(array, 16)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "^the file is empty$"),
        (b"not an image at all", "^it is no PNG, JPEG, BMP, TIFF, WebP or HEIC image$"),
        (encoded(RGB, "GIF"), "^it is no PNG, JPEG, BMP, TIFF, WebP or HEIC image$"),
        (encoded(RGB, "BMP")[:2000], r"^truncated after 2,000 of 3,126 bytes$"),
        (encoded(RGB)[:2000], rf"^truncated after 2,000 of at least {len(encoded(RGB)):,} bytes$"),
        (encoded(RGB)[:20], "^truncated after 20 of at least"),
        (encoded(RGB, "JPEG")[:900], "^truncated or damaged, the file has 900 bytes$"),
        (encoded(RGB, "TIFF")[:1500], "^truncated or damaged, the file has 1,500 bytes$"),
        (png(SIDE, SIDE, 8, 2, b"too few rows"), "^truncated or damaged"),
        (png(60_000, 60_000, 8, 2, b""), "more than 89,478,485"),
        (encoded(GREY.astype(np.float32), "TIFF"), "32 bits"),
        (encoded(RGB, "TIFF", save_all=True, append_images=[Image.fromarray(RGB)]), "it holds 2 pictures"),
    ],
    ids=[
        "empty",
        "text",
        "gif",
        "bmp",
        "png",
        "png_header",
        "jpeg",
        "tiff",
        "few_rows",
        "bomb",
        "float",
        "pages",
    ],
)
def test_what_cannot_be_decoded_is_told_as_exactly_as_the_format_allows(data, said):
    with pytest.raises(UndecodableImage, match=said):
        decode_bytes(data, SIDE)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_that_pillow_would_only_warn_about_is_refused_before_it_unfolds():
    with pytest.raises(UndecodableImage, match="11000×11000 pixels, more than 89,478,485"):
        decode_bytes(png(11_000, 11_000, 8, 2, b""), SIDE)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_flipping_any_byte_of_a_file_never_ends_in_another_kind_of_error():
    for form in ("PNG", "JPEG", "BMP", "TIFF"):
        data = bytearray(encoded(RGB, form))
        for at in range(0, len(data), max(1, len(data) // 150)):
            broken = data.copy()
            broken[at] ^= 0xFF
            try:
                assert decode_bytes(bytes(broken), SIDE).shape == (SIDE, SIDE, 3)
            except UndecodableImage as error:
                assert str(error)


MARKED = (GREY > 128).astype(np.uint8)


@pytest.mark.parametrize(
    "mask",
    [
        Image.fromarray(MARKED * 255),
        Image.fromarray(MARKED),
        Image.fromarray(MARKED.astype(bool)),
        Image.fromarray(MARKED.astype(np.uint16)),
        Image.fromarray(np.dstack([MARKED * 255, MARKED * 0, MARKED * 0])),
        Image.fromarray(np.dstack([RGB | 1, MARKED * 255])),
    ],
    ids=["grey", "ones", "bits", "deep", "colour", "alpha"],
)
def test_masks_mark_whatever_is_not_black(mask):
    decoded = decode_mask(encoded(mask), SIDE, (SIDE, SIDE))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, MARKED)


def test_masks_stay_sharp_when_they_shrink():
    decoded = decode_mask(encoded(MARKED.repeat(4, 0).repeat(4, 1) * 255), SIDE, (4 * SIDE, 4 * SIDE))
    assert np.array_equal(decoded, MARKED)


@pytest.mark.parametrize("mark", [1, 2, 3, 5])
def test_a_small_mark_does_not_vanish_when_its_mask_shrinks(mark):
    for place in range(40):
        mask = np.zeros((16 * SIDE, 16 * SIDE), dtype=np.uint8)
        mask[place : place + mark, 3 * place : 3 * place + mark] = 255
        rows, columns = decode_mask(encoded(mask), SIDE, mask.shape).nonzero()
        assert 1 <= len(rows) <= 4
        assert {place // 16, (place + mark - 1) // 16} >= {*rows}
        assert {3 * place // 16, (3 * place + mark - 1) // 16} >= {*columns}


def test_a_mask_of_another_size_than_its_image_is_refused():
    with pytest.raises(UndecodableImage, match="the mask is 32×32 pixels, its image 64×32"):
        decode_mask(encoded(GREY), SIDE, (64, 32))


def test_whatever_a_decoder_raises_is_that_files_error():
    """Pillow converts a paletted PNG that has no palette by an assertion that fails."""
    whole = encoded(Image.new("P", (8, 8)), "PNG")
    start = whole.index(b"PLTE") - 4
    length = int.from_bytes(whole[start : start + 4], "big")
    without = whole[:start] + whole[start + 12 + length :]
    with pytest.raises(UndecodableImage, match="damaged: AssertionError"):
        decode_bytes(without, 8)
