"""Building blocks of the detectors."""
