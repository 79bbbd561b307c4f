"""What the page says of one image: scale, strip, words. Without a browser."""

import re

import numpy as np
import pytest

from mlproject.inference.inspect_view import ImageInspector
from mlproject.inference.score_histogram import among, score_strip
from mlproject.models.components.combination import Combination
from mlproject.models.components.detector import Detector, Parts
from mlproject.models.components.heat_scale import HeatScale

GOOD = np.linspace(0, 10, 40)


def png() -> bytes:
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 10)).save(file, format="PNG")
    return file.getvalue()


class Fixed(Detector):
    """Measures the same on every image, and reconstructs nothing."""

    part_names = ("edge_error", "far_away")

    def __init__(self, *values: float) -> None:
        super().__init__(settings=None)
        self.values = values
        self.combination = Combination(
            {"edge_error": 0.0, "far_away": 100.0}, dict.fromkeys(self.part_names, 1.0)
        )

    def fit(self, train, validation, **options):
        raise NotImplementedError

    def measure(self, images: np.ndarray) -> Parts:
        parts = dict(zip(self.part_names, (np.array([value]) for value in self.values), strict=True))
        return Parts(parts, np.zeros((1, 8, 8), np.float32), None)

    def state(self):
        return {}

    def restore(self, arrays):
        raise NotImplementedError


def inspector(*values: float, scale: HeatScale | None = None) -> ImageInspector:
    detector = Fixed(*values)
    detector.heat_scale = scale
    return ImageInspector("bottle", detector, threshold=5.0, image_size=16, good_scores=GOOD)


def test_a_model_without_reconstructions_shows_the_others():
    html = inspector(1.0, 101.0, scale=HeatScale(0, 1)).inspect(png(), "a.png")
    assert re.findall(r"<figcaption><b>(.*?)</b>", html) == ["a.png", "Heat map"]


def test_a_model_without_a_recorded_scale_shows_no_heat():
    html = inspector(1.0, 101.0).inspect(png(), "a.png")
    assert "Heat map" not in html
    assert "usual" not in html


@pytest.mark.parametrize(
    ("values", "word", "exceeded"),
    [((5.0, 105.0), "Good", 0), ((5.1, 100.0), "Defective", 1), ((0.0, 106.0), "Defective", 1)],
)
def test_several_measures_are_named_with_their_limits(values, word, exceeded):
    html = inspector(*values).inspect(png(), "a.png")
    assert f"<b>{word}</b>" in html
    assert "edge error" in html
    assert "(limit 105" in html
    assert html.count("exceeded") == exceeded


def test_names_from_outside_are_text():
    assert "<script>" not in inspector(1.0, 101.0).inspect(png(), "<script>.png")


def at(svg: str, kind: str) -> float:
    """Return where on the axis a part of the drawing lies."""
    (x,) = re.findall(rf'class="{kind}"[^>]*? (?:x1|x|d)="M?([\d.]+)', svg)
    return float(x)


def test_the_image_lies_on_its_side_of_the_threshold():
    below, above = score_strip(GOOD, 9.0, 3.0), score_strip(GOOD, 9.0, 12.0)
    assert at(below, "here") < at(below, "limit") < at(above, "here")
    assert "→" not in above


def test_a_far_image_does_not_crush_the_good_ones():
    far = score_strip(GOOD, 9.0, 1e6)
    assert "1000000 →" in far
    assert at(far, "limit") > 200


@pytest.mark.parametrize("good", [np.empty(0), np.zeros(1), np.zeros(5)])
def test_few_or_equal_scores_are_drawn_too(good):
    assert score_strip(good, 0.0, 0.0).count('class="good"') == min(1, len(good))


def test_the_place_among_the_good_in_words():
    assert among(GOOD, 10.5) == "It scores higher than all 40 good images on record."
    assert among(GOOD, 10.0) == "1 of the 40 good images on record score as high or higher."
