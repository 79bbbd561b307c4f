"""`mlproject check`: look for faults in the photos before anything is trained."""

import typer


def check() -> None:
    """Look for faults in the photos: masks, grey levels, sizes. Exit with 1 if something was found."""
    from mlproject.core import artifacts, params
    from mlproject.data import checks
    from mlproject.data.ingest import checked_categories, source_folder
    from mlproject.data.layout import find_category, read_layout

    data = params.load("data", params.Data)
    root = source_folder(data) if data.source == "folder" else artifacts.RAW
    found = 0
    for name in checked_categories(params.value("categories")):
        folder = find_category(root, name)
        entries = read_layout(folder)
        lines = checks.summary(folder, checks.check_category(folder, entries))
        found += len(lines)
        typer.echo("\n".join([*lines, f"{name}: {len(entries)} images checked"]))
    if found:
        raise typer.Exit(1)
