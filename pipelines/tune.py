"""Stage tune: what `mlproject tune` does, with all options as params.yaml has them."""

import os

from mlproject.core import script
from mlproject.tuning import run


def main(category: str, model: str) -> None:
    """Find settings for one pair; write the tuned file, tuning.json and plots."""
    run.tune(category, model, storage=os.environ.get("MLPROJECT_STUDY_STORAGE"))


if __name__ == "__main__":
    script.run(main)
