"""Photos in buckets: found, scored, watched and fed back as those of folders; faults in one line."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from support import object_store
from support.object_store import BUCKET, FOREIGN, ObjectStore
from support.watched_line import write_photos

from mlproject import models
from mlproject.core.errors import UserError
from mlproject.data import buckets, photos
from mlproject.production import arrivals, feedback, verdict_table
from mlproject.production.status_page import Figures
from mlproject.production.watch import Watch
from mlproject.registry.model_in_use import ModelInUse
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project", "support.promotion_project"]

LINE = f"s3://{BUCKET}/line-7"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store.running() as started:
        yield started


@pytest.fixture
def bucket(store, tmp_path, monkeypatch):
    """The bucket, empty, and the shell of somebody who may use it; a function that sets other values."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def shell(**values: str) -> None:
        buckets.client.cache_clear()
        for name, value in (store.keys | values).items():
            monkeypatch.setenv(name, value)

    shell()
    for stored in list(buckets.below(f"s3://{BUCKET}")):
        store.client().delete_object(Bucket=BUCKET, Key=buckets.split(stored.url)[1])
    yield shell
    buckets.client.cache_clear()


def put(store: ObjectStore, key: str, content: bytes) -> None:
    store.client().put_object(Bucket=BUCKET, Key=key, Body=content)


@pytest.fixture
def uploaded(store, bucket, tmp_path) -> Path:
    """A folder with photos, and what hides among them, and the same below `LINE`."""
    folder = tmp_path / "photos"
    write_photos(folder / "lot 7", 3)
    (folder / "broken.png").write_bytes((folder / "lot 7/0000.png").read_bytes()[:400])
    (folder / "notes.txt").write_text("no photo")
    (folder / ".thumbs").mkdir()
    (folder / ".thumbs/a.png").write_text("hidden")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            put(store, f"line-7/{path.relative_to(folder)}", path.read_bytes())
    put(store, "line-7/", b"")  # as consoles make folders
    put(store, "line-70/a.png", (folder / "lot 7/0000.png").read_bytes())
    return folder


