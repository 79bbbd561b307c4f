"""Search spaces: every model's holds params.yaml's own settings, and what is drawn is a valid model."""

import random

import pytest

from mlproject import models
from mlproject.core import params
from mlproject.models.components import search_space
from mlproject.models.components.search_space import RATE, Choice, Range

DEFAULTS = params.load_file()["models"]
TUNABLE = [name for name in models.names() if not models.detector_class(name).supervised]
SPACE = {
    "size": Range(1, 8, log=True, integer=True),
    "noise.kind": Choice((None, "gaussian")),
    "noise.variance": Range(0.1, 0.2),
    "noise.target": Choice(("clean",)),
    RATE: Range(0.02, 0.2),
}


def at_random(seed):
    """Return who answers with any allowed value."""
    source = random.Random(seed)

    def ask(key, domain):
        if isinstance(domain, Choice):
            return source.choice(domain.options)
        value = source.uniform(domain.low, domain.high)
        return round(value) if domain.integer else value

    return ask


@pytest.mark.parametrize("name", TUNABLE)
def test_the_settings_of_params_yaml_lie_inside(name):
    """So a study can start from them, and say what it gained."""
    space = models.detector_class(name).search_space
    rate = params.value("threshold.false_alarm_rate")
    values = search_space.current(space, DEFAULTS[name], rate)
    assert values is not None
    assert values[RATE] == rate


@pytest.mark.parametrize("name", TUNABLE)
def test_whatever_is_drawn_makes_a_model(name):
    space = models.detector_class(name).search_space
    for seed in range(40):
        values = search_space.draw(space, DEFAULTS[name], at_random(seed))
        models.create(name, search_space.apply(DEFAULTS[name], values))


def test_every_key_is_a_setting_of_its_model():
    for name in TUNABLE:
        for key in models.detector_class(name).search_space.keys() - {RATE}:
            node = DEFAULTS[name]
            for part in key.split(".")[:-1]:
                node = node[part] or {"kind": None, "variance": None, "share": None, "target": None}
            assert key.rpartition(".")[2] in node, f"{name}: {key}"


def test_an_absent_section_is_null_and_its_keys_are_not_asked_for():
    asked = []

    def ask(key, domain):
        asked.append(key)
        return None if key == "noise.kind" else domain.low

    values = search_space.draw(SPACE, {"size": 3, "noise": None}, ask)
    assert asked == ["size", "noise.kind", RATE]
    settings = {"size": 3, "noise": {"kind": "gaussian", "variance": 0.1, "target": "clean"}}
    assert search_space.apply(settings, values) == {"size": 1, "noise": None}
    assert settings["noise"]["variance"] == 0.1, "the settings that were given stay"


def test_a_section_that_was_absent_is_made_with_the_choice_of_one():
    values = search_space.draw(
        SPACE, {"size": 3, "noise": None}, lambda key, d: "gaussian" if key == "noise.kind" else d.high
    )
    made = search_space.apply({"size": 3, "noise": None}, values)
    assert made == {"size": 8, "noise": {"kind": "gaussian", "variance": 0.2, "target": "clean"}}
    assert search_space.rate(values, 0.05) == 0.2
    assert search_space.rate({}, 0.05) == 0.05


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 9, "noise": None},
        {"size": 3, "noise": {"kind": "gaussian", "variance": 0.5, "target": "clean"}},
        {"size": 3, "noise": {"kind": "gaussian", "variance": 0.1, "target": "noisy"}},
    ],
)
def test_settings_outside_the_space_are_said_to_be(settings):
    assert search_space.current(SPACE, settings, 0.05) is None


def test_rates_that_the_images_cannot_support_are_not_drawn():
    assert search_space.supported(SPACE, 0.01) == SPACE
    assert search_space.supported(SPACE, 0.1)[RATE] == Range(0.1, 0.2)
    assert search_space.supported(SPACE, 0.3)[RATE] == Choice((0.2,))
