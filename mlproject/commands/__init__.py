"""One file a command of `mlproject`: its arguments, and what it prints. Importing one is cheap."""
