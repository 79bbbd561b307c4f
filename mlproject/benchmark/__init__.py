"""Benchmark: categories × models × seeds, trained and evaluated alike, compared in one table."""
