"""One image file → square 8-bit RGB pixels, by the same code for training images and served ones.

What becomes of a file: shown upright (EXIF orientation); what is transparent composited on
white, as a viewer shows it; 16 bits a channel scaled by 1/257, so that 65535 is 255; ICC profiles ignored.
Then resized to the square whatever its aspect, by Lanczos over a box reduction that keeps at least
twice the wanted size (3 times faster than Lanczos alone at 1024 → 256, 53 dB from it).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import (
    Image,
    ImageOps,
    TiffImagePlugin,  # noqa: F401  (or else Pillow's first TIFF imports all of its 40 formats)
)

from mlproject.core.errors import UserError, quoted
from mlproject.data import heic

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's own line between a big photo and a decompression bomb
_ORIENTATION = 0x0112
_PNG_START = b"\x89PNG\r\n\x1a\n"
_STARTS = (_PNG_START, b"\xff\xd8", b"BM", b"II*\0", b"MM\0*", b"RIFF")


class UndecodableImage(UserError):
    """Bytes that are no image of an allowed kind; the text is the reason alone."""

    def in_file(self, path: Path) -> UserError:
        """Return the error that names the file."""
        return UserError(
            f"{quoted(path)}: cannot be decoded ({self}). Nothing was written. Remove or replace it, then "
            "run again; with data.source: folder, the file below data.path that it is a copy of."
        )


def decode_bytes(data: bytes, size: int) -> np.ndarray:
    """Return the (size, size, 3) uint8 RGB pixels of an image file's content.

    Raises:
        UndecodableImage: empty, truncated, damaged, of another format or too large.
    """
    return fit(open_image(data)[0], size)


def fit_array(array: np.ndarray, size: int) -> np.ndarray:
    """Return (size, size, 3) uint8 RGB pixels of an image that is an array already.

    The pixels of an image file, given as an array, come out as `decode_bytes` gives them.

    Args:
        array: (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), uint8 or uint16; the fourth channel is alpha.

    Raises:
        UndecodableImage: another shape or type.
    """
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise UndecodableImage(f"an image is (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), not {array.shape}")
    if array.dtype not in (np.uint8, np.uint16):
        raise UndecodableImage(f"pixels must be uint8 or uint16, not {array.dtype}")
    eight_bit = array if array.dtype == np.uint8 else _from_16_bit(array)
    planes = eight_bit.reshape(array.shape[:2]) if channels == 1 else eight_bit
    return fit(_opaque(Image.fromarray(planes)), size)


def decode_mask(data: bytes, size: int, image_size: tuple[int, int]) -> np.ndarray:
    """Return a mask file's content as (size, size) uint8, by nearest neighbour.

    1 where any colour is above 0 (and, with an alpha channel, not transparent), else 0. A mark so small that
    nearest neighbour drops all of it is 1 in every pixel that it touches.

    Args:
        image_size: (width, height) of the image, which the mask must have too.

    Raises:
        UndecodableImage: no image, or not of that size.
    """
    image = _load(data)[0]
    if image.size != image_size:
        raise UndecodableImage(f"the mask is {_by(image.size)} pixels, its image {_by(image_size)}")
    with _decoding(data):
        if image.mode.startswith("I;16"):
            marked = np.asarray(image) > 0
        else:
            pixels = np.asarray(image.convert("RGBA"))
            marked = (pixels[..., :3].max(axis=2) > 0) & (pixels[..., 3] > 0)
    resized = Image.fromarray(marked).resize((size, size), Image.Resampling.NEAREST)
    small = np.array(resized, dtype=np.uint8)
    if marked.any() and not small.any():
        shares = Image.fromarray(marked.astype(np.float32)).resize((size, size), Image.Resampling.BOX)
        small = (np.asarray(shares) > 0).astype(np.uint8)
    return small


def open_image(data: bytes) -> tuple[Image.Image, str]:
    """Return the upright 8-bit image, grey (L) or RGB, and Pillow's name of the mode it had in the file.

    Raises:
        UndecodableImage: empty, truncated, damaged, of another format or too large.
    """
    image, mode = _load(data)
    with _decoding(data):
        return _opaque(_eight_bit(image)), mode


def orientation(data: bytes) -> int:
    """Return the EXIF orientation of an image file, 1 (upright) to 8; 1 where it has none."""
    with _decoding(data), Image.open(BytesIO(data), formats=_formats(data)) as image:
        return int(image.getexif().get(_ORIENTATION, 1))


def pixel_count(data: bytes) -> int:
    """Return how many pixels an image file says that it has; 0 if it cannot be read. Decodes none."""
    width, height = stated_size(data)
    return width * height


def stated_size(data: bytes) -> tuple[int, int]:
    """Return the width and height that an image file says that it has; 0, 0 if it cannot be read."""
    try:
        with Image.open(BytesIO(data), formats=_formats(data)) as image:
            return image.size
    except Image.DecompressionBombError:
        return MAX_PIXELS, 2  # where Pillow draws its line
    except Exception:  # noqa: BLE001  # unreadable, whatever its decoder raises
        return 0, 0


def _load(data: bytes) -> tuple[Image.Image, str]:
    """Return the upright image and its mode, for whatever an allowed file may hold."""
    with _decoding(data), Image.open(BytesIO(data), formats=_formats(data)) as image:
        _refuse(image)
        image.load()
        mode = image.mode
        if image.getexif().get(_ORIENTATION, 1) != 1:
            ImageOps.exif_transpose(image, in_place=True)
        return image, mode


@contextmanager
def _decoding(data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises on a file that is not what it says into that file's error."""
    try:
        yield
    except (UndecodableImage, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise UndecodableImage(f"more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # noqa: BLE001  # a decoder may raise anything
        raise UndecodableImage(_reason(data, error)) from None


def _formats(data: bytes) -> tuple[str, ...]:
    """Return Pillow's names of the formats that a file's content may have."""
    if not heic.is_heic(data):
        return FORMATS
    if not heic.register():
        raise UndecodableImage(heic.HINT)
    return (heic.FORMAT,)


def fit(image: Image.Image, size: int) -> np.ndarray:
    """Return an L or RGB image as (size, size, 3) uint8."""
    square = image.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.array(square.convert("RGB"))


def _refuse(image: Image.Image) -> None:
    """Refuse what would decode, but to something else than the one picture that a person sees."""
    if image.width * image.height > MAX_PIXELS:
        raise UndecodableImage(f"{_by(image.size)} pixels, more than {MAX_PIXELS:,}")
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format in ("TIFF", "PNG", "WEBP"):  # a phone's JPEG may hold a preview as well
        raise UndecodableImage(f"it holds {pictures} pictures, one is allowed")
    if image.mode in ("I", "F"):
        raise UndecodableImage("32 bits a pixel in one channel, 8 or 16 are allowed")


def _eight_bit(image: Image.Image) -> Image.Image:
    return Image.fromarray(_from_16_bit(np.asarray(image))) if image.mode.startswith("I;16") else image


def _from_16_bit(array: np.ndarray) -> np.ndarray:
    """Return round(array / 257) as uint8, in integers."""
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _opaque(image: Image.Image) -> Image.Image:
    """Return the image as L or RGB, what is transparent in it on white."""
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _reason(data: bytes, error: Exception) -> str:
    """Return why bytes did not decode, as exactly as the format tells."""
    if not data:
        return "the file is empty"
    if not data.startswith(_STARTS) and not heic.is_heic(data):
        return "it is no PNG, JPEG, BMP, TIFF, WebP or HEIC image"
    whole = _least_size(data)
    if whole > len(data):
        least = "" if data.startswith(b"BM") else "at least "
        return f"truncated after {len(data):,} of {least}{whole:,} bytes"
    if isinstance(error, Image.UnidentifiedImageError) or "truncated" in str(error).lower():
        return f"truncated or damaged, the file has {len(data):,} bytes"
    return f"damaged: {str(error) or type(error).__name__}"


def _least_size(data: bytes) -> int:
    """Return how many bytes the file must have by its own account, 0 where its format does not say."""
    if data.startswith(b"BM"):
        return int.from_bytes(data[2:6], "little")
    if not data.startswith(_PNG_START):
        return 0
    at = len(_PNG_START)
    while at + 8 <= len(data):
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        if name == b"IEND":
            return end
        at = end
    return at + 12  # what has begun, and the end mark
