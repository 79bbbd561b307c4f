"""The report's open questions, and what it says of generators: from data, or said to be unanswered."""

import re
from dataclasses import replace
from typing import Any

from support.paper_evidence import evidence, row, study

from mlproject.reports.paper import figures, questions, report


def table(markdown, letter):
    """The lines of a question's table, as cells."""
    section = next(part for part in markdown.split("\n### ")[1:] if part.startswith(letter))
    return [line.strip("| ").split(" | ") for line in section.split("\n") if line.startswith("| ")]


def gap(difference, shown):
    """A paired difference of AUROC."""
    return {"difference": difference, "low": difference - 0.05, "high": difference + 0.05, "shown": shown}


def test_two_models_with_overlapping_intervals_are_told_apart_by_their_paired_difference():
    rows = {
        ("bottle", "ni_cae"): row("bottle", "ni_cae", auroc=0.85, differences={"pca": gap(-0.09, "below")}),
        ("bottle", "pca"): row("bottle", "pca", auroc=0.9, auroc_low=0.81, auroc_high=0.95),
    }
    assert rows["bottle", "ni_cae"]["auroc_high"] > rows["bottle", "pca"]["auroc_low"]
    assert "in 0 and below it in 1; in 0 no" in report.markdown(evidence(rows=rows))


def test_every_open_question_says_why_it_has_no_answer():
    text = report.markdown(evidence(detectors=("kd_cae",), rows={}))
    asked = text.split("## Open questions")[1].split("\n## ")[0].split("\n### ")[1:]
    assert len(asked) == 7
    for question in asked:
        assert re.search(r"\nN(ot run|o answer): ", question), question


def test_questions_are_answered_from_data():
    rows = {
        ("bottle", "ni_cae"): row("bottle", "ni_cae", auroc=0.7, differences={"pca": gap(-0.17, "below")}),
        ("bottle", "pca"): row("bottle", "pca", differences={"ni_cae": gap(0.17, "above")}),
    }
    text = report.markdown(evidence(rows=rows, studies={("bottle", "noise"): study()}))
    assert "is shown to be above that of PCA in 0 and below it in 1; in 0 no difference is shown" in text
    assert table(text, "e.")[2][-1] == "-0.17 [-0.22, -0.12]: below"
    assert "**bottle**: NI-CAE keeps its AUROC up to a variance of 0.01." in text
    assert "Not run for: bracket." in text
    assert "Of 2 pairs of category and model, 2 find a smaller share" in text
    assert table(text, "g.")[2][-2:] == ["dent 4/10", "0.40%"]


def test_the_tuning_table_shows_choice_and_rank_correlation_whatever_they_say():
    def study_of(chosen: float, objective: str = "proxy", start: float | None = 0.78) -> dict[str, Any]:
        return {
            "objective": objective,
            "pruned": 8,
            "sealed": {
                "n_trials": 22, "spearman_objective": 0.394, "spearman_objective_low": -0.02,
                "spearman_objective_high": 0.72, "test_auroc_chosen": chosen, "test_auroc_start": start,
                "test_auroc_median": 0.789, "test_auroc_best": 0.827,
            }
        }  # fmt: skip

    tunings = {
        ("bottle", "ni_cae"): study_of(0.79),
        ("bracket", "ni_cae"): study_of(0.7),
        ("bracket", "kd_cae"): study_of(0.79, start=None),
        ("bracket", "pca"): study_of(0.79, "labelled"),
        ("bottle", "kd_cae"): {"objective": "proxy", "sealed": {"n_trials": 0}},
    }
    tunings["bracket", "pca"]["sealed"] |= {"spearman_objective_low": None, "spearman_objective_high": None}
    pictures = frozenset({"categories/bottle/ni_cae/tuning/history.png"})
    text = "\n\n".join(questions.blocks(evidence(tunings=tunings, pictures=pictures)))
    answer = text[text.index("### f.") : text.index("### g.")]
    assert "In 1 of the 2 tunings without labels (objective proxy) that can tell, the trial" in answer
    shown = {(cells[0], cells[1]): cells[2:] for cells in table(text, "f.")[2:]}
    rest = ["22 complete, 8 pruned", "0.39 [-0.02, 0.72]"]
    assert shown == {
        ("bottle", "ni_cae"): ["proxy", *rest, "0.79", "0.78", "0.79", "0.83"],
        ("bracket", "ni_cae"): ["proxy", *rest, "0.70", "0.78", "0.79", "0.83"],
        ("bracket", "kd_cae"): ["proxy", *rest, "0.79", "-", "0.79", "0.83"],
        ("bracket", "pca"): ["labelled", rest[0], "0.39", "0.79", "0.78", "0.79", "0.83"],
    }
    assert "categories/bottle/ni_cae/tuning/history.png" in answer


