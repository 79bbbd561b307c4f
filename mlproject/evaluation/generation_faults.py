"""Faults of a generator in words, as quality.json records them; apart, since measuring them needs PyTorch."""

from collections.abc import Mapping
from typing import Any

# key in quality.json → what the generator has done
FAULTS = {
    "collapsed": "collapsed",
    "memorised": "memorised",
    "unlike": "made images unlike the training images",
}
NO_FAULT = "Found neither collapsed nor memorising nor unlike the training images."


def faults(quality: Mapping[str, Any]) -> dict[str, str]:
    """Return what the generator has done → why that is said; an older release may have left out a fault.

    >>> faults({"collapsed": True, "collapsed_because": "all the same", "memorised": False})
    {'collapsed': 'all the same'}
    """
    return {words: quality[f"{what}_because"] for what, words in FAULTS.items() if quality.get(what)}
