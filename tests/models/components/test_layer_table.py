"""The layout is read off the network that was built: shapes, parameters, nothing left out."""

import pytest
from conftest import ROOT

from mlproject import models
from mlproject.commands.preset import presets
from mlproject.models.components import layer_table
from mlproject.reports.figures import network

PRESET = presets(ROOT / "params.yaml")["paper"]["models"]
PAPER_PARAMETERS = {"kd_cae": 333_955, "ni_cae": 191_481, "cnn": 622_753}


@pytest.mark.parametrize("model", PAPER_PARAMETERS)
def test_the_layers_hold_every_parameter_and_chain_from_image_to_output(model):
    detector = models.create(model, PRESET[model])
    layers = layer_table.layers(detector)
    assert (
        sum(layer["parameters"] for layer in layers) == PAPER_PARAMETERS[model] == detector.parameter_count()
    )
    side = PRESET[model]["image_size"]
    assert layers[0]["shape"] == [detector.channels, side, side]
    assert layers[-1]["shape"] == ([1] if model == "cnn" else layers[0]["shape"])


def test_kd_cae_has_the_papers_feature_maps():
    layers = layer_table.layers(models.create("kd_cae", PRESET["kd_cae"]))
    code = [layer for layer in layers if layer["part"] == "encoder"][-1]
    assert (code["layer"], code["shape"]) == ("max-pool 2", [128, 8, 8])
    assert [layer["layer"] for layer in layers[-2:]] == ["up 4×", "conv 3×3, Sigmoid"]


def test_what_is_no_network_has_no_layers():
    assert layer_table.layers(models.create("pca", PRESET["pca"])) == []


def test_the_figure_has_a_box_and_words_for_every_layer():
    layers = layer_table.layers(models.create("ni_cae", PRESET["ni_cae"]))
    figure = network.layout("NI-CAE", layers)
    (axes,) = figure.axes
    assert len(axes.patches) == len(layers)
    assert [label.get_text() for label in axes.get_xticklabels()][1] == "conv 3×3, ReLU  1,280"
    heights = [patch.get_height() for patch in axes.patches]
    assert heights[0] == max(heights) > heights[len(heights) // 2]
    assert "191,481 parameters" in figure.get_suptitle()
