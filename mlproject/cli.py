"""The command line `mlproject COMMAND`: one module of mlproject/commands/ for each command.

A command imports what it needs when it runs, so that `mlproject --help` is instant.
"""

import typer

from mlproject.commands import (
    benchmark,
    check,
    compare,
    doctor,
    export,
    extend,
    feedback,
    generate,
    inspect,
    plan,
    predict,
    preset,
    promote,
    register,
    rollback,
    run,
    table,
    tune,
    ui,
    verdicts,
    watch,
)
from mlproject.core import script

app = typer.Typer(
    help="Image anomaly detectors compared honestly. `make run` or `mlproject run` runs the pipeline.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run.run)
app.command()(doctor.doctor)
app.command()(check.check)
app.command()(table.table)
app.command()(register.register)
app.command()(generate.generate)
app.command()(preset.preset)
app.command()(promote.promote)
app.command()(rollback.rollback)
app.command()(compare.compare)
app.command()(benchmark.benchmark)
app.command()(tune.tune)
app.command()(predict.predict)
app.command()(watch.watch)
app.command()(verdicts.verdicts)
app.command()(feedback.feedback)
app.command()(extend.extend)
app.command()(export.export)
app.command()(inspect.inspect)
app.command()(plan.plan)
app.command()(ui.ui)


def main() -> None:
    """Run the command line; a UserError, or a fault of MLflow's store, is one line and exit code 2."""
    script.run(_run)


def _run(*arguments: str) -> None:
    try:
        app(list(arguments), prog_name="mlproject")
    except Exception as error:
        from mlproject.tracking import store_faults

        if told := store_faults.plain(error):
            raise told from None
        raise
