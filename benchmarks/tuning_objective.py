"""How well a tuning's objective ranks settings: its rank correlation with the test AUROC.

    python benchmarks/tuning_objective.py bracket,weave pca,kd_cae --settings 20 --size 64 --epochs 12

For each category and model, settings are drawn evenly from the model's search space (Optuna's own draws crowd
together where the objective is high, which hides how the rest is ranked). Each is trained and evaluated as a
trial is, without pruning; the first are those of params.yaml. Reads data/prepared; opens the test set.
"""

import math
from typing import Annotated, Any

import numpy as np
import typer

from mlproject.core import params
from mlproject.core.errors import UserError
from mlproject.data import prepared
from mlproject.evaluation import metrics
from mlproject.models.components import search_space
from mlproject.models.components.search_space import Choice, Range, Value
from mlproject.training.run_options import RunOptions
from mlproject.tuning import data as tuning_data
from mlproject.tuning import plan as plans
from mlproject.tuning.objective import spearman, spearman_interval
from mlproject.tuning.plan import Plan


def main(
    categories: Annotated[str, typer.Argument(help="Names with commas between.")],
    models: Annotated[str, typer.Argument(help="Names with commas between.")],
    settings: Annotated[int, typer.Option(min=3, help="How many of each model are tried.")] = 20,
    size: Annotated[int | None, typer.Option(help="image_size, in place of params.yaml's.")] = None,
    epochs: Annotated[int | None, typer.Option(help="The most that one is trained.")] = None,
) -> None:
    """Print a line for each category and model, and the median."""
    print(
        "| category | model | settings | Spearman [95%] | test AUROC: params.yaml | chosen | median | best |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    found = []
    for category in categories.split(","):
        for model in models.split(","):
            values, aurocs = measure(plans.load(category, model, epochs=epochs), settings, size)
            correlation = spearman(values, aurocs)
            low, high = spearman_interval(values, aurocs, seed=0)
            if correlation is None or low is None:
                raise UserError(f"{category}, {model}: all settings are equally good.")
            found.append(correlation)
            shown = (aurocs[0], aurocs[values.argmax()], np.median(aurocs), aurocs.max())
            cells = [category, model, str(len(values)), f"{correlation:.2f} [{low:.2f}, {high:.2f}]"]
            print("|", " | ".join([*cells, *(f"{auroc:.3f}" for auroc in shown)]), "|", flush=True)
    print(f"\nMedian Spearman {np.median(found):.2f} of {len(found)}; lowest {min(found):.2f}")


def measure(plan: Plan, count: int, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the objective and the test AUROC (n,) of up to `count` settings, those of params.yaml first."""
    images, data = tuning_data.prepare(plan), prepared.load(plan.category)
    test = data.rows(split="test")
    labels = data.manifest["label"].to_numpy()[test]
    rng, threshold = np.random.default_rng(plan.tuning_seed), params.Threshold(**plan.threshold)
    plan.facts["settings"] |= {"image_size": size} if size else {}
    values, aurocs = [], []
    for number in range(count):
        drawn = search_space.draw(plan.space(), plan.facts["settings"], lambda _, domain: draw(domain, rng))
        chosen: dict[str, Any] = drawn if number else {}
        try:
            detector = plan.detector(chosen)
            detector.fit(images.train, images.validation, RunOptions(plan.facts["seed"]))
            rate = search_space.rate(chosen, threshold.false_alarm_rate)
            value = images.evaluate(detector, rate, threshold).value
        except UserError:  # as a trial fails whose settings make no model
            continue
        auroc = metrics.auroc(labels, detector.score(data.images[test]).scores)
        values.append(value)
        aurocs.append(math.nan if auroc is None else auroc)
    return np.array(values), np.array(aurocs)


def draw(domain: Range | Choice, rng: np.random.Generator) -> Value:
    """Return a value of the domain, each as likely as any other."""
    if isinstance(domain, Choice):
        return domain.options[int(rng.integers(len(domain.options)))]
    if domain.log:
        value = math.exp(rng.uniform(math.log(domain.low), math.log(domain.high)))
    else:
        value = rng.uniform(domain.low, domain.high)
    return round(value) if domain.integer else value


if __name__ == "__main__":
    typer.run(main)
