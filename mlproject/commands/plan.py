"""`mlproject plan`: how many good images a false-alarm rate needs."""

from typing import Annotated

import typer

from mlproject.core.errors import UserError

RAREST = 1e-6  # false-alarm rate: it needs three million photos


def plan(
    false_alarms: Annotated[float, typer.Option(help="Share of good images that may be called defective.")],
    confidence: Annotated[float, typer.Option(help="How sure that share must be kept.")] = 0.95,
) -> None:
    """Say how many good calibration images bound a false-alarm rate with a confidence."""
    for name, value in (("--false-alarms", false_alarms), ("--confidence", confidence)):
        if not 0 < value < 1:
            raise UserError(f"{name} {value:g}: it must lie between 0 and 1, such as 0.05")
    if false_alarms < RAREST:
        raise UserError(f"--false-alarms {false_alarms:g}: needs too many photos. Allowed: from {RAREST:g}")
    from mlproject.evaluation import thresholds, tolerance

    needed = [tolerance.images_needed(false_alarms, confidence, above) for above in range(3)]
    typer.echo(
        f"To keep false alarms at {false_alarms:g} or below with confidence {confidence!r}, calibrate on "
        f"{needed[0]} good images or more.\n"
        f"  {needed[0]} images: the threshold is the largest of their scores\n"
        f"  {needed[1]} images: the second largest, so more defects are found\n"
        f"  {needed[2]} images: the third largest\n"
        f"To apply this, set threshold.confidence: {confidence!r} in params.yaml."
    )
    average = thresholds.images_for_average(false_alarms)
    exceeded = 1 - tolerance.confidence_of(average, false_alarms)
    typer.echo(
        f"Without it (null), {average} images suffice, and {false_alarms:g} is kept on average only: "
        f"with so many, the true rate is above it in {exceeded:.0%} of cases."
    )
