"""Numbers as messages write them."""

import math


def at_least(rate: float) -> str:
    """Write the least rate allowed with three decimals at most, rounded up: what is written is allowed.

    >>> at_least(1 / 8), at_least(1 / 14)
    ('0.125', '0.072')
    """
    return f"{math.ceil(round(rate * 1000, 9)) / 1000:g}"
