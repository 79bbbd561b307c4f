"""Imports go down only, and heavy or foreign packages enter in one place each. Read from the source."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the bottom up: a package imports from itself and from those before it.
PACKAGES = (
    *("core", "data", "training", "generators", "models", "evaluation", "engines", "studies", "reports"),
    *("tracking", "tuning", "benchmark", "registry", "inference", "production", "commands", "cli"),
)
LAYER = {name: number for number, name in enumerate(PACKAGES)}

ONLY_IMPORTERS = {  # foreign package → where alone it may be imported
    "matplotlib": {"reports"},
    "mlflow": {"tracking", "registry"},
    "optuna": {"tuning"},
    "ray": {"engines"},
    "gradio": {"inference"},
    "onnxruntime": {"inference"},
    "dvc": {"commands"},
    "prometheus_client": {"production"},
    "boto3": {"data"},
}

SOURCES = sorted((ROOT / "mlproject").rglob("*.py"))
STAGES = sorted((ROOT / "pipelines").glob("*.py"))


@cache
def imports(path: Path) -> list[str]:
    """Return the dotted name of everything that a file imports, in functions and for types too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: a relative import hides its direction"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def component(path: Path) -> str:
    """Return a file's place in PACKAGES; "pipelines" for a stage, empty for mlproject/__init__.py."""
    if path in STAGES:
        return "pipelines"
    first = path.relative_to(ROOT / "mlproject").parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_package_has_a_place():
    assert {component(path) for path in SOURCES} <= {"", *PACKAGES}


def test_imports_go_down_only():
    upwards = [
        f"{name(path)} imports {imported}, which lies above it"
        for path in SOURCES
        for imported in imports(path)
        if imported.startswith("mlproject.") and imported != "mlproject.__version__"
        if LAYER[imported.split(".")[1]] > LAYER.get(component(path), -1)
    ]
    assert upwards == []


def test_each_foreign_package_has_its_only_importer():
    elsewhere = [
        f"{name(path)} imports {imported}"
        for path in SOURCES + STAGES
        for imported in imports(path)
        if component(path) not in ONLY_IMPORTERS.get(imported.split(".")[0], {component(path)})
    ]
    assert elsewhere == []


def test_nothing_imports_a_stage():
    importers = [
        name(path)
        for path in SOURCES + STAGES
        if any(imported.split(".")[0] == "pipelines" for imported in imports(path))
    ]
    assert importers == []


def test_training_needs_neither_mlflow_nor_dvc_nor_optuna():
    """So that it runs on a bare machine with a GPU, where these are not installed."""
    low = [path for path in SOURCES if LAYER.get(component(path), 9) <= LAYER["evaluation"]]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in low]
    modules = [module.removesuffix(".__init__") for module in modules]
    code = (
        "import importlib, sys\n"
        "sys.modules.update(dict.fromkeys(['mlflow', 'dvc', 'optuna', 'matplotlib']))\n"
        f"for module in {modules}: importlib.import_module(module)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert {"mlproject.training.loop", "mlproject.models.kd_cae"} <= set(modules)


def test_stages_that_need_no_torch_do_not_load_it():
    """It takes longer to load than all else that they do."""
    light = ("ingest", "prepare", "settings", "shortcuts", "evaluate", "compare", "report", "register")
    code = f"import sys; from pipelines import {', '.join(light)}; assert 'torch' not in sys.modules"
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_verdicts_load_nothing_but_what_scoring_needs():
    """pandas takes 60 MB, sklearn and scipy.stats half a second; tables and figures alone need them."""
    code = (
        "import sys\n"
        "from mlproject.inference import predict\n"
        "from mlproject.models import kd_cae, patch_kde, pca\n"
        "heavy = {'pandas', 'pyarrow', 'scipy.stats', 'sklearn', 'mlflow', 'matplotlib'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "from mlproject.registry import loaded_version\n"
        "heavy -= {'pandas', 'pyarrow'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_help_imports_nothing_heavy():
    """What makes `mlproject --help` instant; a module-level import in cli.py would undo it."""
    code = (
        "import sys\n"
        "from mlproject import cli\n"
        "sys.argv = ['mlproject', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'numpy', 'sklearn', 'matplotlib', 'dvc', 'pydantic', 'yaml'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "doctor" in result.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "mlproject/models").glob("[a-z]*.py")), ids=lambda p: p.stem)
def test_no_model_imports_another_one(path):
    """A training's DVC stage depends on its own model's file and on components, on no other model."""
    others = {other.stem for other in path.parent.glob("[a-z]*.py")} - {path.stem}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "mlproject.models":
            assert not others & {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in {f"mlproject.models.{other}" for other in others}
