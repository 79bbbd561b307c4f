"""Facts of a trained generator that its run in MLflow shows: training, quality of its images, model."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from mlproject.core import artifacts, files
from mlproject.core.tables import read_table
from mlproject.tracking.facts import Facts, demand_one_run, files_hash, files_in, flatten, pictures_by_epoch


@dataclass(frozen=True)
class GeneratorFacts(Facts):
    """Facts of one (category, generator).

    Attributes:
        quality: quality.json.
    """

    stage: ClassVar[str] = "generate"
    image_key: ClassVar[str] = "generated"

    quality: dict[str, Any]

    @classmethod
    def read(cls, category: str, generator: str) -> Self:
        demand_one_run([f"prepare@{category}", f"generate@{category}-{generator}"])
        training = artifacts.training_folder(category, generator)
        report = artifacts.report_folder(category, generator)
        model = {
            f"model/{name}": path
            for name, path in files_in(artifacts.model_folder(category, generator)).items()
        }
        logged = {
            "training/run.json": training / "run.json",
            "training/history.csv": training / "history.csv",
            **{f"report/{name}": path for name, path in files_in(report).items()},
        }
        pictures = pictures_by_epoch(training / "grids")
        return cls(
            training=files.read_json(training / "run.json"),
            history=read_table(training / "history.csv"),
            quality=files.read_json(report / "quality.json"),
            files=logged | model,
            pictures=pictures,
            model_hash=files_hash(model),
            content_hash=files_hash(
                logged | model | {f"grids/{epoch}": path for epoch, path in pictures.items()}
            ),
        )

    def figures(self) -> dict[str, float]:
        """Return every number of the quality report and of the training, flat; verdicts as 0 or 1."""
        training = {
            f"training.{name}": self.training[name] for name in ("epochs", "seconds", "images_per_second")
        }
        values = flatten(self.quality) | training
        return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}

    def tags(self) -> dict[str, str]:
        """Add what the quality report says in words."""
        quality = flatten(self.quality)
        # None too: what an earlier report said must not stand
        said = {name: value or "" for name, value in quality.items() if isinstance(value, str | None)}
        return super().tags() | said | {"kind": "generator"}
