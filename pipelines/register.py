"""Stage register: record in MLflow what it does not have yet: runs, models, versions. Changes no result."""

from mlproject import stage
from mlproject.tracking import record

if __name__ == "__main__":
    stage.run(record.record_all)
