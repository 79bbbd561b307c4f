"""Roles and folds: each image's own, whatever the others; evenly filled; never empty."""

import numpy as np
import pytest

from mlproject.core.errors import TooFewImages
from mlproject.data.split import _ROLE_STEP, _place, folds, in_seeded_order, split

PURPOSES = {"pool": "cdhbgaef", "samples": "afbgedch", "contamination": "aecbfgdh", "labels": "dagcbhef"}


def numbered(n: int) -> list[str]:
    return [f"train/good/{i:03d}.png" for i in range(n)]


def role_of(paths: list[str], seed: int = 0, share: float = 0.2, calibration: str = "half") -> dict[str, str]:
    roles = split(paths, share, seed, calibration)
    return {paths[row]: role for role, rows in vars(roles).items() for row in rows}


def test_every_image_has_exactly_one_role():
    roles = split(numbered(209), 0.2, seed=0)
    rows = np.concatenate([roles.train, roles.validation, roles.calibration])
    assert sorted(rows) == list(range(209))


@pytest.mark.parametrize("calibration", ["half", "cross"])
def test_of_copies_one_is_held_out_and_all_are_learnt_from(calibration):
    once, five = numbered(40), [path for path in numbered(40) for _ in range(5)]
    alone, copied = (vars(split(paths, 0.2, 0, calibration)) for paths in (once, five))
    for role in ("validation", "calibration"):
        assert copied[role].tolist() == [5 * row for row in alone[role]]
    assert copied["train"].tolist() == [5 * row + copy for row in alone["train"] for copy in range(5)]


@pytest.mark.parametrize("calibration", ["half", "cross"])
def test_adding_images_and_changing_their_order_leaves_every_role_as_it_was(calibration):
    before = role_of(numbered(60), calibration=calibration)
    added = ["train/good/a_new_one.png", *reversed(numbered(80)), "train/good/2024-05-01 12.30.jpg"]
    after = role_of(added, calibration=calibration)
    assert {path: after[path] for path in before} == before


def test_adding_images_leaves_every_fold_as_it_was():
    before = dict(zip(numbered(60), folds(numbered(60), 4, seed=3), strict=True))
    added = [*numbered(75), "train/good/x.png"]
    after = dict(zip(added, folds(added, 4, seed=3), strict=True))
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("n", [60, 209, 213, 391])  # MVTec's toothbrush, bottle, transistor, hazelnut
def test_numbered_images_fill_roles_and_folds_evenly_for_any_seed(n):
    for seed in range(30):
        roles = split(numbered(n), 0.2, seed)
        assert abs(len(roles.calibration) - 0.1 * n) < 3
        assert abs(len(roles.validation) - 0.1 * n) < 3
        sizes = np.bincount(folds(numbered(n), 4, seed))
        assert max(sizes) - min(sizes) <= 4


def test_names_without_numbers_fill_roles_about_as_asked():
    rng = np.random.default_rng(0)
    names = ["train/good/" + "".join(rng.choice(list("abcdefghij"), 12)) + ".png" for _ in range(2000)]
    assert abs(len(split(names, 0.2, seed=0).train) / 2000 - 0.8) < 0.04


def test_no_fold_swallows_all_validation_images():
    for seed in range(30):
        held_out = split(numbered(60), 0.2, seed, "cross").validation
        in_fold = np.bincount(folds(numbered(60), 4, seed)[held_out], minlength=4)
        assert max(in_fold) < len(held_out)


def test_another_seed_gives_other_roles():
    assert role_of(numbered(60), seed=0) != role_of(numbered(60), seed=1)


def test_the_folder_of_an_image_matters_not_only_its_name():
    paths = [f"train/good/batch_{batch}/{i:03d}.png" for batch in "ab" for i in range(60)]
    roles = role_of(paths)
    assert [roles[path] for path in paths[:60]] != [roles[path] for path in paths[60:]]


def test_a_seeded_order_is_the_same_in_every_release():
    """Other images would be held out, hidden or drawn, and figures of two releases be of different images."""
    found = {purpose: "".join(in_seeded_order("abcdefgh", 0, purpose)) for purpose in PURPOSES}
    assert found == PURPOSES
    assert in_seeded_order("abcdefgh", 1, "pool") != list(PURPOSES["pool"])


def test_cross_keeps_all_held_out_images_for_validation():
    roles = split(numbered(100), 0.2, seed=0, calibration="cross")
    assert len(roles.calibration) == 0
    halves = split(numbered(100), 0.2, seed=0, calibration="half")
    assert sorted(roles.validation) == sorted([*halves.validation, *halves.calibration])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_images_for_the_roles_are_refused_with_their_number(n):
    with pytest.raises(TooFewImages, match=f"^{n} image.*none is left for"):
        split(numbered(n), 0.2, seed=0)


def test_too_few_images_for_the_folds_are_refused():
    with pytest.raises(TooFewImages, match=r"3 images.*folds would be empty.*split\.folds"):
        folds(numbered(3), 4, seed=0)


def test_roles_are_pinned_so_that_a_new_version_does_not_reshuffle_old_data():
    roles = split(numbered(30), 0.2, seed=0)
    assert (list(roles.validation), list(roles.calibration)) == ([7, 12, 20], [2, 15, 28])


def test_folds_are_pinned_and_depend_on_the_seed():
    assert folds(numbered(12), 4, seed=0).tolist() == [0, 2, 0, 1, 3, 1, 2, 0, 2, 3, 1, 2]
    assert folds(numbered(12), 4, seed=1).tolist() == [0, 1, 3, 0, 2, 0, 1, 3, 1, 2, 0, 2]


def test_names_without_a_number_are_pinned():
    names = [f"train/good/{letter}.png" for letter in "abcdefghijklmnop"]
    assert (list(split(names, 0.4, 0).validation), list(split(names, 0.4, 0).calibration)) == (
        [1, 4, 8, 10, 14],
        [5, 13, 15],
    )


@pytest.mark.parametrize(
    ("n", "calibration", "said"),
    [
        (1, "half", r"^1 image of train/good: too few, none is left for validation and calibration with"),
        (1, "cross", r"^1 image of train/good: too few, none is left for validation with"),
        (
            0,
            "half",
            r"^0 images of train/good: too few, none is left for train and validation and calibration",
        ),
    ],
)
def test_the_roles_without_an_image_are_named(n, calibration, said):
    with pytest.raises(TooFewImages, match=said):
        split(numbered(n), 0.2, 0, calibration)


def test_only_calibration_may_lack_images():
    """Three of them with nothing below a tenth: the threshold would have none."""
    few = [path for path in numbered(60) if role_of(numbered(60))[path] != "calibration"]
    with pytest.raises(TooFewImages, match="none is left for calibration with"):
        split(few, 0.2, seed=0)
    assert len(split(few, 0.2, 0, "cross").validation) > 0


def test_places_are_pinned_to_the_bit_and_stay_below_1():
    """The last eleven bits are dropped: a quotient of more could round up to 1."""
    assert _place("train/good/a.png", 0, 1, "role") == 18335774219299815424
    assert _place("train/good/7.png", 0, _ROLE_STEP, "role") == 1847678920399626240
