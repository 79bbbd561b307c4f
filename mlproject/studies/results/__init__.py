"""Conclusions of each study in words, from its tables."""
