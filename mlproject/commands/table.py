"""`mlproject table`: the comparison of all models, in the terminal."""


def table() -> None:
    """Print the comparison of all models that the last `dvc repro` made."""
    from rich.console import Console

    from mlproject.core import artifacts, files
    from mlproject.reports import comparison

    rows = files.read_json(artifacts.REPORTS / "comparison.json")
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=comparison.TERMINAL_WIDTH)
    console.print(comparison.terminal(rows, plain=not console.is_terminal))
