"""A project folder that studies can be made in: one small category, its detectors and a generator trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from conftest import ROOT
from PIL import Image

from mlproject import generators, models
from mlproject.commands.preset import presets
from mlproject.core import artifacts, files, params
from mlproject.core.tables import write_table
from mlproject.data.prepare import prepare_category
from mlproject.models.components.detector import Labelled
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training.run_options import RunOptions
from support.pipeline_project import draw

CATEGORY = "disc"
COUNTS = {"train/good": 40, "test/good": 12, "test/bar": 12, "test/spot": 5, "test/rare": 1}


def write_photos(folder: Path, counts: dict[str, int] = COUNTS) -> None:
    """Write discs in MVTec's layout: a bar, a spot or, once, something rare is the defect."""
    rng = np.random.default_rng(0)
    for part, count in counts.items():
        if not count:
            continue
        (folder / part).mkdir(parents=True)
        for i in range(count):
            image, _ = draw(rng, part == "test/bar")
            if part in ("test/spot", "test/rare"):
                row, column = rng.integers(20, 36, 2)
                image[row : row + 9, column : column + 9] = 0 if part == "test/spot" else 255
            Image.fromarray(image).save(folder / part / f"{i:03d}.png")


def write_params(**changes: Any) -> None:
    """Write params.yaml into the working directory, made small, with changes of its top level."""
    tree = yaml.load((ROOT / "params.yaml").read_text(), yaml.CSafeLoader)
    tree |= presets(ROOT / "params.yaml")["full"]
    tree |= {"categories": [CATEGORY], "detectors": ["kd_cae", "ni_cae", "pca"], "study_workers": 1}
    tree["training"] = {"device": "cpu", "precision": "float32", "processes": 1}
    tree["evaluate"]["bootstrap"] = 200
    small = {"image_size": 32, "epochs": 2, "patience": 2}
    tree["models"]["cnn"] |= {"filters": [8, 16], "hidden": 16, "jitter": 0}
    for settings in tree["models"].values():
        settings |= {name: value for name, value in small.items() if name in settings}
    tree["generators"]["dcgan"] |= {"filters": 2, "epochs": 1}
    own = {"image_size": None, "epochs": None, "patience": None}
    tree["studies"]["noise"] |= {"kinds": ["gaussian"], "variances": [0.05], **own}
    tree["studies"]["labels"] |= own | {"levels": [0, 2, 50], "filters": None, "hidden": None}
    tree["studies"]["generated"] |= {"cnn": own, "kd_cae": own}
    few = {"brightness": [0.9], "jpeg": [50], "shift": [2], "turn": [3]}
    tree["studies"]["light"] |= {"contrast": [], "shading": [], "blur": [], **few}
    tree["models"]["patch_kde"]["align"] = "none"  # of three discs, auto aligns some, which takes seconds
    tree["studies"]["samples"] |= {"detectors": ["pca"], "sizes": [5, 20, 500]}
    tree["studies"]["contamination"] |= {"detectors": ["pca"], "shares": [0.01, 0.05, 0.2, 0.4]}
    Path("params.yaml").write_text(yaml.safe_dump(tree | changes))


def edit_study(name: str, **changes: Any) -> None:
    """Change a study's section of params.yaml."""
    tree = yaml.load(Path("params.yaml").read_text(), yaml.CSafeLoader)
    tree["studies"][name] |= changes
    Path("params.yaml").write_text(yaml.dump(tree, Dumper=yaml.CSafeDumper))


def make(**changes: Any) -> None:
    """Write photos, params.yaml with changes, the prepared category, and what params.yaml lists, trained."""
    from pipelines import score

    write_params(**changes)
    write_photos(artifacts.RAW / CATEGORY)
    prepare_category(artifacts.RAW / CATEGORY, artifacts.PREPARED / CATEGORY, 64)
    inputs = StudyInputs.load(CATEGORY)
    images = inputs.data.images
    train, validation = (images[inputs.rows_of(role)] for role in ("train", "validation"))
    for name in inputs.detectors:
        detector = models.create(name, inputs.models[name])
        labelled = _pool(inputs) if detector.supervised else None
        detector.fit(train, validation, RunOptions(seed=inputs.seed), labelled)
        detector.calibrate(validation)
        detector.save(artifacts.model_folder(CATEGORY, name))
        nothing = pd.DataFrame(columns=["path", "score"])
        write_table(artifacts.out_of_fold_file(CATEGORY, name), nothing)
        files.write_json(artifacts.settings_file(CATEGORY, name), {"labels": None})
        files.write_json(artifacts.threshold_settings_file(CATEGORY, name), params.value("threshold"))
        score.main(CATEGORY, name)
    for name in inputs.generators:
        generator = generators.create(name, params.value(f"generators.{name}"))
        generator.fit(generator.prepare(train), RunOptions(seed=0))
        generator.save(artifacts.model_folder(CATEGORY, name))
        write_verdict(collapsed=None)


def _pool(inputs: StudyInputs) -> Labelled:
    rows = inputs.test[~inputs.held_out]
    return Labelled(inputs.data.images[rows], inputs.data.manifest["label"].to_numpy()[rows])


def write_verdict(collapsed: str | None, unlike: str | None = None) -> None:
    """Write what stage generate says of the generator."""
    said = {"collapsed": collapsed, "memorised": None, "unlike": unlike}
    verdict = {fault: bool(because) for fault, because in said.items()}
    content = {"verdict": verdict | {f"{fault}_because": because for fault, because in said.items()}}
    files.write_json(artifacts.training_folder(CATEGORY, "dcgan") / "run.json", content)
