"""Measures computed from scores, maps and images; nothing here reads or writes files.

Most are functions of arrays. `thresholds` and `out_of_fold` also run detectors, and `shortcuts` takes a
prepared category.
"""
