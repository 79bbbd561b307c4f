"""The commands of `mlproject`, one module each: its arguments and its output. Importing one is cheap."""
