"""What the report takes from studies: what their intervals hold, and Table 3's row without noise."""

from support.paper_evidence import evidence, study

from mlproject.reports.paper import questions, tables


def answer(found, letter):
    """The blocks of one open question."""
    text = "\n\n".join(questions.blocks(found))
    return text.split(f"### {letter}. ")[1].split("\n### ")[0]


def test_what_a_studys_intervals_hold_stands_beside_its_statements():
    given = evidence(studies={("bottle", "noise"): study(), ("bracket", "noise"): study()})
    assert answer(given, "b").count("Intervals: Over images, not over trainings.") == 1


def test_a_study_that_says_nothing_has_no_interval_to_explain():
    gap = study(gap="Too few defects.", statements=[], figures=[], notes=[])
    assert "Intervals" not in answer(evidence(studies={("bottle", "labels"): gap}), "c")


def test_table_3_has_the_papers_protocol_for_the_studys_rows_too():
    by_rule = {"ni_cae_without_noise": {"f1": 0.84, "sees_test_labels": True}}
    retrained = study(paper=by_rule, settings={"image_size": 64, "epochs": None, "patience": None})
    decisions = tables.ni_cae(evidence(studies={("bottle", "noise"): retrained}))[1]
    lines = [line.strip("| ").split(" | ") for line in decisions.split("\n") if line.startswith("| bottle")]
    assert [(cells[1], cells[4], cells[5]) for cells in lines] == [
        ("with", "0.89 †", "0.91"),
        ("with, in the study", "–", "0.91"),
        ("without", "0.84 †", "0.81"),
    ]


def test_a_study_of_another_question_has_a_section_of_its_own_after_the_papers():
    light = study(title="What does light do?", statements=["It does nothing."])
    given = evidence(studies={("bottle", "light"): light, ("bracket", "light"): light})
    blocks = questions.blocks(given)
    further = blocks[blocks.index("## Further studies") :]
    assert further.count("### What does light do?") == 1
    assert "**bracket**: It does nothing." in "\n".join(further)
    assert "## Further studies" not in questions.blocks(evidence(studies={("bottle", "noise"): study()}))
