"""Stage report: the paper's tables, figures and open questions next to the results here."""

from pathlib import Path

from mlproject.core import artifacts, files, params, script
from mlproject.reports.figures import drawing
from mlproject.reports.figures.network import layout
from mlproject.reports.paper import evidence, figures, html, report


def main() -> None:
    """Write reports/paper.md, paper.html and paper_figures/."""
    found = evidence.read(
        params.value("data.source"),
        params.categories(),
        params.chosen("detectors"),
        params.chosen("generators_used"),
        params.chosen("studies_used"),
    )
    folder = artifacts.REPORTS
    with files.written_whole(folder / figures.FOLDER) as part:
        for path, title, training in figures.layouts(found):
            drawing.save(layout(title, training["layers"]), part / Path(path).name)
    markdown = report.markdown(found)
    files.write_text(folder / "paper.md", markdown)
    files.write_text(folder / "paper.html", html.page(markdown, folder))


if __name__ == "__main__":
    script.run(main)
