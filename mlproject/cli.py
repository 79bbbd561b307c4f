"""The command line: `mlproject COMMAND`. Each command imports what it needs, so that --help is instant."""

from pathlib import Path
from typing import Annotated

import typer

from mlproject.commands import compare, export, inspect, predict, promote, rollback, tune
from mlproject.core import script
from mlproject.core.errors import UserError

app = typer.Typer(
    help="Image anomaly detectors compared honestly. `dvc repro` or `make run` runs the pipeline.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def doctor() -> None:
    """Check this machine and this clone; exit with 1 when something is wrong, and say how to mend it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mlproject.commands import doctor as health

    marks = {True: Text("ok", "green"), None: Text("note", "yellow"), False: Text("WRONG", "bold red")}
    checks = health.checks()
    shown = Table("", "check", "found", "remedy", box=None)
    for check in checks:
        shown.add_row(marks[check.ok], *map(Text, (check.name, check.detail, check.remedy)))
    Console().print(shown)
    if any(check.ok is False for check in checks):
        raise typer.Exit(1)


@app.command()
def table() -> None:
    """Print the comparison of all models that the last `dvc repro` made."""
    from rich.console import Console

    from mlproject.core import files
    from mlproject.reports import comparison

    rows = files.read_json(Path("reports/comparison.json"))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=comparison.TERMINAL_WIDTH)
    console.print(comparison.terminal(rows, plain=not console.is_terminal))


@app.command()
def register() -> None:
    """Record every finished training in MLflow from its files; what is there already is left alone."""
    from mlproject.registry import record

    record.record_all()


@app.command()
def generate(
    category: Annotated[str, typer.Argument(help="A category whose generator `dvc repro` has trained.")],
    out: Annotated[Path, typer.Argument(help="A new folder for the images.")],
    generator: Annotated[str, typer.Option(help="A generator of params.yaml.")] = "dcgan",
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other images.")] = 0,
) -> None:
    """Write images that a trained generator makes, as PNG files, all of them or none."""
    from mlproject import generators
    from mlproject.commands import generate as generated_images
    from mlproject.core import artifacts

    generated_images.write(generators.load(artifacts.model_folder(category, generator)), count, out, seed)
    typer.echo(f"{count} images in {out}")


@app.command()
def preset(
    name: Annotated[str | None, typer.Argument(help="Preset in params.yaml, such as paper.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Only say which presets there are.")] = False,
) -> None:
    """Copy a preset's values over the active ones in params.yaml; comments stay."""
    from mlproject.commands import preset as presets

    if list_:
        typer.echo("\n".join(presets.names()))
        return
    if name is None:
        raise UserError(f"Which preset? There are: {', '.join(presets.names()) or '(none)'}")
    changes = presets.apply(name)
    for change in changes:
        typer.echo(str(change))
    typer.echo(f"{len(changes)} settings changed. Next: dvc repro" if changes else "Nothing to change.")


app.command()(promote.promote)
app.command()(rollback.rollback)
app.command()(compare.compare)
app.command()(tune.tune)
app.command()(predict.predict)
app.command()(export.export)
app.command()(inspect.inspect)


def main() -> None:
    """Run the command line; a UserError is printed as text alone and exits with 2."""
    script.run(lambda *arguments: app(list(arguments), prog_name="mlproject"))