@pytest.fixture
def line(first, tmp_path, monkeypatch) -> Path:
    """A working directory that has nothing but MLFLOW_TRACKING_URI; bottle@champion is version 1."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", connection.uri())
    connection.connect().set_registered_model_alias(first.name, "champion", str(first.version))
    (tmp_path / "line").mkdir()
    monkeypatch.chdir(tmp_path / "line")
    return tmp_path / "line"


def table(file: str, below: str) -> pd.DataFrame:
    """Return path, score and error of a results file, the paths as they are below a folder."""
    found = pd.read_csv(file, float_precision="round_trip")[["path", "score", "error"]]
    found["path"] = found["path"].str.removeprefix(f"{below}/")
    return found.sort_values("path", ignore_index=True)


def test_photos_of_a_bucket_get_the_scores_of_a_folders(uploaded, line, mlproject):
    code, _, told = mlproject("predict", "bottle", LINE, "--out", "s3.csv", "--overlays", "overlays")
    assert code == 1, told
    assert "Left out, not photos: 1 .txt, 1 hidden" in told
    assert f"{LINE}/broken.png: truncated" in told
    mlproject("predict", "bottle", str(uploaded), "--out", "folder.csv")
    pd.testing.assert_frame_equal(table("s3.csv", LINE), table("folder.csv", str(uploaded)), check_exact=True)
    drawn = sorted(str(path) for path in Path("overlays").rglob("*.png"))
    assert drawn == [f"overlays/lot 7/000{number}.png.png" for number in range(3)]
    code, _, told = mlproject("predict", "bottle", f"{LINE}/lot 7/0001.png", "--out", "one.csv")
    assert code == 0, told
    assert table("one.csv", LINE)["path"].tolist() == ["lot 7/0001.png"]


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("predict", f"{LINE}/0009.png", "0009.png: not found"),
        ("predict", f"s3://{BUCKET}/empty", "no images"),
        ("predict", "s3://gone/line", "has no such bucket: correct the bucket's name, or AWS_ENDPOINT_URL"),
        ("predict", f"s3://{FOREIGN}/line", "denies this key access"),
        ("watch", "s3://gone/line", "has no such bucket"),
        ("watch", f"s3://{FOREIGN}/line", "denies this key access"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(uploaded, line, mlproject, command, given, said):
    output = {"predict": ("--out", "r.csv"), "watch": ("--once", "--table", "t.db")}[command]
    code, out, err = mlproject(command, "bottle", given, *output)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert said in err
    assert not list(line.iterdir())


def test_a_wrong_key_is_one_line_and_no_error_of_a_photo(uploaded, line, mlproject, bucket):
    (stored,) = photos.find([f"{LINE}/lot 7/0001.png"]).paths
    bucket(AWS_SECRET_ACCESS_KEY="wrong")
    for command in (["predict", "bottle", LINE], ["watch", "bottle", LINE, "--once"]):
        code, out, err = mlproject(*command)
        assert (code, out) == (2, "")
        assert f"error: {LINE}: its S3 store refuses the secret key: correct AWS_SECRET_ACCESS_KEY" in err
    with pytest.raises(buckets.BucketFault):
        list(photos.decoded([stored], 32))
    assert not list(line.iterdir())


def test_a_photo_that_goes_away_after_it_was_found_is_named(store, uploaded):
    found, _ = photos.find([LINE])
    store.client().delete_object(Bucket=BUCKET, Key="line-7/lot 7/0001.png")
    errors = {str(photo.path): photo.error for photo in photos.decoded(found, 32)}
    assert errors[f"{LINE}/lot 7/0001.png"] == "not found"
    assert list(errors.values()).count("") == 2


def test_a_watched_bucket_has_a_row_a_photo_and_feeds_back(store, uploaded, line, mlproject):
    watch = ("watch", "bottle@champion", f"{LINE}/", "--once", "--every", "0.01")
    assert mlproject(*watch)[0] == 0
    assert mlproject("verdicts", "verdicts.db", "--out", "v.csv")[0] == 0
    mlproject("predict", "bottle", LINE, "--out", "p.csv")
    pd.testing.assert_frame_equal(table("v.csv", LINE), table("p.csv", LINE), check_exact=True)
    assert mlproject(*watch)[1] == "", "each has its verdict"
    other = (uploaded / "lot 7/0001.png").read_bytes()
    put(store, "line-7/lot 7/0000.png", other)  # written over
    put(store, "line-7/lot 8/0000.png", other)
    assert len(mlproject(*watch)[1].splitlines()) == 2
    mlproject("verdicts", "verdicts.db", "--out", "v.csv")
    rows = pd.read_csv("v.csv").drop_duplicates("path", keep="last").assign(truth="")
    rows.loc[rows["path"] == f"{LINE}/lot 8/0000.png", "truth"] = "good"
    rows.to_csv("corrected.csv", index=False)
    (made,) = feedback.read(Path("corrected.csv"))
    assert made.sha256 == hashlib.sha256(other).hexdigest()
    assert made.name.endswith(".png")
    store.client().delete_object(Bucket=BUCKET, Key="line-7/lot 8/0000.png")
    with pytest.raises(UserError, match=r"line \d+: s3://.*/lot 8/0000.png cannot be read \(not found\)"):
        feedback.read(Path("corrected.csv"))


def test_a_bucket_that_goes_away_is_said_once_and_looked_for(uploaded, line, bucket, trained):
    version = SimpleNamespace(
        name="sample-bottle", version="1", architecture="kd_cae", title="version 1", threshold=1.5,
        image_size=48, detector=models.load(trained),
    )  # fmt: skip
    lines: list[str] = []
    with verdict_table.opened(line / "verdicts.db", new=True) as kept:
        figures = Figures(kept, 1)
        model = ModelInUse(version, np.empty(0))
        made = Watch(model, lambda now: None, [LINE], kept, 10_000, figures, Event(), lines.append)
        made.look()
        whole = made.arrivals.look()
        for _ in range(2):
            bucket(AWS_ENDPOINT_URL="http://127.0.0.1:9")
            made.look()
            assert "does not answer" in figures.problems()[0]
        with pytest.raises(buckets.BucketFault):
            arrivals.state_of(whole[0].path)
        bucket()
        made.look()
        made.look()
        assert figures.problems() == []
        assert lines[0].startswith(f"{LINE}: its S3 store does not answer")
        assert lines[1] == f"{LINE}: is there again"
        assert len(kept.rows()) == 4 == len(lines) - 2
