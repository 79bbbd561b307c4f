"""Numbers and times as messages write them."""

import math
import time


def at_least(rate: float) -> str:
    """Write the least rate allowed with three decimals at most, rounded up: what is written is allowed.

    >>> at_least(1 / 8), at_least(1 / 14)
    ('0.125', '0.072')
    """
    return f"{math.ceil(round(rate * 1000, 9)) / 1000:g}"


def counted(number: int, one: str, several: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "category", "categories"), counted(2, "category", "categories")
    ('1 category', '2 categories')
    """
    return f"{number} {one if number == 1 else several}"


def minute(seconds: float) -> str:
    """Write a time, given in seconds since 1970, in UTC: the same on every machine.

    >>> minute(0)
    '1970-01-01 00:00 UTC'
    """
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
