"""`mlproject register`: finished trainings recorded in MLflow."""


def register() -> None:
    """Record every finished training in MLflow from its files; recorded ones are left alone."""
    from mlproject.registry import record

    record.record_all()
