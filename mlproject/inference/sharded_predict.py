"""Photos scored over a Ray cluster in shards: any number of them, each exactly once.

A shard is a list of photos whose scores are kept in one file, `<out>.shards/<key>.parquet`, once they are
known. The key depends on all that decides them, so a command that is called again scores only what is
missing. The results are written at the end, and the shards removed.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlproject import models
from mlproject.core.files import path_text
from mlproject.data import buckets
from mlproject.data.buckets import Place, Stored
from mlproject.engines import Cluster, folders, ray_cluster, ray_worker
from mlproject.inference import predict, results
from mlproject.models.components import threads
from mlproject.models.components.detector import Detector

SHARD = 16 * predict.BATCH  # photos; whole batches, so that a photo's batch is that of `mlproject predict`
AHEAD = 2  # shards per core that run or wait at a time: what is not yet written stays small


@dataclass(frozen=True)
class Shard:
    """Photos that are scored together.

    Attributes:
        key: 16 hex digits of all that decides their scores.
    """

    key: str
    paths: tuple[Place, ...]

    def __str__(self) -> str:
        return f"{len(self.paths)} photos from {self.paths[0]} on"


@dataclass(frozen=True)
class Model:
    """A detector as it is sent to machines; `files` as `Detector.save` wrote them, by name."""

    files: Mapping[str, bytes]
    threshold: float
    image_size: int

    @classmethod
    def of(cls, detector: Detector, threshold: float, image_size: int) -> "Model":
        """Return a detector with its threshold and the side of its images."""
        with tempfile.TemporaryDirectory() as folder:
            detector.save(Path(folder) / "model")
            return cls(folders.packed(Path(folder) / "model"), threshold, image_size)

    @property
    def key(self) -> str:
        """Hex digits of what decides scores and verdicts: model, threshold, code, libraries."""
        found = hashlib.sha256(repr((self.threshold, self.image_size, ray_worker.versions())).encode())
        for name, content in sorted(self.files.items()):
            found.update(name.encode() + content)
        return found.hexdigest()


def shards(paths: Sequence[Place], model: str) -> Iterator[Shard]:
    """Yield the shards of photos, in order.

    Args:
        model: `Model.key`.
    """
    for first in range(0, len(paths), SHARD):
        own = tuple(paths[first : first + SHARD])
        key = hashlib.sha256(model.encode())
        for path in own:
            key.update(_state(path))
        yield Shard(key.hexdigest()[:16], own)


def _state(path: Place) -> bytes:
    """Return a photo's path, size and time of change; of one that is gone, its path alone."""
    if isinstance(path, Stored):
        return f"{path.url}\0{path.bytes} {path.etag}\0".encode()
    try:
        status = path.stat()
    except OSError:
        return os.fsencode(path) + b"\0"
    return os.fsencode(path) + f"\0{status.st_size} {status.st_mtime_ns}\0".encode()


class Run:
    """A prediction of many photos.

    Attributes:
        folder: of the finished shards.
        shards: all of them, in order.
        missing: those that no earlier call finished.
    """

    def __init__(self, model: Model, paths: Sequence[Place], out: Path) -> None:
        self.model, self.out = model, out
        self.folder = out.with_name(f"{out.name}.shards")
        self.shards = list(shards(paths, model.key))
        self.missing = [shard for shard in self.shards if not self._file(shard).is_file()]

    def score(self, cluster: Cluster, given: Sequence[str]) -> Iterator[Shard]:
        """Yield each missing shard once it is kept.

        Args:
            given: files, folders and buckets that hold the photos, which every machine must see.

        Raises:
            UserError: as `ray_cluster.connected` and `ray_cluster.completed`; the disk is full.
        """
        if not self.missing:
            return
        needed = [Path(name) for name in given if not buckets.is_url(name)]
        with ray_cluster.connected(cluster) as cores:
            for shard, table in ray_cluster.completed(
                score,
                self.missing,
                at_once=AHEAD * cores,
                needed=needed,
                start=begin,
                arguments=(self.model,),
            ):
                results.write_table(self._file(shard), table)
                yield shard

    def finish(self) -> pd.DataFrame:
        """Write the results, one row a photo in the order of the paths; return them."""
        table = pd.concat([pd.read_parquet(self._file(shard)) for shard in self.shards], ignore_index=True)
        if table["path"].tolist() != [path_text(path) for shard in self.shards for path in shard.paths]:
            raise RuntimeError(f"{self.folder}: holds other photos than were asked for")
        table = table.astype(results.TYPES)
        results.write_table(self.out, table)
        shutil.rmtree(self.folder)
        return table

    def _file(self, shard: Shard) -> Path:
        return self.folder / f"{shard.key}.parquet"


_worker: dict[str, Any] = {}


def begin(model: Model) -> None:
    """Load the model in a process of a machine; it is kept there for all shards."""
    with tempfile.TemporaryDirectory() as folder:
        folders.unpack(model.files, Path(folder) / "model")
        _worker["detector"] = models.load(Path(folder) / "model")
    _worker["model"] = model


def score(shard: Shard) -> pd.DataFrame:
    """Return the rows of a shard's photos, computed on one thread in a process that `begin` prepared."""
    model: Model = _worker["model"]
    with threads.one_thread():
        found = predict.predict_photos(_worker["detector"], model.threshold, model.image_size, shard.paths)
        return results.table([prediction.row() for prediction in found])
