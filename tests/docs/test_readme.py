"""README.md stays short and true, and the workflow is one that a runner would accept."""

import re
import tomllib

import yaml
from conftest import ROOT

TEXT = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_readme_is_short_and_in_its_order():
    assert len(TEXT.splitlines()) <= 130
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE) == [
        "Quick start", "How it works", "Result", "With your own photos", "Tune, promote, use", "Links",
    ]  # fmt: skip


def test_files_that_documents_link_to_exist():
    """Pages of docs/ are checked when the site is built; these two are not among them."""
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / name).read_text()):
            assert (ROOT / target).exists(), f"{name}: {target}"


def test_badges_say_what_the_project_says():
    badges = {path.stem: path.read_text() for path in (ROOT / "docs/images").glob("badge-*.svg")}
    assert PROJECT["requires-python"] == ">=3.11"
    assert "3.11 or newer" in badges["badge-python"]
    assert PROJECT["license"] in badges["badge-licence"]
    assert not re.search(r"(?:href|src)=", "".join(badges.values()))


def test_result_table_has_the_categories_of_the_default_run():
    categories = yaml.safe_load((ROOT / "params.yaml").read_text())["categories"]
    table = TEXT.partition("## Result")[2].partition("## ")[0]
    assert {row.split("|")[1].strip() for row in table.splitlines() if row.startswith("| ")} == {
        "category", "---", *categories,
    }  # fmt: skip


def test_workflow_is_valid():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML reads the key `on` as true
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert job["timeout-minutes"] > 0
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), step
            assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])
