"""MLflow as the record of what the files say: the only package of this project that imports mlflow.

`facts` reads the files, `store` finds the record, `live` streams a training as it runs, `runs` logs what
is missing, `registry` keeps one version a distinct model, `served_model` is what others load, `record`
does it all. mlflow is imported inside functions: that takes over a second.
"""