def test_anogan_is_compared_with_the_best_of_the_others_and_pictured():
    drawn = "categories/bottle/anogan/figures/reconstructions.png"
    rows = {
        ("bottle", "anogan"): row(
            "bottle",
            "anogan",
            auroc=0.7,
            auroc_low=0.6,
            auroc_high=0.85,
            differences={"pca": gap(-0.16, "below"), "kd_cae": gap(-0.17, "unclear")},
        ),
        ("bottle", "pca"): row("bottle", "pca", auroc=0.86),
        ("bottle", "kd_cae"): row("bottle", "kd_cae"),
        ("bottle", "cnn"): row("bottle", "cnn", auroc=0.99, auroc_low=0.98),
    }
    given = evidence(("bottle",), ("anogan", "pca", "kd_cae", "cnn"), rows=rows, pictures=frozenset({drawn}))
    text = report.markdown(given)
    said = table(text, "d.")[2]
    assert said[:4] == ["bottle", "anogan", "0.70 [0.60, 0.85]", "kd_cae"], "the CNN takes no part"
    assert said[-1] == "-0.17 [-0.22, -0.12]: not shown"
    assert f"]({drawn})" in text.split("### d.")[1].split("### e.")[0]


def test_a_model_that_has_learnt_nothing_stands_for_no_side_and_is_named():
    dead = {"not_learnt_because": "it returns one picture for every image"}
    rows = {
        ("bottle", "ni_cae"): row("bottle", "ni_cae", auroc=0.99, differences={"pca": gap(0.2, "above")})
        | dead,
        ("bottle", "kd_cae"): row("bottle", "kd_cae", auroc=0.7, differences={"pca": gap(-0.1, "below")}),
        ("bottle", "pca"): row("bottle", "pca", auroc=0.8),
    }
    text = report.markdown(evidence(("bottle",), rows=rows))
    assert table(text, "e.")[2][1] == "kd_cae"
    assert "Left out, having learnt nothing: bottle ni_cae." in text.split("### e.")[1].split("### f.")[0]


def test_a_study_that_could_not_be_made_gives_its_reason():
    gap = study(gap="Too few defects.", statements=[], figures=[], notes=[])
    assert "**bottle**: Too few defects." in report.markdown(evidence(studies={("bottle", "labels"): gap}))


def test_a_generators_grid_stands_beside_what_was_measured():
    quality = {
        "frechet": {"generated": 0.5, "real_halves": 0.1, "features": "principal components"},
        "memorisation": {
            "median_generated_to_train": 0.05, "median_train_to_train": 0.06, "share_of_copies": 0.25,
        },
        "diversity": {"ms_ssim_generated": 0.9, "ms_ssim_train": 0.6, "share_of_repeats": 0.4},
        "collapsed": True, "collapsed_because": "40% of the images repeat another one",
        "memorised": False, "memorised_because": None,
        "unlike": True, "unlike_because": "they are far off",
    }  # fmt: skip
    drawn = frozenset(f"categories/bottle/dcgan/figures/{name}.png" for name in ("grid", "nearest"))
    given = evidence(qualities={("bottle", "dcgan"): quality}, pictures=drawn)
    text = "\n".join(figures.blocks(replace(given, generators=("dcgan",))))
    assert "at 0.0500 in the median (training images to each other 0.0600), 25% copies" in text
    assert "MS-SSIM 0.900 (training images 0.600), 40% repeats" in text
    assert "**collapsed**: 40% of the images repeat another one" in text
    assert "**made images unlike the training images**: they are far off." in text
    assert all(f"]({path})" in text for path in drawn)
    assert not drawn & set(re.findall(r"\]\((.*?)\)", "\n".join(figures.blocks(given)))), "switched off"
