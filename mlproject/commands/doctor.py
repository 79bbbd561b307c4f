"""`mlproject doctor`: what could be wrong with this machine or this clone, and the remedy."""

import typer


def doctor() -> None:
    """Check this machine and this clone; exit with 1 when something is wrong, and say how to fix it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mlproject.commands import doctor_checks

    marks = {True: Text("ok", "green"), None: Text("note", "yellow"), False: Text("WRONG", "bold red")}
    checks = doctor_checks.checks()
    shown = Table("", "check", "found", "remedy", box=None)
    for name, found in checks.items():
        shown.add_row(marks[found.ok], *map(Text, (name, found.detail, found.remedy)))
    Console().print(shown)
    if any(found.ok is False for found in checks.values()):
        raise typer.Exit(1)
