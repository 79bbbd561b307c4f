"""Measures of scores: pure functions of arrays."""
