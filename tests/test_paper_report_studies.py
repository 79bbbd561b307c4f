"""What the report takes from studies: what their intervals hold, and Table 3's row without noise."""

from paper_evidence import evidence, study

from mlproject.paper_report import questions


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
