"""MLflow runs: trainings streamed while they run, runs made from files, views that compare them.

Only this package and `registry` import mlflow, and inside functions: the import takes over a second. But for
`mlproject_file`, which MLflow's own command line loads.
"""
