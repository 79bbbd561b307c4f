"""Stage tune: what `mlproject tune` does, with all options as params.yaml has them."""

import os

from mlproject import stage
from mlproject.tuning import command


def main(category: str, model: str) -> None:
    """Find settings for one pair; write the tuned file, tuning.json and plots."""
    command.tune(category, model, storage=os.environ.get("MLPROJECT_STUDY_STORAGE"))


if __name__ == "__main__":
    stage.run(main)
