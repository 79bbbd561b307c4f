"""Consistency of what surrounds the code: Makefile, hooks, constraints, licence, sizes, paths."""

import ast
import configparser
import os
import re
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from conftest import SLOW
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mlproject.core import params

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(line)
    for extra in ("dev", "services")
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"][extra]
]


def project_files() -> list[Path]:
    """Return the files that git tracks or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return sorted({ROOT / name for name in listed if name and (ROOT / name).is_file()})


def dry_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what make would run, whether or not a make is running these tests."""
    environment = {name: value for name, value in os.environ.items() if not re.match("MAKE|MFLAGS", name)}
    return subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def made_by(target: str) -> str:
    """Return the commands that make would run for a target, set-up included."""
    result = dry_run(target)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_what_commands_write_beside_params_yaml_is_no_change():
    """The commands of the documents write tables there; a promotion asks for a folder without changes."""
    for name in ("line-7.db", "line-7.db-wal", "mlflow.db", "mlflow.db.lock", "line-7.csv", "line-7.parquet"):
        ignored = subprocess.run(
            ["git", "check-ignore", "--no-index", "--quiet", name], cwd=ROOT, check=False
        )
        assert ignored.returncode == 0, name


def test_files_are_short():
    lines = {path: len(path.read_text().splitlines()) for path in project_files() if path.suffix == ".py"}
    long = {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > 400}
    assert long == {}, "are they still one idea?"


def test_module_docstrings_name_the_module_and_pose_no_riddle():
    """They begin with a noun or a verb, such as "Storage of …", not with "What …" or "Which …"."""
    found = {
        str(path.relative_to(ROOT)): opening
        for path in sorted((ROOT / "mlproject").rglob("*.py"))
        if (opening := (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split(" ")[0])
        in ("What", "Which")
    }
    assert not found


def test_no_file_names_a_folder_of_one_machine():
    machine = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt)/\w")
    found = []
    for path in project_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{n}: {line}" for n, line in enumerate(lines, 1) if machine.search(line)
        ]
    assert not found


def versions_of_the_tests() -> dict[str, str]:
    """Return the version of each package in constraints.txt, by its canonical name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {str(canonicalize_name(name)): version for name, version in pins.items()}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)
def test_each_dependency_has_a_tested_version_that_it_allows(requirement):
    assert requirement.specifier.contains(versions_of_the_tests()[canonicalize_name(requirement.name)])


def test_every_tested_version_can_be_installed_on_the_oldest_python():
    """Debian 12 has 3.11.2: a version that asks for 3.11.5 ended `make run` there."""
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    pins = versions_of_the_tests()
    installed = [one for one in distributions() if pins.get(canonicalize_name(one.name)) == one.version]
    assert len(installed) > len(pins) / 2
    asked = {one.name: one.metadata.get("Requires-Python") or "" for one in installed}
    assert not {name: pythons for name, pythons in asked.items() if oldest not in SpecifierSet(pythons)}


def test_constraints_leave_gpu_libraries_to_torch():
    """A CPU-only torch, or one for another CUDA, must be installable under the same constraints."""
    assert not re.search(r"^(nvidia|cuda|triton)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def test_hooks_run_what_continuous_integration_runs():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {stage: hook["entry"] for hook in repository["hooks"] for stage in hook["stages"]}
    assert hooks == {"pre-commit": "make check", "pre-push": "make test"}
    assert "exec make check test" in (ROOT / ".ci/run").read_text()
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert "make check test TORCH=cpu" in [step.get("run") for step in workflow["jobs"]["test"]["steps"]]


def test_check_runs_every_linter_and_test_every_test():
    assert {"ruff check .", "ruff format --check .", "mypy"} <= set(made_by("check").splitlines())
    assert made_by("test").splitlines()[-1] == "pytest -n 2"


def test_every_slow_test_of_conftest_exists():
    missing = [name for name in SLOW if not (ROOT / "tests" / name).exists()]
    assert not missing
    assert 'pytest -n 2 -m "not slow"' in made_by("test-fast")


def test_run_ends_by_saying_where_to_look():
    after = made_by("run").partition("mlproject run register")[2]
    for shown in ("mlproject table", "reports/comparison.md", "make ui", "mlproject promote", "make paper"):
        assert shown in after


def test_paper_runs_everything_and_says_how_to_go_back():
    after = made_by("paper").partition("mlproject preset full")[2]
    for shown in ("mlproject run", "mlproject table", "reports/paper.html", "mlproject preset quick"):
        assert shown in after


def test_unknown_torch_is_refused():
    result = dry_run("run", "TORCH=gpu")
    assert result.returncode != 0
    assert "TORCH=cpu" in result.stderr


def test_an_environment_that_a_link_leads_to_is_left_alone(tmp_path):
    """Making one removes what is in the folder."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "other").mkdir()
    (tmp_path / "other/kept").touch()
    (tmp_path / "project/.venv").symlink_to(tmp_path / "other")
    result = subprocess.run(
        ["make", "check"], cwd=tmp_path / "project", capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert f"error: .venv is a link to {tmp_path / 'other'}" in result.stderr
    assert (tmp_path / "other/kept").exists()


def test_nothing_phones_home():
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc/config")
    assert dict(config["core"]) == {"analytics": "false", "check_update": "false"}
    makefile = (ROOT / "Makefile").read_text()
    assert "export MLFLOW_DISABLE_TELEMETRY := true" in makefile


def test_licence_and_citation():
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == PROJECT["license"]
    assert citation["version"] == PROJECT["version"]
    paper, dataset = citation["references"]
    assert "2107.09204" in paper["url"]
    assert "MVTec AD" in dataset["title"]


def opens_as_text(call: ast.Call) -> bool:
    """Say whether a call opens a file as text, by a name or a method that nothing but files has."""
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    if name in ("read_text", "write_text"):
        # not files.write_text(path, text), which is always UTF-8
        return ast.unparse(call.func) not in ("files.write_text", "write_text")
    if name != "open" or ast.unparse(call.func) in ("Image.open", "tarfile.open", "os.open"):
        return False
    modes = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    given = [m.value for m in modes if isinstance(m, ast.Constant) and isinstance(m.value, str)]
    return not any("b" in mode and set(mode) <= set("rwxab+") for mode in given)


@pytest.mark.parametrize("folder", ["mlproject", "pipelines"])
def test_lists_of_params_yaml_are_read_by_what_checks_them(folder):
    """Unchecked, `categories: nut` would be the categories n, u and t."""
    unchecked = re.compile(rf'params\.value\(["\'](categories|{"|".join(params.LISTS)})["\']\)')
    sources = sorted((ROOT / folder).rglob("*.py"))
    assert sources
    assert not [path.name for path in sources if unchecked.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("folder", ["mlproject", "pipelines", "benchmarks"])
def test_every_time_is_in_utc(folder):
    local = re.compile(
        r"time\.strftime\([^,()]*\)|localtime\(|date\.today\(|\.utcnow\(|datetime\.now\(\)|fromtimestamp\([^,()]*\)"
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if local.search(line)
    ]
    assert not found


@pytest.mark.parametrize("folder", ["mlproject", "pipelines", "benchmarks"])
def test_every_text_file_is_opened_with_a_named_encoding(folder):
    """Or else a Windows machine, or LC_ALL=C, reads and writes other letters."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            named = {keyword.arg for keyword in node.keywords}
            runs_as_text = "text" in named and ast.unparse(node.func).startswith("subprocess.")
            if (opens_as_text(node) or runs_as_text) and "encoding" not in named:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not found
