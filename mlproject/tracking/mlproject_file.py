"""Let `mlflow run .` find the file MLproject next to the folder mlproject/.

MLflow opens the first directory entry whose lower-cased name is "mlproject", in the file system's order:
here that may be the package's folder, and the run fails. And it builds an environment of its own, by pyenv,
unless told not to; this project's environment is the one that it is installed in, unless
`--env-manager virtualenv` asks for another (pipelines/python_env.yaml).

MLflow has no hook for either, so two of its functions are wrapped. pyproject.toml names this module in the
entry-point group `mlflow.model_registry_store`, the one that MLflow's command line loads after
`mlflow.projects` is complete; the store itself does not exist.
"""

import warnings
from pathlib import Path
from typing import Any, NoReturn

from mlflow.exceptions import MlflowException
from mlflow.projects import _project_spec

PROJECT_NAME = "mlproject"


def no_store(store_uri: str | None = None, artifact_uri: str | None = None) -> NoReturn:
    """Refuse to be a model registry, which is what MLflow's entry-point group is for."""
    raise MlflowException(f"{store_uri}: mlproject-file is no model registry")


def find_project_file(directory: str) -> str | None:
    """Return the path of the MLproject *file* in `directory`, whatever the order of its entries."""
    entries = sorted(Path(directory).iterdir())
    return next((str(path) for path in entries if path.name.lower() == "mlproject" and path.is_file()), None)


def install() -> None:
    """Replace MLflow's lookup; where this version of MLflow has none to replace, say what will not work."""
    if not hasattr(_project_spec, "_find_mlproject") or not hasattr(_project_spec, "load_project"):
        warnings.warn(
            "This version of MLflow looks for MLproject in a way unknown to mlproject: `mlflow run .` may "
            "fail. Use `dvc repro`, or the MLflow version in constraints.txt.",
            stacklevel=2,
        )
        return
    load_project = _project_spec.load_project

    def load_into_this_environment(directory: str) -> Any:
        project = load_project(directory)
        if project.name == PROJECT_NAME:
            project.env_type = None  # none is built, as with `--env-manager local`, unless one is asked for
        return project

    _project_spec._find_mlproject = find_project_file
    _project_spec.load_project = load_into_this_environment


install()
