"""Studies: look for settings with which made defects are told apart best. The only importer of optuna."""
