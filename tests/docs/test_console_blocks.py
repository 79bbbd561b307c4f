"""Every console and Python block of the documents is run, in their order, in one small project.

A block that cannot be run has the reason in a comment before it: ``<!-- not run: reason -->``. The project
is a clone with few small images, which stand in for the sample, and small models and tuning. Its pipeline
runs once. The notebook is executed there too.
"""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from conftest import ROOT
from nbclient import NotebookClient
from PIL import Image
from support.pipeline_project import Project, draw, write_category

FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>.+?) -->\s*)?^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
RUN = {"console": ["bash", "-eu", "-o", "pipefail", "-c"], "python": ["python", "-c"]}
SHOWN = {"text", "yaml", "mermaid"}  # languages of blocks that nobody could run
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the documents are for Linux")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document; `reason` says why it is not run, None where it is."""

    document: str
    line: int
    language: str
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[Path]:
    """Return the documents in the order in which they are read: README, then the site's pages."""
    nav = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2].partition("theme:")[0]
    pages = [ROOT / "docs" / name for entry in yaml.safe_load(nav) for name in entry.values()]
    return [ROOT / "README.md", *pages, ROOT / "CONTRIBUTING.md"]


def blocks() -> list[Block]:
    found = []
    for path in documents():
        text = path.read_text()
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start("code"))
            name = str(path.relative_to(ROOT))
            found.append(Block(name, line, match["language"], match["code"], match["reason"]))
    return found


BLOCKS = blocks()
CODE = [block for block in BLOCKS if block.language in RUN]


def small(tree) -> None:
    """Let params.yaml name the README's category, and the models that documents name."""
    tree["data"]["path"] = "sample"
    tree["categories"] = ["bracket"]
    tree["detectors"] = ["patch_kde", "kd_cae"]
    tree["generators_used"] = tree["studies_used"] = []
    tree["tune"] |= {"trials": 2, "epochs": 1}
    tree["promote"] |= {"latency_ms": 1e9, "memory_mb": 1e9}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Project]:
    """A project as `make run` leaves it, committed."""
    made = Project(tmp_path_factory.mktemp("documents"))
    activate = made.folder / ".venv/bin/activate"
    activate.parent.mkdir(parents=True)
    activate.touch()  # the environment is on PATH: its programs are those of the fork server
    counts = {"n_train": 120, "n_good": 25, "n_defective": 25}
    write_category(made.folder / "sample/bracket", seed=0, defect="dent", **counts)
    (made.folder / "photos/lot_7").mkdir(parents=True)
    for number in range(3):
        photo, _ = draw(np.random.default_rng(number), defective=False)
        Image.fromarray(photo).save(made.folder / f"photos/lot_7/{number}.png")
    made.edit(small)
    commit(made)
    made.repro()
    commit(made)
    made.call("mlproject", "register")
    yield made


def commit(project: Project) -> None:
    project.call("git", "add", "-A")
    project.call("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "a run")


def test_every_block_has_a_language_that_is_known():
    assert [str(block) for block in BLOCKS if block.language not in RUN.keys() | SHOWN] == []


def test_readme_quick_start_is_what_continuous_integration_runs():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    (quick_start,) = [block for block in CODE if block.document == "README.md" and "make ui" in block.code]
    for command in quick_start.code.split("\n"):
        assert any(step.startswith(command) for step in steps), command
    assert any(step.startswith("make check test") for step in steps)


@pytest.mark.parametrize("block", CODE, ids=str)
def test_block_runs(block, project):
    if block.reason:
        pytest.skip(block.reason)
    project.call(*RUN[block.language], block.code)


def test_notebook_runs(project, monkeypatch):
    """After the blocks: one of them has promoted a champion."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    for name in [name for name in os.environ if name.startswith("MLFLOW_TRACKING")]:
        monkeypatch.delenv(name)
    notebook = nbformat.read(ROOT / "docs/first-steps.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120).execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 1
