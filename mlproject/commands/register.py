"""`mlproject register`: finished trainings recorded in MLflow."""


def register() -> None:
    """Record in MLflow, from its files, every finished result of what params.yaml names.

    For results that are already recorded, metrics, tags and descriptions are brought up to date.
    """
    from mlproject.registry import record

    record.record_all()
