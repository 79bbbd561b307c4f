"""Stage report: the paper's tables, figures and open questions beside what was found here."""

import shutil

from mlproject import artifacts, params, stage
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
        params.value("studies_used"),
    )
    folder = evidence.REPORTS
    shutil.rmtree(folder / figures.FOLDER, ignore_errors=True)  # may hold a network that is no more
    (folder / figures.FOLDER).mkdir()
    for path, title, training in figures.layouts(found):
        drawing.save(layout(title, training["layers"]), folder / path)
    markdown = report.markdown(found)
    artifacts.write_text(folder / "paper.md", markdown)
    artifacts.write_text(folder / "paper.html", page.page(markdown, folder))


if __name__ == "__main__":
    stage.run(main)
