"""Stage register: record in MLflow what it does not have yet: runs, models, versions. Changes no result."""

from mlproject.core import script
from mlproject.registry import record


def main() -> None:
    """Record every category and detector of params.yaml; needs no answer from MLflow to end well."""
    record.record_all()


if __name__ == "__main__":
    script.run(main)
