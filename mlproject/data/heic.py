"""HEIC photos, as iPhones take them, through the optional package pillow-heif."""

from importlib.util import find_spec

SUFFIXES = (".heic", ".heif")
FORMAT = "HEIF"  # Pillow's name of it, once pillow-heif is registered
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
HINT = "HEIC needs pillow-heif: pip install '.[heic]', or save the photo as JPEG"


def is_heic(data: bytes) -> bool:
    """Say whether a file's content begins as HEIC does."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def register() -> bool:
    """Let Pillow open HEIC; return False where pillow-heif is not installed."""
    if find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    return True
