"""Draw where one score lies among those of good images, as SVG for a web page."""

import numpy as np

from mlproject.reports.figures.cases import number

WIDTH, HEIGHT, BASE = 720, 150, 112  # the drawing's units; BASE: where the axis lies
LEFT, RIGHT = 24, WIDTH - 24
BINS = 36
TALLEST = 60  # height of the tallest bar
LABEL_ROOM = 80  # a label nearer to the edge than this is written to the other side


def score_strip(good_scores: np.ndarray, threshold: float, score: float | None) -> str:
    """Return an <svg> of the good images' scores as bars, the threshold, and the score of one image.

    The axis is that of the good images and the threshold, at most twice as long: a score beyond it is an
    arrow at the edge, so that one far image does not crush the rest.

    Args:
        good_scores: (n,), may be empty.
        score: None while there is no image.
    """
    low, high = _range(good_scores, threshold, score)

    def x(value: float) -> float:
        return LEFT + (min(max(value, low), high) - low) / (high - low) * (RIGHT - LEFT)

    limit = x(threshold)
    parts = [
        f'<rect class="beyond" x="{limit:.1f}" y="14" width="{RIGHT - limit:.1f}" height="{BASE - 14}"/>',
        *_bars(good_scores, low, high),
        f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BASE}" y2="{BASE}"/>',
        f'<line class="limit" x1="{limit:.1f}" x2="{limit:.1f}" y1="14" y2="{BASE}"/>',
        _label("limit-text", limit, 10, f"threshold {number(threshold)}"),
    ]
    if score is not None:
        at, beyond = x(score), "" if low <= score <= high else " →" if score > high else " ←"
        parts.append(f'<path class="here" d="M{at:.1f} {BASE + 3} l-8 14 h16 z"/>')
        parts.append(_label("here-text", at, BASE + 33, f"this image {number(score)}{beyond}"))
    said = f"{len(good_scores)} scores of good images, threshold {number(threshold)}"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">{"".join(parts)}</svg>'


def among(good_scores: np.ndarray, score: float) -> str:
    """Say in words where a score lies among (n,) good ones."""
    n, below = len(good_scores), int((np.asarray(good_scores) < score).sum())
    if below == n:
        return f"It scores higher than all {n} good images on record."
    return f"{n - below} of the {n} good images on record score as high or higher."


def _range(good_scores: np.ndarray, threshold: float, score: float | None) -> tuple[float, float]:
    known = [*np.asarray(good_scores, dtype=np.float64).tolist(), threshold]
    low, high = min(known), max(known)
    span = (high - low) or abs(high) or 1.0
    if score is not None:
        low, high = max(min(low, score), low - span), min(max(high, score), high + span)
    return low - span * 0.08, high + span * 0.08


def _bars(good_scores: np.ndarray, low: float, high: float) -> list[str]:
    counts, _ = np.histogram(good_scores, bins=BINS, range=(low, high))
    width = (RIGHT - LEFT) / BINS
    unit = min(TALLEST / max(1, counts.max()), 8)  # few images: small bars, not one tall one
    return [
        f'<rect class="good" x="{LEFT + i * width + 1:.1f}" y="{BASE - count * unit:.1f}" '
        f'width="{width - 2:.1f}" height="{count * unit:.1f}"/>'
        for i, count in enumerate(counts.tolist())
        if count
    ]


def _label(kind: str, x: float, y: float, text: str) -> str:
    anchor = "start" if x < LEFT + LABEL_ROOM else "end" if x > RIGHT - LABEL_ROOM else "middle"
    return f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>'
