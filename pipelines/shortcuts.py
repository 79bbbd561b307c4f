"""Stage shortcuts: AUROC of trivial image statistics on one category's test images."""

from mlproject.core import artifacts, files, script
from mlproject.data import prepared
from mlproject.evaluation import brightness, shortcuts


def main(category: str) -> None:
    """Write reports/…/<category>/shortcuts.json."""
    data = prepared.load(category)
    # The manifest lists train first: slices keep the arrays mapped, where chosen rows would be copied.
    n_train = len(data.rows(split="train"))
    test = data.manifest.iloc[n_train:]
    values = shortcuts.statistics(
        data.images[n_train:],
        widths=test["width"].to_numpy(),
        heights=test["height"].to_numpy(),
        file_sizes=test["bytes"].to_numpy(),
        training_brightness=brightness.mean_brightness(data.images[:n_train]),
    )
    probed = shortcuts.probe(values, test["label"].to_numpy())
    files.write_json(artifacts.report_folder(category) / "shortcuts.json", probed)


if __name__ == "__main__":
    script.run(main)
