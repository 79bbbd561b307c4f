"""HTML for one image as one model sees it: pictures, heat map, verdict, and its score among the good ones."""

import base64
from dataclasses import dataclass
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from mlproject.data.decode import decode_bytes
from mlproject.inference.score_histogram import among, score_strip
from mlproject.models.components.detector import Detector
from mlproject.models.components.heat_scale import HeatScale
from mlproject.reports.figures.cases import compared, number, verdict_word
from mlproject.reports.figures.overlays import heat


@dataclass(frozen=True, eq=False)
class ImageInspector:
    """Show what a detector makes of an image, with its threshold and its recorded scores.

    Attributes:
        category: what its photos show.
        good_scores: (n,) recorded scores of good images that it was not trained on; may be empty.
        image_size: side of prepared images, pixels.
    """

    category: str
    detector: Detector
    threshold: float
    image_size: int
    good_scores: np.ndarray

    def inspect(self, photo: bytes, name: str) -> str:
        """Return HTML that shows what the model makes of an image file's content.

        Args:
            name: of the file.

        Raises:
            UndecodableImage: it is not an image of an allowed kind.
        """
        image = decode_bytes(photo, self.image_size)
        scored = self.detector.score(image[None])
        score, scale = float(scored.scores[0]), self.detector.heat_scale
        panels = [_panel(image, name, "as the model receives it")]
        if scored.reconstructions is not None:
            panels.append(_panel(scored.reconstructions[0], "Reconstruction", "as the model remakes it"))
        if scale:  # none in a model of release 0.1: no scale, no heat map, rather than one of its own
            panels.append(_panel(heat(scored.maps[0], scale), "Heat map", "where it looks unusual"))
        return (
            f"{self._verdict(score, {part: float(values[0]) for part, values in scored.parts.items()})}"
            f'<div class="panels">{"".join(panels)}</div>'
            f"{_colour_bar(scale) if scale else ''}"
            f"{self._strip(score)}"
        )

    def waiting(self) -> str:
        """Return HTML for the page before an image is given."""
        return (
            f'<div class="verdict none"><b>No image yet</b><span>Give a photo of a {escape(self.category)}, '
            f"taken as the model's training photos were.</span></div>{self._strip(None)}"
        )

    def _verdict(self, score: float, parts: dict[str, float]) -> str:
        word = verdict_word(score, self.threshold)
        because = f"<span>{compared(score, self.threshold, 'threshold ')}</span>"
        if len(parts) > 1:
            because += f"<small>{self._which_part(parts)}</small>"
        return f'<div class="verdict {word}"><b>{word.capitalize()}</b>{because}</div>'

    def _which_part(self, parts: dict[str, float]) -> str:
        """Name each measure, its value, and the limit above which it alone makes an image defective."""
        assert self.detector.combination is not None  # it has scored
        limits = self.detector.combination.part_thresholds(self.threshold)
        said = [
            f"{escape(part.replace('_', ' '))} {number(value)} (limit {number(limits[part])}"
            f"{', exceeded' if value > limits[part] else ''})"
            for part, value in parts.items()
        ]
        return f"One measure above its limit is enough: {'; '.join(said)}."

    def _strip(self, score: float | None) -> str:
        n = len(self.good_scores)
        about = f"Bars: {n} good images that the model was not trained on."
        if not n:
            about = "No scores of good images are recorded with this version."
        elif score is not None:
            about += f" {among(self.good_scores, score)}"
        return (
            f'<figure class="strip"><h3>Score among the good images</h3>'
            f"{score_strip(self.good_scores, self.threshold, score)}"
            f"<figcaption>{about} Right of the threshold an image is called defective.</figcaption></figure>"
        )


def problem(text: str) -> str:
    """Return HTML that explains why there is no verdict."""
    return f'<div class="verdict problem"><b>No verdict</b><span>{escape(text)}</span></div>'


def _panel(image: np.ndarray, title: str, about: str) -> str:
    return (
        f'<figure><img alt="{escape(title)}" src="{_data_url(image)}">'
        f"<figcaption><b>{escape(title)}</b> {about}</figcaption></figure>"
    )


def _colour_bar(scale: HeatScale) -> str:
    ramp = np.linspace(scale.low, scale.high, 256)[None]
    return (
        f'<div class="ramp"><span>usual</span><i><img alt="" src="{_data_url(heat(ramp, scale))}"></i>'
        f"<span>unusual</span><small>The same scale for every image: 0.1 % of good images' pixels lie "
        f"beyond the mark.</small></div>"
    )


def _data_url(image: np.ndarray) -> str:
    """Return an (h, w, 3) uint8 image as a data URL of a PNG."""
    file = BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
