"""Fixtures that more than one test file uses."""

import fcntl
import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Before torch is imported: one thread a worker. Two workers with two threads each wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
MVTEC = Path(os.environ.get("MVTEC_ROOT", ROOT / "../shared/mvtec")).resolve()


# Files of many minutes, begun first: a worker that begins one last leaves the others idle.
COSTLY = (
    *(
        "test_console_blocks.py",
        "test_workers.py",
        "test_tuned_pipeline.py",
        "test_pipeline.py",
        "test_drills.py",
        "test_shared_services.py",
    ),
    *("test_stages.py", "test_models.py", "test_killed_training.py", "test_onnx_export.py"),
)

# What runs pipelines, servers, browsers or MLflow, or trains networks: `make test-fast` leaves it out.
SLOW = (
    "benchmark/test_benchmark.py",
    "docs/test_console_blocks.py",
    "engines/test_ray_cluster.py",
    "data/test_sample.py",
    "docs/test_site.py",
    "generators",
    "inference",
    "production",
    "models/test_anogan.py",
    "models/test_cnn.py",
    "models/test_models.py",
    "models/test_real_images.py",
    "pipelines/test_pipeline.py",
    "pipelines/test_roles_in_stages.py",
    "pipelines/test_stages.py",
    "registry",
    "studies/test_studies.py",
    "tracking",
    "training/test_data_parallel.py",
    "training/test_killed_training.py",
    "tuning",
    "commands/test_compare.py",
    "commands/test_run.py",
    "commands/test_ui.py",
    "core/test_drills.py",
    "core/test_two_at_once.py",
    "test_speed.py",
    "data/test_ascii_locale.py",
    "evaluation/test_generation_quality.py",
    "evaluation/test_out_of_fold.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by file, the costly files first; mark the slow ones."""
    items.sort(key=lambda item: COSTLY.index(item.path.name) if item.path.name in COSTLY else len(COSTLY))
    slow = [ROOT / "tests" / name for name in SLOW]
    for item in items:
        if any(item.path.is_relative_to(place) for place in slow):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Spare the collector all that was imported, and let it look seldom: a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_unconfigure() -> None:
    """Give all back to the collector: else libraries report at the end what they take for leaks."""
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="module")
def same_import_path() -> Iterator[None]:
    """Undo what MLflow does on loading a model: it puts the model's own copy of this code first."""
    before = sys.path.copy()
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def real_mvtec() -> Path:
    """Folder with real MVTec AD categories; tests that need it skip where it is absent."""
    if not (MVTEC / "bottle/train/good").is_dir():
        pytest.skip("real MVTec AD images are absent: set MVTEC_ROOT to a folder that holds bottle/")
    return MVTEC


@pytest.fixture
def mlproject(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line as a shell would: exit code, stdout, stderr."""
    from mlproject import cli

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mlproject", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


@dataclass(frozen=True)
class SmallImages:
    """Bracket images of the built-in sample, 64 px, with its largest defects.

    Attributes:
        train: (n, 64, 64, 3) uint8, as are validation and test.
        labels: (n_test,).
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="session")
def small_images(tmp_path_factory, worker_id) -> SmallImages:
    """Images small enough to train on in seconds, real enough to learn from; drawn by one worker for all."""
    folder = tmp_path_factory.getbasetemp()
    file = (folder if worker_id == "master" else folder.parent) / "small_images.npz"
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            np.savez(file, **vars(draw_small_images()))
    with np.load(file) as kept:
        return SmallImages(**kept)


def draw_small_images() -> SmallImages:
    from mlproject.data.decode import fit_array
    from mlproject.data.sample import bracket, build

    def images(subset, defective, count):
        chosen = [
            picture
            for picture in build.pictures("bracket", seed=0)
            if picture.subset == subset and (picture.defect != "good") == defective
        ]
        spread = np.linspace(0, len(chosen) - 1, count).round().astype(int)
        return np.stack([fit_array(build.render(chosen[i])[0], 64) for i in spread])

    good = images("train", False, 60)
    with pytest.MonkeyPatch.context() as largest:  # the smaller ones are a few pixels here, or one
        largest.setattr(bracket, "SMALLEST", 1.0)
        largest.setattr(bracket, "FAINTEST", 1.0)
        test = np.concatenate([images("test", False, 15), images("test", True, 20)])
    return SmallImages(good[:48], good[48:], test, np.repeat([0, 1], [15, 20]))
