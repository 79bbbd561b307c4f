"""Measures computed from scores, maps and images: pure functions of arrays, no files."""
