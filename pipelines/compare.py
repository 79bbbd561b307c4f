"""Stage compare: one table of all results, in reports/comparison.* and on the terminal."""

from typing import Any

from rich.console import Console

from mlproject.core import artifacts, files, params, script
from mlproject.core.tables import read_table, write_table
from mlproject.reports import comparison
from mlproject.reports.figures import comparison_chart, drawing


def main() -> None:
    """Merge the results of every category and detector with the categories' shortcuts.json."""
    categories, detectors = params.categories(), params.chosen("detectors")
    results = [_result(category, model) for category in categories for model in detectors]
    shortcuts = {
        category: files.read_json(artifacts.report_folder(category) / "shortcuts.json")
        for category in categories
    }
    scores = {
        (category, model): read_table(artifacts.report_folder(category, model) / "test_scores.csv")
        for category in categories
        for model in detectors
    }
    rows = comparison.merge(results, shortcuts, scores)
    folder = artifacts.REPORTS
    files.write_json(folder / "comparison.json", rows)
    write_table(folder / "comparison.csv", comparison.csv(rows))
    files.write_text(folder / "comparison.md", comparison.markdown(rows))
    drawing.save(comparison_chart.comparison(rows), folder / "comparison.png")
    console = Console(highlight=False)
    plain = not console.is_terminal
    if plain:
        console = Console(highlight=False, width=comparison.TERMINAL_WIDTH)
    console.print(comparison.terminal(rows, plain=plain))


def _result(category: str, model: str) -> dict[str, Any]:
    """Return metrics.json of a pair, and why it has learnt nothing by its training or its scores, if so."""
    training = files.read_json(artifacts.training_report(category, model), required=("not_learnt_because",))
    result: dict[str, Any] = files.read_json(artifacts.report_folder(category, model) / "metrics.json")
    return result | {
        "not_learnt_because": training["not_learnt_because"] or result["follows_shortcut"],
        "outside_weights": training.get("outside_weights"),
    }


if __name__ == "__main__":
    script.run(main)
