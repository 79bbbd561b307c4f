"""Facts of one (category, generator), read from its files: as `facts.Facts`, without scores."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd

from mlproject.core import artifacts, files
from mlproject.tracking import facts as lineage


@dataclass(frozen=True)
class GeneratorFacts:
    """All that the record tells of one (category, generator), read from its files.

    Attributes:
        training: run.json.
        history: column epoch, and one for each loss.
        quality: quality.json.
        files: artifact path → file, what is logged as it is.
        strips: epoch → grid of images made from the same z.
        model_hash: sha256 over the model folder.
        content_hash: sha256 over the model and everything above.
    """

    stage: ClassVar[str] = "generate"
    image_key: ClassVar[str] = "generated"

    training: dict[str, Any]
    history: pd.DataFrame
    quality: dict[str, Any]
    files: dict[str, Path]
    strips: dict[int, Path]
    model_hash: str
    content_hash: str

    @classmethod
    def read(cls, category: str, generator: str) -> Self:
        """Read them.

        Raises:
            UserError: a file is missing; names the command that makes it.
        """
        training = artifacts.training_folder(category, generator)
        report = artifacts.report_folder(category, generator)
        model = {
            f"model/{name}": path
            for name, path in lineage.files_in(artifacts.model_folder(category, generator)).items()
        }
        logged = {
            "training/run.json": training / "run.json",
            "training/history.csv": training / "history.csv",
            **{f"report/{name}": path for name, path in lineage.files_in(report).items()},
        }
        strips = lineage.pictures_by_epoch(training / "grids")
        return cls(
            training=files.read_json(training / "run.json"),
            history=files.read_table(training / "history.csv"),
            quality=files.read_json(report / "quality.json"),
            files=logged | model,
            strips=strips,
            model_hash=lineage.files_hash(model),
            content_hash=lineage.files_hash(
                logged | model | {f"grids/{epoch}": path for epoch, path in strips.items()}
            ),
        )

    def figures(self) -> dict[str, float]:
        """Return every number of the quality report and of the training, flat; verdicts as 0 or 1."""
        training = {
            f"training.{name}": self.training[name] for name in ("epochs", "seconds", "images_per_second")
        }
        values = lineage.flatten(self.quality) | training
        return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}

    def tags(self) -> dict[str, str]:
        """Return what is no number."""
        quality = lineage.flatten(self.quality)
        # None too: what an earlier report said must not stand
        said = {name: value or "" for name, value in quality.items() if isinstance(value, str | None)}
        versions = {f"version.{name}": version for name, version in self.training["versions"].items()}
        return said | versions | {"kind": "generator", "threads": str(self.training["threads"])}
