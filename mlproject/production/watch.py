"""Watched folders and buckets: photos scored as they arrive, each verdict kept once, also after a kill."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from threading import Event

import numpy as np

from mlproject.core.errors import quoted
from mlproject.core.files import path_text
from mlproject.data import photos
from mlproject.data.buckets import BucketFault, Place
from mlproject.evaluation import drift, frame_map
from mlproject.inference.predict import Prediction, predict_photos, verdict_line
from mlproject.production.arrivals import Arrival, Arrivals, Folder, State, content_hash, state_of
from mlproject.production.drift_monitor import DriftMonitor
from mlproject.production.status_page import Figures
from mlproject.production.verdict_table import Scored, Verdict, VerdictTable
from mlproject.registry.model_in_use import ModelInUse

READ_TRIES = 3  # looks in which a file that the system does not let be read is tried
VERSION_SECONDS = 60.0  # between two questions whether the address names another version


class Watch:
    """One process that watches folders.

    Args:
        model: that photos are scored by.
        newer: returns another version that is to be used instead of the one given, or None.
        folders: absolute, see `arrivals.check_folders`.
        run_length: photos in which one false alarm of drift is allowed on average.
        figures: kept up to date.
        stop: ends the watch once the photos that are being scored have their verdicts.
        tell: prints a line for people.
    """

    def __init__(
        self,
        model: ModelInUse,
        newer: Callable[[ModelInUse], ModelInUse | None],
        folders: Sequence[Folder],
        table: VerdictTable,
        run_length: int,
        figures: Figures,
        stop: Event,
        tell: Callable[[str], None],
    ) -> None:
        self.newer = newer
        self.table = table
        self.run_length = run_length
        self.figures = figures
        self.stop = stop
        self.tell = tell
        self.arrivals = Arrivals(folders, self._is_known)
        self._tries: Counter[Place] = Counter()
        self._next_question = 0.0
        self._use(model)

    def run(self, every: float, *, once: bool) -> None:
        """Look for photos until `stop` is set.

        Args:
            every: seconds between two looks; a file that has not changed for so long is taken as whole.
            once: end after the second look, in which all that was there at the first one is scored, or once
                what could not be read then has been tried in READ_TRIES looks.

        Raises:
            sqlite3.Error: the table cannot be written.
        """
        self.look()
        for tries in itertools.count(1):
            if self.stop.wait(every):
                return
            self._follow()
            self.look()
            if once and (not self._tries or tries == READ_TRIES):
                return

    def look(self) -> None:
        """Score the photos that are whole since the last look; if a bucket fails, they wait for the next."""
        whole = self.arrivals.look()
        missing = dict(self.arrivals.missing)
        self.figures.looked(self.arrivals.waiting)
        try:
            self._score(whole)
        except BucketFault as error:
            missing |= {folder: str(error) for folder in self.arrivals.folders if isinstance(folder, str)}
        self._note(missing)

    def _score(self, whole: Sequence[Arrival]) -> None:
        todo = [arrival for arrival in whole if not self._has_verdict(arrival)]
        paths = takewhile(lambda _: not self.stop.is_set(), (arrival.path for arrival in todo))
        by = self.model.version
        predictions = predict_photos(by.detector, by.threshold, by.image_size, paths)
        for arrival, prediction in zip(todo, predictions, strict=False):  # fewer once it is to stop
            self._keep(arrival, prediction)

    def _is_known(self, path: Place, state: State) -> bool:
        return state in self.table.states(path_text(path))

    def _has_verdict(self, arrival: Arrival) -> bool:
        """Say whether a file holds what it held when it was scored: touched, or moved away and back."""
        name = path_text(arrival.path)
        if not self.table.states(name):
            return False
        try:
            known = self.table.renew(name, content_hash(arrival.path), arrival.state)
        except OSError:
            return False
        if known:
            self.arrivals.finish(arrival)
        return known

    def _keep(self, arrival: Arrival, prediction: Prediction) -> None:
        """Keep the verdict on a photo, unless the file changed while it was read."""
        path = arrival.path
        if prediction.error.startswith(photos.UNREADABLE):
            self._tries[path] += 1
            if self._tries[path] < READ_TRIES:
                return  # what a network did not give now it may give at the next look
        try:
            sha256 = content_hash(path)
        except OSError:
            sha256 = ""
        if state_of(path) != arrival.state:
            return  # written to meanwhile, or gone: hash and score may be of different contents
        del self._tries[path]
        now = time.time()
        verdict = self._verdict(arrival, prediction, sha256, now)
        made = self.table.add(verdict)
        self.arrivals.finish(arrival)
        self.figures.looked(self.arrivals.waiting)
        if made is None:
            return
        self.figures.add(verdict, now, now - arrival.found_at)
        row = prediction.row()
        if row["error"]:
            self.tell(f"unreadable {quoted(row['path'])}: {row['error']}")
            return
        self.tell(verdict_line(row))
        assert prediction.pixels is not None
        self._watch_drift(made, verdict, prediction.pixels)

    def _verdict(self, arrival: Arrival, prediction: Prediction, sha256: str, now: float) -> Verdict:
        brightness = sharpness = None
        if prediction.pixels is not None:
            brightness, sharpness = drift.photo_statistics(prediction.pixels)
        by = self.model.version
        return Verdict(
            path=path_text(arrival.path),
            sha256=sha256,
            score=prediction.score,
            threshold=prediction.threshold,
            defective=prediction.defective,
            error=prediction.error or None,
            model=by.name,
            version=by.version,
            architecture=by.architecture,
            brightness=brightness,
            sharpness=sharpness,
            found_at=_iso(arrival.found_at),
            scored_at=_iso(now),
            **arrival.state._asdict(),
        )

    def _watch_drift(self, number: int, verdict: Verdict, pixels: np.ndarray) -> None:
        assert verdict.score is not None and verdict.brightness is not None and verdict.sharpness is not None
        seen = frame_map.frame_map(pixels).tobytes()
        self.table.add_map(number, seen)
        photo = Scored(number, verdict.scored_at, verdict.score, verdict.brightness, verdict.sharpness, seen)
        alarms = self.monitor.add(photo)
        for line in alarms:
            self.tell(line)
        self.figures.compared(self.monitor.last, len(alarms))

    def _note(self, missing: Mapping[Folder, str]) -> None:
        """Tell once that a folder is gone, and once that it is there again.

        Args:
            missing: folder that is gone → why.
        """
        for folder in self.figures.missing:
            if folder not in missing:
                self.tell(f"{quoted(folder)}: is there again")
        for folder, why in missing.items():
            if folder not in self.figures.missing:
                self.tell(why)
        self.figures.looked(self.arrivals.waiting, missing)

    def _follow(self) -> None:
        """Use another version where the model's address names one by now; without an answer, go on."""
        if time.monotonic() < self._next_question:
            return
        self._next_question = time.monotonic() + VERSION_SECONDS
        try:
            found = self.newer(self.model)
        except Exception as error:  # noqa: BLE001 # whatever is wrong with the registry, the line goes on
            self.tell(f"{self.model.version.title} stays in use: {' '.join(str(error).split())}")
            return
        if found:
            self.tell(f"{self.model.version.title} is replaced by {found.version.title}")
            self._use(found)

    def _use(self, model: ModelInUse) -> None:
        self.model = model
        self.monitor = DriftMonitor(self.table, model, self.run_length)
        self.figures.use(model.version)
        self.figures.compared(self.monitor.last)
        self._next_question = time.monotonic() + VERSION_SECONDS


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
