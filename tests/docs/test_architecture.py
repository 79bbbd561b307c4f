"""docs/architecture.md names packages and files as they are."""

import re

import pytest
from conftest import ROOT
from support import import_graph
from test_imports import PACKAGES

TEXT = (ROOT / "docs/architecture.md").read_text()
OPENED = re.compile(r"`(?P<file>[^`]+)`: `(?P<symbol>[^`]+)`")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading, without its head."""
    lines = TEXT.partition(f"## {heading}\n")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table[2:]


QUESTIONS = {question: files for question, *files in rows("Where to change what")}


def test_packages_are_listed_from_the_bottom_up():
    assert [name.strip("`") for name, _ in rows("Packages")] == list(PACKAGES)


def test_import_graph_has_no_circle_and_knows_every_package():
    graph = import_graph.arrows()
    assert set(graph) == set(PACKAGES)
    assert import_graph.floors(graph)["core"] == 0


def test_ten_questions_are_answered():
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_by_two_files_at_most(question):
    opened = [match for cell in QUESTIONS[question] for match in OPENED.finditer(cell)]
    assert 1 <= len(opened) <= 2
    for match in opened:
        text = (ROOT / match["file"]).read_text()
        assert match["symbol"] in text, f"{match['file']} does not contain {match['symbol']}"


def test_files_on_the_path_of_one_image_exist():
    for row in rows("The path of one image"):
        for name in re.findall(r"`([^`<]+\.py)`", row[2]):
            assert (ROOT / "mlproject" / name).is_file(), name
