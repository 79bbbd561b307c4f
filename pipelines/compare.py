"""Stage compare: put every result side by side, in reports/comparison.* and on the terminal."""

from pathlib import Path

from rich.console import Console

from mlproject import artifacts, params, reports, stage
from mlproject.figures import comparison, drawing


def main() -> None:
    """Merge metrics.json of every category and detector with the categories' shortcuts.json."""
    categories, detectors = params.value("categories"), params.value("detectors")
    results = [
        artifacts.read_json(artifacts.report_folder(category, model) / "metrics.json")
        for category in categories
        for model in detectors
    ]
    shortcuts = {
        category: artifacts.read_json(artifacts.report_folder(category) / "shortcuts.json")
        for category in categories
    }
    rows = reports.merge(results, shortcuts)
    folder = Path("reports")
    artifacts.write_json(folder / "comparison.json", rows)
    artifacts.write_table(folder / "comparison.csv", reports.csv(rows))
    artifacts.write_text(folder / "comparison.md", reports.markdown(rows))
    drawing.save(comparison.comparison(rows), folder / "comparison.png")
    console = Console(highlight=False)
    plain = not console.is_terminal
    if plain:
        console = Console(highlight=False, width=reports.TERMINAL_WIDTH)
    console.print(reports.terminal(rows, plain=plain))


if __name__ == "__main__":
    stage.run(main)
