"""The paper's numbers are the paper's; its literal thresholds apply only where they mean something."""

import numpy as np
import pytest
from conftest import ROOT

from mlproject.commands.preset import presets
from mlproject.core import params
from mlproject.evaluation import paper_protocol
from mlproject.reports.paper import published
from mlproject.reports.paper.published import RESULTS

# As the tables print them, column by column: another typing of the same page.
PRINTED = {
    "cnn_auc": (".65", ".31", ".29", ".02", ".70"),
    "cnn_f1": (".25", ".09", ".07", ".07", ".04"),
    "error_threshold": (".005", ".004", ".004", ".003", ".0055"),
    "log_density_threshold": ("5630", "5600", "5625", "5651", "5350"),
    "n_train": ("60", "167", "256", "254", "171"),
    "n_test": ("42", "86", "160", "124", "100"),
    "anomaly_share": (".71", ".77", ".75", ".74", ".40"),
    "kd_cae_f1": (".85", ".87", ".11", ".72", ".59"),
    "ni_cae_f1_without_noise": (".7347", ".3703", ".1221", ".4203", ".8083"),
    "ni_cae_f1_with_noise": (".5282", ".2412", ".083", ".3394", ".7876"),
}
PRESET = presets(ROOT / "params.yaml")["paper"]["models"]


@pytest.mark.parametrize("name", PRINTED)
def test_numbers_are_those_of_the_paper(name):
    assert list(RESULTS) == ["toothbrush", "bottle", "screw", "leather", "transistor"]
    assert [getattr(row, name) for row in RESULTS.values()] == [float(text) for text in PRINTED[name]]


def test_calling_everything_defective_is_computed_from_the_shares():
    assert [round(row.all_defective_f1, 2) for row in RESULTS.values()] == [0.83, 0.87, 0.86, 0.85, 0.57]
    assert [(row.n_good, row.n_defective) for row in RESULTS.values()] == [
        (12, 30), (20, 66), (40, 120), (32, 92), (60, 40),
    ]  # fmt: skip


@pytest.mark.parametrize("model", published.SETTINGS)
def test_the_preset_paper_is_in_nothing_unlike_the_paper(model):
    assert published.unlike(model, PRESET[model]) == {}


def test_every_setting_in_which_a_model_differs_is_named():
    other = PRESET["ni_cae"] | {"noise": None, "image_size": 128}
    assert published.unlike("ni_cae", other) == {
        "image_size": (128, 256),
        "noise.kind": (None, "gaussian"),
        "noise.variance": (None, 0.001),
        "noise.share": (None, 0.1),
        "noise.target": (None, "clean"),
        "noise.redraw": (None, False),
    }
    assert published.unlike("pca", {"image_size": 64}) == {}


def test_the_literal_thresholds_need_the_papers_units():
    limits = {"reconstruction_error": 0.004, "negative_log_density": -5600}
    literal = published.literal_thresholds
    assert literal("bottle", "kd_cae", PRESET["kd_cae"]) == limits
    assert literal("bracket", "kd_cae", PRESET["kd_cae"]) is None
    assert literal("bottle", "ni_cae", PRESET["ni_cae"]) is None
    for name, value in (("pooling", "max"), ("normalise", True), ("smoothing", 4), ("kind", "ssim")):
        changed = PRESET["kd_cae"] | {"map": PRESET["kd_cae"]["map"] | {name: value}}
        assert literal("bottle", "kd_cae", changed) is None
    assert literal("bottle", "kd_cae", PRESET["kd_cae"] | {"bandwidth": 0.3}) is None


def test_an_error_above_or_a_density_below_makes_an_image_defective():
    test = {
        "reconstruction_error": np.array([0.004, 0.005, 0.001, 0.001]),
        "negative_log_density": np.array([-5600.0, -5650.0, -5599.0, -5650.0]),  # log-density 5600, 5650, …
    }
    limits = {"reconstruction_error": 0.004, "negative_log_density": -5600.0}
    got = paper_protocol.at_thresholds(limits, test, np.array([0, 1, 1, 1]))
    assert (got["recall"], got["false_alarm_rate"]) == (pytest.approx(2 / 3), 0)
    assert got["thresholds"] == limits


def test_the_preset_papers_generator_is_the_papers():
    """Section 3.3.3, and the 128 px of its Fig. 6."""
    dcgan = presets(ROOT / "params.yaml")["paper"]["generators"]["dcgan"]
    assert (dcgan["image_size"], dcgan["latent"], dcgan["learning_rate"], dcgan["beta1"]) == (
        128,
        100,
        2e-4,
        0.5,
    )
    assert dcgan["instance_noise"] == 0
    assert dcgan.keys() == params.value("generators.dcgan", ROOT / "params.yaml").keys()
