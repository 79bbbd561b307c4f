"""A clone of this project with two tiny categories, to run its pipeline for real."""

import compileall
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import yaml
from conftest import ROOT
from PIL import Image

from mlproject.commands.preset import presets
from support import fork_server

TINY = {"image_size": 32, "epochs": 2, "patience": 2}


def draw(rng, defective):
    """Return one 64 px grey photo of a disc, with a bright bar across it if defective, and the bar's mask."""
    y, x = np.mgrid[:64, :64]
    cx, cy = rng.normal(32, 1.5, 2)
    image = 60 + 120 * ((x - cx) ** 2 + (y - cy) ** 2 < 20**2) + rng.normal(0, 4, (64, 64))
    mask = np.zeros((64, 64), bool)
    if defective:
        row = int(rng.integers(20, 40))
        mask[row : row + 5, 20:44] = True
        image[mask] = 255
    return image.clip(0, 255).astype(np.uint8), mask


def write_category(folder, seed, n_train=40, n_good=6, n_defective=6, defect="bar"):
    """Write a category in MVTec's layout; `defect` names the folder of its bars."""
    rng = np.random.default_rng(seed)
    for part, count, defective in (
        ("train/good", n_train, False),
        ("test/good", n_good, False),
        (f"test/{defect}", n_defective, True),
    ):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            image, mask = draw(rng, defective)
            Image.fromarray(image).save(folder / part / f"{i:03d}.png")
            if defective:
                (folder / "ground_truth" / defect).mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask.astype(np.uint8) * 255).save(
                    folder / f"ground_truth/{defect}/{i:03d}_mask.png"
                )


class Project:
    """A clone in a folder of its own, with its own MLflow store, and what its `dvc repro` prints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split("\n")  # fmt: skip
        for name in filter(None, files):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        # Bytecode, valid as the files keep their times: to compile costs each clone's first commands seconds.
        compileall.compile_dir(ROOT / "mlproject", quiet=2)
        for compiled in (ROOT / "mlproject").rglob("__pycache__"):
            if (folder / compiled.parent.relative_to(ROOT)).is_dir():
                shutil.copytree(compiled, folder / compiled.relative_to(ROOT))
        # what a user's own results would be is not part of a fresh clone
        for leftover in ("dvc.lock", "reports"):
            path = folder / leftover
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for name, seed in (("disc", 0), ("plate", 1)):
            write_category(folder / "photos" / name, seed)
        self.edit(self._small)
        for command in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "clone"],
        ):
            self.call("git", *command)

    @staticmethod
    def _small(tree) -> None:
        tree |= presets(ROOT / "params.yaml")["full"]
        tree["data"] |= {"source": "folder", "path": "photos"}
        tree["categories"] = ["disc", "plate"]
        tree["prepare"]["image_size"] = 64
        tree["evaluate"]["bootstrap"] = 100
        tree["generators"]["dcgan"] |= {"image_size": 32, "filters": 2, "epochs": 2}
        tree["models"]["cnn"] |= {"filters": [4, 4], "hidden": 8}
        tree["models"]["anogan"] |= {"filters": 2}
        tree["study_workers"] = 1
        tree["studies"]["noise"] |= {
            "kinds": ["gaussian"],
            "variances": [0.05],
            "image_size": 32,
            "epochs": 1,
        }
        tree["studies"]["labels"] |= {"levels": [0, 1], "image_size": 32, "filters": [4, 4], "epochs": 1}
        for model in ("cnn", "kd_cae"):
            tree["studies"]["generated"][model] |= {"image_size": 32, "epochs": 1}
        for settings in tree["models"].values():
            settings |= {key: value for key, value in TINY.items() if key in settings}

    def edit(self, change) -> None:
        """Change params.yaml by a function of its tree."""
        path = self.folder / "params.yaml"
        tree = yaml.load(path.read_text(), yaml.CSafeLoader)
        change(tree)
        path.write_text(yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False))

    @property
    def environment(self) -> dict[str, str]:
        """Return the clone's own code first, one thread, no MLflow but its own.

        Python, `mlproject` and `dvc` are those of the fork server, which has torch and MLflow loaded.
        """
        own = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTHON"))}
        path = (str(fork_server.programs()), str(Path(sys.executable).parent), os.environ["PATH"])
        return own | {
            "PYTHONPATH": str(self.folder),
            "PATH": os.pathsep.join(path),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_NUM_THREADS": "1",
        }

    def call(self, *command, check=True, given="") -> str:
        """Run a command in the clone, with `given` as its input, and return all it printed."""
        result = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, check=False, input=given,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert not check or result.returncode == 0, f"{command}:\n{result.stdout[-5000:]}"
        return result.stdout

    def repro(self, *targets) -> set[str]:
        """Run `dvc repro` and return the stages that ran."""
        return set(re.findall(r"Running stage '([^']+)'", self.call("dvc", "repro", *targets)))

    def changed(self) -> set[str]:
        """Return the stages that `dvc repro` would run first: those of which a dependency has changed."""
        return set(json.loads(self.call("dvc", "status", "--json")))

    @contextmanager
    def edited(self, *names: str) -> Iterator[list[Path]]:
        """Yield files of the clone to change, and restore them afterwards."""
        paths = [self.folder / name for name in names]
        before = [path.read_bytes() for path in paths]
        try:
            yield paths
        finally:
            for path, content in zip(paths, before, strict=True):
                path.write_bytes(content)
