"""MLflow runs: trainings streamed while they run, runs made from files, views that compare them.

Only this package and `registry` import mlflow, and inside functions: the import takes over a second. Three
modules import it at the top, as they are loaded where MLflow runs already, or must: `mlproject_file`, which
MLflow's own command line loads, and of `registry` `served_model`, part of a served version, and `probe`, a
script that loads one.
"""
