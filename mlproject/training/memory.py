"""Memory that a photo or a training step takes and frees stays with the process, for the next one."""

import ctypes
import sys

# glibc's names of what `mallopt` sets
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4


def keep_between_photos() -> None:
    """Let glibc keep freed arrays of up to 32 MB, the most that it allows, up to 128 MB in all.

    To score a photo takes and frees tens of arrays of up to some MB, and the system clears memory that is
    fresh each time.
    """
    set_option(MMAP_THRESHOLD, 32 * 2**20)
    set_option(TRIM_THRESHOLD, 128 * 2**20)


def keep_between_steps() -> None:
    """Let glibc keep freed memory, up to 2 GiB; nothing with another C library.

    Layers of large images are arrays of tens of MB. By default the system gives each of them as fresh memory,
    which it clears first, in each step.
    """
    set_option(MMAP_MAX, 0)
    set_option(TRIM_THRESHOLD, 2**31 - 1)


def set_option(option: int, value: int) -> None:
    """Set an option of glibc's memory allocation, by the number that malloc.h gives it."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(option, value)
