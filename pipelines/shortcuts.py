"""Stage shortcuts: how well trivial statistics separate one category's test images."""

from mlproject import artifacts, brightness, shortcuts, stage
from mlproject.data import prepared


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
    artifacts.write_json(artifacts.report_folder(category) / "shortcuts.json", probed)


if __name__ == "__main__":
    stage.run(main)
