"""Stage shortcuts: AUROC of trivial image statistics on one category's test images."""

from mlproject.core import artifacts, files, script
from mlproject.data import prepared
from mlproject.evaluation import shortcuts


def main(category: str) -> None:
    """Write reports/…/<category>/shortcuts.json."""
    data = prepared.load(category)
    labels = data.manifest["label"].to_numpy()[data.rows(split="test")]
    probed = shortcuts.probe(shortcuts.of_test_images(data), labels)
    files.write_json(artifacts.report_folder(category) / "shortcuts.json", probed)


if __name__ == "__main__":
    script.run(main)
