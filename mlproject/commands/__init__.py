"""The commands of `mlproject`, one module each: its arguments and its output. Importing one is cheap.

`doctor_checks` and `doctor_stores` are no commands: they hold the checks of `doctor`.
"""
