"""Stage ingest: bring all categories' images to data/raw; a downloaded archive stays in data/download."""

from mlproject.core import artifacts, params, script
from mlproject.data.ingest import ingest


def main() -> None:
    """Write data/raw/<category>/… from the source that params.yaml names."""
    data = params.load("data", params.Data)
    for name, entries in ingest(data, params.categories(), artifacts.RAW, artifacts.DOWNLOAD).items():
        n_train = sum(entry.split == "train" for entry in entries)
        n_defective = sum(entry.label for entry in entries)
        n_good = len(entries) - n_train - n_defective
        print(f"{name}: {n_train} images to train on, {n_good} good and {n_defective} defective to test on")


if __name__ == "__main__":
    script.run(main)
