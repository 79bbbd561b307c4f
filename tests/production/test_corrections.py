"""What a person marks is in the table that `mlproject feedback` reads, once a photo."""

from pathlib import Path

import pandas as pd
import pytest
from support.watched_line import write_photos

from mlproject.core.errors import UserError
from mlproject.production import feedback
from mlproject.production.corrections import Corrections, renew


@pytest.fixture
def photo(tmp_path) -> Path:
    return write_photos(tmp_path / "photos", 1)[0]


def test_the_truth_of_a_photo_of_the_line_is_filled_in(tmp_path, photo):
    verdicts = pd.DataFrame(
        {
            "path": [str(photo), "gone.png"],
            "score": [1.25, None],
            "sha256": [feedback.hashlib.sha256(photo.read_bytes()).hexdigest(), ""],
        }
    )
    verdicts.to_csv(tmp_path / "line.csv", index=False)
    told = Corrections(tmp_path / "line.csv").keep(photo.read_bytes(), "upload.png", " good ")
    assert told == "upload.png is kept as good; 1 marked in line.csv."
    found = pd.read_csv(tmp_path / "line.csv").drop(columns="truth")
    pd.testing.assert_frame_equal(found, verdicts.replace("", None))
    (made,) = feedback.read(tmp_path / "line.csv")
    assert (made.path, made.truth) == (str(photo), "good")
    assert not list(tmp_path.glob("*-photos"))


def test_another_photo_is_kept_next_to_the_table(tmp_path, photo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for truth in ("dent", "scratch"):
        Corrections(Path("new.csv")).keep(photo.read_bytes(), "Upload.PNG", truth)
    photo.unlink()
    (made,) = feedback.read(Path("new.csv"))
    assert made.truth == "scratch"
    assert Path(made.path).parent == tmp_path / "new-photos"
    assert Path(made.path).suffix == ".png"


@pytest.mark.parametrize(
    ("content", "name", "truth", "said"),
    [
        (None, "a.png", "Good", "truth 'Good' is not allowed"),
        (None, "a.heic", "good", "a.heic: only .png"),
        (b"no image", "a.png", "good", "a.png: "),
    ],
)
def test_what_could_not_be_learnt_from_is_refused_and_nothing_is_written(
    tmp_path, photo, content, name, truth, said
):
    kept = Corrections(tmp_path / "new.csv")
    with pytest.raises(UserError, match=said):
        kept.keep(content or photo.read_bytes(), name, truth)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_verdicts_written_again_keep_what_was_marked(tmp_path):
    photos = write_photos(tmp_path / "photos", 3)
    sha256 = [feedback.hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]
    line = pd.DataFrame(
        {"path": [str(photos[0]), "b.png", "gone.png"], "bytes": [7, 8, 9], "sha256": [*sha256[:2], ""]}
    )
    table = tmp_path / "line.csv"
    assert renew(table, line.iloc[:1]) == 0
    assert "truth" not in pd.read_csv(table)
    Corrections(table).keep(photos[0].read_bytes(), "upload.png", "dent")
    Corrections(table).keep(photos[2].read_bytes(), "other.png", "good")
    assert renew(table, line) == 2
    found = feedback.read_table(table)
    assert found["truth"].tolist() == ["dent", "", "", "good"]
    assert found["bytes"].tolist() == ["7", "8", "9", ""]
    assert [made.sha256 for made in feedback.read(table)] == [sha256[0], sha256[2]]


def test_marks_that_contradict_stay_with_their_paths(tmp_path):
    columns = ["path", "sha256", "truth"]
    marked = [("a.png", "1", "good"), ("b.png", "1", "dent"), ("c.png", "", "dent"), ("d.png", "2", "dent")]
    pd.DataFrame(marked, columns=columns).to_csv(tmp_path / "line.csv", index=False)
    verdicts = [("a.png", "1"), ("b.png", "1"), ("other.png", "1"), ("e.png", ""), ("moved.png", "2")]
    renew(tmp_path / "line.csv", pd.DataFrame(verdicts, columns=columns[:2]))
    found = feedback.read_table(tmp_path / "line.csv")
    truths = dict(zip(found["path"], found["truth"], strict=True))
    assert truths == {"a.png": "good", "b.png": "dent", "other.png": "", "e.png": "", "moved.png": "dent"} | (
        {"c.png": "dent"} if "c.png" in truths else {}
    )


def test_verdicts_written_again_keep_the_columns_that_people_added(tmp_path):
    table = tmp_path / "line.csv"
    table.write_text(
        "path,sha256,score,truth,looked at by,shift\n"
        "a.png,1,0.5,dent,Anna,\nb.png,2,0.5,,Ben,\nc.png,3,0.5,,,\ngone.png,4,0.5,,Cleo,\n"
    )
    verdicts = pd.DataFrame(
        {"path": ["c.png", "b.png", "a.png"], "sha256": ["3", "2", "1"], "score": [0.75] * 3}
    )
    assert renew(table, verdicts) == 1
    assert table.read_text() == (
        "path,sha256,score,truth,looked at by,shift\n"
        "c.png,3,0.75,,,\nb.png,2,0.75,,Ben,\na.png,1,0.75,dent,Anna,\ngone.png,4,0.5,,Cleo,\n"
    )


@pytest.mark.parametrize("content", ["path;sha256;truth\na;1;x\n", "path,sha256,Truth\na,1,x\n", "a\n1\n"])
def test_verdicts_replace_no_other_table(content, tmp_path):
    (tmp_path / "line.csv").write_text(content)
    with pytest.raises(UserError, match="Nothing was replaced"):
        renew(tmp_path / "line.csv", pd.DataFrame({"path": ["a"], "sha256": ["1"]}))
    assert (tmp_path / "line.csv").read_text() == content


def test_the_folder_of_the_table_is_made(tmp_path, photo):
    Corrections(tmp_path / "marks/new.csv").keep(photo.read_bytes(), "a.png", "good")
    assert feedback.read(tmp_path / "marks/new.csv")[0].truth == "good"


def test_another_table_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="has no column path"):
        Corrections(tmp_path / "other.csv")
    with pytest.raises(UserError, match=r"the ending \.db"):
        Corrections(tmp_path / "line.db")
