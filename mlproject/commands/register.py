"""`mlproject register`: finished trainings recorded in MLflow."""


def register() -> None:
    """Record every finished training in MLflow from its files; what is there already is left alone."""
    from mlproject.registry import record

    record.record_all()
