"""Checks of this machine and this clone: each finding comes with its remedy."""

import functools
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from mlproject.commands import doctor_stores, params_check
from mlproject.commands.doctor_stores import Answer
from mlproject.core import artifacts, params
from mlproject.core.errors import UserError
from mlproject.core.parallel import usable_cores
from mlproject.core.wording import counted
from mlproject.data.layout import find_category

FREE_DISK = 10e9
TORCH_PROBE = """
import json, torch, torchvision
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "gpu": gpu}))
"""


def checks() -> dict[str, Answer]:
    """Return what was looked at in the current folder → what was found.

    Takes some seconds: torch and DVC are really started.
    """
    torch, here = functools.cache(probe_torch), Path.cwd()
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    questions: dict[str, Callable[[], Answer]] = {
        "Python": python,
        "torch and torchvision": lambda: torch_pair(torch()),
        "cores": cores,
        "GPU": lambda: gpu(torch()),
        "free disk": lambda: disk(here),
        "file system": lambda: file_system(here),
        "DVC": lambda: doctor_stores.dvc(here),
        "MLflow": lambda: doctor_stores.mlflow(tracking_uri),
        "params.yaml": parameters,
        "data": data,
    }
    return {name: answered(question) for name, question in questions.items()}


def answered(question: Callable[[], Answer]) -> Answer:
    """Return the answer; a question that fails is an answer too, and the others are still asked."""
    try:
        return question()
    except UserError as error:
        return Answer(False, str(error), "Correct that.")
    except (OSError, RuntimeError, ImportError, ValueError, LookupError, TypeError, AttributeError) as error:
        return Answer(False, f"{type(error).__name__}: {error}", "Correct that, then ask again.")


def probe_torch() -> dict[str, str]:
    """Return versions and GPU name, or {"error": …}; in a process of its own, which a bad pair may end."""
    code, output, errors = doctor_stores.run("-c", TORCH_PROBE)
    return json.loads(output.splitlines()[-1]) if code == 0 else {"error": errors.splitlines()[-1]}


def python() -> Answer:
    """Python itself, and whether `python` in the stages' commands means this one."""
    version, stages = sys.version.split()[0], shutil.which("python")
    # Safe unpacking came with 3.11.4, and to some distributions' 3.11.2.
    if sys.version_info < (3, 11) or not hasattr(tarfile, "data_filter"):
        return Answer(False, version, "Install Python 3.11.4 or newer, delete .venv, then `make run`.")
    if not stages or Path(stages).parent != Path(sys.executable).parent:
        detail = f"{version}, but the stages' `python` is {stages or 'nowhere'}, not {sys.executable}"
        return Answer(None, detail, "Use `make run`, or activate the environment: `. .venv/bin/activate`.")
    return Answer(True, version)


def torch_pair(found: Mapping[str, str]) -> Answer:
    """Whether the two import together and come from the same index."""
    remedy = (
        "Install both from one index: `pip install --force-reinstall torch torchvision`; the small pair "
        "without CUDA: the same with `--index-url https://download.pytorch.org/whl/cpu`."
    )
    if "error" in found:
        return Answer(False, found["error"], remedy)
    versions = found["torch"], found["torchvision"]
    detail = " and ".join(versions)
    if len({version.partition("+")[2] for version in versions}) > 1:
        return Answer(None, f"{detail}: builds for different devices", remedy)
    return Answer(True, detail)


def cores() -> Answer:
    """The cores that this process may use, which is not always what the machine has."""
    usable = usable_cores()
    if usable == 1:
        return Answer(None, "1", "Everything works, at about half the speed of two.")
    return Answer(True, str(usable))


def gpu(found: Mapping[str, str]) -> Answer:
    """The GPU, if there is one; none is wrong only if params.yaml asks for it."""
    if found.get("gpu"):
        return Answer(True, found["gpu"])
    if params.load("training", params.Training).device == "cuda":
        remedy = "Set training.device: auto in params.yaml, or install the driver and a torch with CUDA."
        return Answer(False, "none, but training.device is cuda", remedy)
    if shutil.which("nvidia-smi"):
        return Answer(None, "a driver, but torch does not use it", "Install a torch that fits the driver.")
    return Answer(True, "none: trains on the CPU")


def disk(folder: Path) -> Answer:
    """Room for images, arrays and models."""
    free = shutil.disk_usage(folder).free
    if free < FREE_DISK:
        remedy = "Enough for the sample; all of MVTec AD takes about 20 GB: free some space."
        return Answer(None, f"{free / 1e9:.1f} GB", remedy)
    return Answer(True, f"{free / 1e9:.1f} GB")


def file_system(folder: Path) -> Answer:
    """Whether upper and lower case differ, without which MLproject and mlproject/ cannot both exist."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="Case-", suffix=".tmp") as file:
        path = Path(file.name)
        insensitive = path.with_name(path.name.swapcase()).exists()
    if insensitive:
        detail = "upper and lower case are the same: git keeps only one of MLproject and mlproject/"
        remedy = (
            "`git checkout -- mlproject` keeps the right one: `dvc repro` works, `mlflow run` does not. "
            "For that: Linux, a container, or a case-sensitive volume."
        )
        return Answer(None, detail, remedy)
    missing = {"MLproject", "mlproject"} - {entry.name for entry in folder.iterdir()}
    if missing:
        names = " ".join(sorted(missing))
        return Answer(None, f"missing in {folder}: {names}", f"`git checkout -- {names}`")
    return Answer(True, "MLproject and mlproject/ are distinct")


def parameters() -> Answer:
    """Whether every section holds what is known and allowed, and all that is asked for has its own."""
    params_check.refuse_wrong_values()
    params_check.refuse_wrong_settings()
    if unknown := params.unknown_keys():
        return Answer(None, str(unknown[0]), "Nothing reads it. Rename or remove it.")
    detectors = counted(len(params.chosen("detectors")), "detector", "detectors")
    return Answer(True, f"{detectors} on {counted(len(params.categories()), 'category', 'categories')}")


def data() -> Answer:
    """Whether the categories are here, or can be brought here by the stage `ingest`."""
    settings, categories = params.load("data", params.Data), params.categories()
    if settings.source == "folder":  # whatever lies in data/raw: the next run brings it from there
        absent = without_images(Path(settings.path), categories)
        if not absent:
            return Answer(True, f"{', '.join(categories)} in {settings.path}")
        remedy = "Correct data.path or categories in params.yaml: each category holds train/good."
        return Answer(False, f"{settings.path} lacks {', '.join(absent)}", remedy)
    missing = without_images(artifacts.RAW, categories)
    if not missing:
        return Answer(True, f"{', '.join(categories)} in {artifacts.RAW}")
    if settings.source == "sample":
        return Answer(True, "the sample: made by the first run")
    if not settings.accept_licence:
        remedy = "Non-commercial use only (CC BY-NC-SA 4.0). If you accept it, set data.accept_licence: true."
        return Answer(False, "mvtec: the licence is not accepted", remedy)
    return Answer(None, f"mvtec: {', '.join(missing)} to be downloaded", "5 GB; may be interrupted.")


def without_images(folder: Path, categories: list[str]) -> list[str]:
    """Return the categories that have no folder of good training images."""

    def is_there(name: str) -> bool:
        try:
            return (find_category(folder, name) / "train/good").is_dir()
        except UserError:
            return False

    return [name for name in categories if not is_there(name)]
