"""Tuning: search for settings with which a model tells made defects apart best; alone imports optuna."""
