"""Drift of a watched line: verdicts gathered into windows, each compared once, findings kept in the table."""

from collections.abc import Sequence

import numpy as np

from mlproject.evaluation import drift, frame_map
from mlproject.evaluation.drift import Finding, Photos
from mlproject.production.verdict_table import Scored, VerdictTable, Window
from mlproject.registry.model_in_use import ModelInUse

OWN = drift.OWN_WINDOWS * drift.WINDOW  # photos that later ones are compared with


class DriftMonitor:
    """Windows of one version's photos; another process goes on with the window that this one began.

    Args:
        run_length: photos in which one false alarm is allowed on average.

    Attributes:
        last: the newest window; None before the first is full.
    """

    def __init__(self, table: VerdictTable, model: ModelInUse, run_length: int) -> None:
        self.table = table
        self.model = model
        self.level = drift.alarm_level(run_length)
        name, version = model.version.name, model.version.version
        self.last = table.last_window(name, version)
        self._own = table.scored(name, version, 0, OWN)
        self._recent = table.scored(name, version, self.last.last_id if self.last else 0, -1)

    def add(self, photo: Scored) -> list[str]:
        """Take a photo with a score; return a line for each window that is full now and is an alarm.

        More than one is full where a process was killed after it kept verdicts and before it compared them.
        """
        self._recent.append(photo)
        if len(self._own) < OWN:
            self._own.append(photo)
        lines = []
        while len(self._recent) >= drift.WINDOW:
            window, self._recent = self._recent[: drift.WINDOW], self._recent[drift.WINDOW :]
            finding = self._compare(window)
            if self.last and self.last.alarm:
                lines.append(_line(finding))
        return lines

    def _compare(self, window: Sequence[Scored]) -> Finding:
        number, before = (self.last.number + 1, self.last.last_id) if self.last else (1, 0)
        own = _photos(self._own) if number > drift.OWN_WINDOWS else None
        version = self.model.version
        finding = drift.compare(self.model.good_scores, own, _photos(window), version.threshold)
        self.last = Window(
            version.name,
            version.version,
            number,
            window[-1].id,
            window[-1].scored_at,
            finding.p_value,
            finding.p_value <= self.level,
            *(finding.p_values.get(name) for name in drift.TESTS),
        )
        self.table.add_window(self.last)
        if number > drift.OWN_WINDOWS:
            self.table.forget_maps(version.name, version.version, before, self.last.last_id)
        return finding


def _photos(rows: Sequence[Scored]) -> Photos:
    none = np.full(frame_map.VALUES, np.nan, frame_map.DTYPE)
    maps = [none if row.frame_map is None else np.frombuffer(row.frame_map, frame_map.DTYPE) for row in rows]
    return Photos(
        np.array([row.score for row in rows]),
        np.array([row.brightness for row in rows]),
        np.array([row.sharpness for row in rows]),
        np.stack(maps),
    )


def _line(found: Finding) -> str:
    higher = found.now > found.before
    if found.strongest == "defective":
        what = f"{found.now:.0%} called defective, {found.before:.0%} of the first {OWN}"
    elif found.strongest == "place" and found.place:
        place = found.place
        ways = {"light": ("darker", "brighter"), "detail": ("less detail", "more detail")}
        what = f"{ways[place.aspect][higher]} than before at x {place.x:.2f}, y {place.y:.2f} of the frame"
    else:
        way = "higher" if higher else "lower"
        what = f"{found.strongest} {way} than before, median {found.now:.4g}, was {found.before:.4g}"
    return f"drift      in the last {drift.WINDOW} photos: {what} (p = {found.p_value:.2g})"
