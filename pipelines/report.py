"""Stage report: the paper's tables, figures and open questions beside what was found here."""

import shutil
from pathlib import Path

from mlproject import params, stage
from mlproject.figures import drawing
from mlproject.figures.layouts import layout
from mlproject.paper_report import evidence, figures, page, report


def main() -> None:
    """Write reports/paper.md, paper.html and paper_figures/."""
    found = evidence.read(
        params.value("data.source"),
        params.value("categories"),
        params.value("detectors"),
        params.value("generators_used"),
    )
    folder = evidence.REPORTS
    shutil.rmtree(folder / figures.FOLDER, ignore_errors=True)  # may hold a network that is no more
    (folder / figures.FOLDER).mkdir()
    for path, title, training in figures.layouts(found):
        drawing.save(layout(title, training["layers"]), folder / path)
    markdown = report.markdown(found)
    _write(folder / "paper.md", markdown)
    _write(folder / "paper.html", page.page(markdown, folder))


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    stage.run(main)
