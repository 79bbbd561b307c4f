"""The report: cells by hand, gaps named, one page that needs no network, both outputs alike."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from support.paper_evidence import evidence, row, study, training

from mlproject.core import artifacts, files
from mlproject.core.tables import write_table
from mlproject.reports.figures import drawing, network
from mlproject.reports.paper import figures, html, report
from mlproject.reports.paper.markdown import escape, printed
from mlproject.reports.paper.tables import beats

PICTURE = "categories/bottle/kd_cae/figures/reconstructions.png"


def tables(markdown):
    """Every table under its ### heading: heading → lines of cells."""
    found = {}
    for section in markdown.split("\n### ")[1:]:
        lines = [line for line in section.split("\n") if line.startswith("| ")]
        found[section.split("\n")[0]] = [line.strip("| ").split(" | ") for line in lines]
    return found


def table(markdown, heading):
    return next(lines for name, lines in tables(markdown).items() if name.startswith(heading))


def lines_of(markdown, heading, category):
    return [cells for cells in table(markdown, heading) if cells[0] == category]


class Page(HTMLParser):
    """What a page asks for, links to and says."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.links, self.words = [], [], [], []
        self.silent = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.silent = tag == "style"
        if tag == "a":
            self.links.append(given["href"])
        else:
            self.sources += [given[name] for name in ("src", "href", "srcset", "data") if name in given]
        assert not [name for name in given if name.startswith("on")]

    def handle_endtag(self, tag):
        self.silent = False

    def handle_data(self, data):
        if not self.silent:
            self.words.append(data)


def put_picture(folder, path=PICTURE):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (9, 8, 7)).save(folder / path)


def test_table_2_has_the_papers_number_ours_by_both_protocols_and_the_trivial_ones():
    decisions, behind = lines_of(report.markdown(evidence()), "Table 2", "bottle")[:2]
    assert decisions == [
        "bottle", "0.87", "0.87", "0.89", "not comparable: settings differ", "0.91", "0.86", "yes, +0.05",
    ]  # fmt: skip
    assert behind == [
        "bottle", "167 / 168", "20 + 66", "20 + 63", "0.87 [0.80, 0.93]", "0.94", "0.03",
        "0.62 mean_brightness",
    ]  # fmt: skip


def test_the_literal_thresholds_show_what_their_f1_hides():
    literal = {"f1": 0.86, "recall": 1.0, "false_alarm_rate": 1.0}
    given = evidence(rows={("bottle", "kd_cae"): row("bottle", "kd_cae", paper_literal=literal)})
    text = report.markdown(given)
    assert lines_of(text, "Table 2", "bottle")[0][4] == "0.86"
    assert "bottle has recall 1.00 and 1.00 of its good images called defective" in text


def test_table_1_says_what_the_cnn_was_trained_and_evaluated_on():
    text = report.markdown(evidence())
    assert (
        "bottle: 31 labelled defects in training, evaluated on the held-out 20 good and 63 defective" in text
    )
    decisions, behind = lines_of(text, "Table 1", "bottle")
    assert decisions[1:4] == ["0.09", "0.87", "0.89"]
    assert behind[4:6] == ["0.31", "0.87 [0.80, 0.93]"]


def test_table_3_takes_the_row_without_noise_from_the_noise_study():
    text = report.markdown(evidence(studies={("bottle", "noise"): study()}))
    with_noise, without = lines_of(text, "Table 3", "bottle")[:2]
    assert with_noise[:7] == ["bottle", "with", "0.2412", "0.87", "0.89 †", "0.91", "0.86"]
    assert without == ["bottle", "without", "0.3703", "0.87", "–", "0.81", "0.86", "**no**, −0.05"]


def test_where_the_study_retrained_both_their_rows_stand_together():
    retrained = study(settings={"image_size": 64, "epochs": None, "patience": None})
    text = report.markdown(evidence(studies={("bottle", "noise"): retrained}))
    rows = lines_of(text, "Table 3", "bottle")[:3]
    assert [cells[1] for cells in rows] == ["with", "with, in the study", "without"]
    assert rows[1][2:7] == ["–", "0.87", "–", "0.91", "0.86"], "the paper's number stands beside one row"


def test_without_the_noise_study_nothing_is_filled_in():
    without = lines_of(report.markdown(evidence()), "Table 3", "bottle")[1]
    assert without[4:] == ["–", "not run (studies_used)", "–", "–"]


@pytest.mark.parametrize("heading", ["Table 1", "Table 2", "Table 3"])
def test_categories_without_data_keep_the_papers_number_and_get_none_of_ours(heading):
    text = report.markdown(evidence())
    assert "without images here: **toothbrush, screw, leather, transistor**" in text
    for cells in lines_of(text, heading, "leather"):
        if "no data" in cells:
            assert set(cells[cells.index("no data") + 1 :]) <= {"–", "0.02"}
            assert "0.91" not in cells


def test_a_category_that_the_paper_does_not_have_shows_none_of_its_numbers():
    text = report.markdown(evidence())
    assert lines_of(text, "Table 2", "bracket")[0][1:5] == ["–", "–", "0.89", "–"]
    assert "Not in the paper, so without its numbers: bracket." in text


def test_a_detector_that_was_not_run_is_named_as_such():
    text = report.markdown(evidence(detectors=("kd_cae",)))
    assert lines_of(text, "Table 1", "bottle")[0][3] == "not run (detectors)"
    assert "`detectors` in params.yaml must name `ni_cae`" in text
    assert "`generators_used` in params.yaml must name `dcgan`" in text


def test_the_summary_counts_what_beats_the_trivial_rule():
    text = report.markdown(evidence(rows={("bottle", "pca"): row("bottle", "pca", f1=0.2)}))
    assert (
        "Of the paper's 20 F1 values, **4** beat calling every image of its test sets defective, 1 equals"
        in text
    )
    assert "Of the 1 results here (clean protocol), **0** beat it" in text


def test_settings_unlike_the_papers_are_named():
    own = training("bottle", "cnn", settings={"image_size": 96, "epochs": 3})
    text = report.markdown(evidence(trainings={("bottle", "cnn"): own}))
    assert "`image_size` 96 (paper: 200)" in text
    assert "`optimiser` None (paper: rmsprop)" in text
    assert "trained on defective images too" in text, "what no setting removes is named too"
    assert lines_of(text, "Trainings", "bottle")[0][2:] == [
        "96", "168 / 21", "5 / 17", "no better validation loss", "333,955",
    ]  # fmt: skip


def test_a_training_that_has_learnt_nothing_is_named_with_the_papers_table_and_the_trainings():
    dead = training("bottle", "cnn", not_learnt_because="it gives every image the same log-odds")
    why = {"not_learnt_because": dead["not_learnt_because"]}
    rows = {("bottle", "cnn"): row("bottle", "cnn", **why)}
    text = report.markdown(evidence(rows=rows, trainings={("bottle", "cnn"): dead}))
    assert "bottle: the model has learnt nothing, its numbers say nothing of the method: it gives" in text
    assert lines_of(text, "Trainings", "bottle")[0][5] == "no better validation loss; has learnt nothing"


def test_copies_are_counted_and_those_tested_and_trained_on_are_named():
    copies = {"train/good/9.jpg": "train/good/1.png", "test/good/x.png": "train/good/2.png"}
    trainings = {("bottle", "kd_cae"): training("bottle", "kd_cae", copies=copies)}
    shown = report.markdown(evidence(("bottle",), ("kd_cae",), trainings=trainings))
    assert "Copies: bottle: 2 images are copies of others" in shown
    assert "Tested on copies of training images: `test/good/x.png` of `train/good/2.png`" in shown
    assert "Copies:" not in report.markdown(evidence())


@pytest.mark.parametrize(
    ("f1", "said"),
    [(0.9, "yes, +0.10"), (0.3, "**no**, −0.50"), (0.8, "**no**, equal"), (0.801, "yes, by less than 0.01")],
)
def test_beating_the_trivial_rule_is_strict(f1, said):
    assert beats(f1, 0.8) == said


@pytest.mark.parametrize(("value", "text"), [(0.7, "0.70"), (0.083, "0.083"), (0.7347, "0.7347")])
def test_the_papers_numbers_are_written_as_it_prints_them(value, text):
    assert printed(value) == text


def test_the_page_holds_every_cell_of_the_markdown(tmp_path):
    text = report.markdown(evidence(detectors=("pca", "kd_cae"), studies={("bottle", "noise"): study()}))
    text = re.sub(r"!\[.*\n", "", text)
    words = "".join(Page(html.page(text, tmp_path)).words)
    for lines in tables(text).values():
        for cell in {cell for cells in lines for cell in cells if not cell.startswith("---")}:
            shown = re.sub(r"\\(.)", r"\1", cell).replace("*", "").replace("`", "")
            assert shown in words or "@*" in cell, cell  # whose * is no markup


def test_the_page_asks_nothing_of_the_network(tmp_path):
    put_picture(tmp_path)
    given = evidence(detectors=("kd_cae",), pictures=frozenset({PICTURE}))
    for path, title, made in figures.layouts(given):
        drawing.save(network.layout(title, made["layers"]), tmp_path / path)
    found = Page(html.page(report.markdown(given), tmp_path))
    assert found.sources
    assert all(source.startswith("data:") for source in found.sources)
    assert {link for link in found.links if not link.startswith("#")} == {"https://arxiv.org/abs/2107.09204"}
    assert not {"script", "iframe", "object"} & set(found.tags)
    shown = base64.b64decode(next(s for s in found.sources if len(s) > 9 and "png" in s).partition(",")[2])
    assert Image.open(io.BytesIO(shown)).format == "PNG"


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>", "a|b", "[x](javascript:alert(1))", "`x` *y* _z_", "![x](http://h/i.png)",
        "a\\|b", "x\n\n# y", "&lt;", '" onload="x', "<http://h>",
    ],
)  # fmt: skip
def test_a_hostile_name_is_shown_and_does_nothing(tmp_path, name):
    given = evidence(categories=(name,), detectors=("pca",))
    text = report.markdown(given)
    assert len({len(cells) for cells in table(text, "Table 2")}) <= 4, "a pipe makes no column"
    found = Page(html.page(text, tmp_path))
    assert "".join(found.words).count(" ".join(name.split())) >= 5
    assert not {"script", "img"} & set(found.tags)
    assert {link for link in found.links if not link.startswith("#")} == {"https://arxiv.org/abs/2107.09204"}
    # the same anywhere in a sentence
    assert (
        "".join(Page(html.page(f"# t\n\nSo {escape(name)}.", tmp_path)).words).count(" ".join(name.split()))
        == 1
    )


def test_a_picture_in_a_folder_of_any_name_is_found(tmp_path):
    path = "categories/a b (1)%20#/kd_cae/figures/reconstructions.png"
    put_picture(tmp_path, path)
    given = evidence(
        categories=("a b (1)%20#",), trainings={}, pictures=frozenset({path}), detectors=("kd_cae",)
    )
    assert "<figcaption>KD-CAE, a b (1)%20#</figcaption>" in html.page(report.markdown(given), tmp_path)


def test_the_stage_writes_both_and_forgets_networks_that_are_no_more(tmp_path, monkeypatch):
    from pipelines import report as stage

    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        json.dumps(
            {
                "data": {"source": "folder"},
                "categories": ["bottle"],
                "detectors": ["kd_cae"],
                "generators_used": [],
                "studies_used": [],
                "models": {"kd_cae": {}},
                "generators": {},
                "studies": {},
            }
        )
    )
    files.write_json(Path("reports/comparison.json"), [row("bottle", "kd_cae")])
    files.write_json(artifacts.training_report("bottle", "kd_cae"), training("bottle", "kd_cae"))
    put_picture(Path("reports"))
    put_picture(Path("reports"), "paper_figures/layout_kd_cae_2.png")
    old = artifacts.report_folder("bottle") / "studies/noise"  # switched off since
    files.write_json(old / "summary.json", study().summary)
    write_table(old / "table.csv", study().table)
    stage.main()
    first = {path: path.read_bytes() for path in Path("reports").glob("paper*") if path.is_file()}
    assert {path.name for path in first} == {"paper.md", "paper.html"}
    assert [path.name for path in Path("reports/paper_figures").iterdir()] == ["layout_kd_cae_1.png"]
    assert f"]({PICTURE})" in Path("reports/paper.md").read_text()
    assert "NI-CAE keeps its AUROC" not in Path("reports/paper.md").read_text()
    stage.main()
    assert first == {path: path.read_bytes() for path in first}, "equal results, equal bytes"
