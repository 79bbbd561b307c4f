"""`mlproject run`: which stage of how many it says, what is left, and that DVC runs categories together."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import ROOT
from support import fork_server

from mlproject.commands import doctor_checks, preset
from mlproject.commands.check import check
from mlproject.commands.run import Progress, by_category, expected, repro_all, run
from mlproject.core import files, params
from mlproject.core.errors import UserError

STAGES = ["ingest", "train@disc-kd_cae", "train@disc-pca", "compare"]


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def progress(clock):
    return Progress(STAGES, clock=clock)


@pytest.mark.parametrize(
    "command", [run, check, doctor_checks.parameters], ids=lambda command: command.__name__
)
@pytest.mark.parametrize("path", ["~/photos", "~"])
def test_a_tilde_that_dvc_would_not_expand_is_refused_by_its_key(tmp_path, monkeypatch, path, command):
    monkeypatch.chdir(tmp_path)
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["data"] |= {"source": "folder", "path": path}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    whole = Path(path).expanduser()
    with pytest.raises(UserError, match=f"data.path is '{path}': DVC does not expand ~. Write '{whole}'"):
        command()


def begin(stage: str) -> str:
    return f"Running stage '{stage}':\n"


WRONG = {
    "categories: bottle": "categories must list one category or more",
    "categories: [[bottle]]": "categories: ['bottle'] is no text",
    "categories: [settings]": "categories: settings is a folder of artifacts/",
    "categories: [on, bottle]": "categories: True is no text. Put it in quotes",
    "detectors: pca": "detectors is 'pca': it must be a list, such as [kd_cae, ni_cae]",
    "detectors: []": "detectors must list one detector or more: kd_cae,",
    "detectors: [pca, pca]": "detectors: pca is there twice. Remove one",
    "detectors: [pac]": "Did you mean pca?",
    "generators_used: dcgan": "generators_used is 'dcgan': it must be a list, such as [dcgan]",
    "studies_used: [nois]": "Did you mean noise?",
    "models_tuned: [pca, 5]": "models_tuned: 5",
    "tuned: maybe": "tuned is 'maybe'. Allowed: true, false",
    "  confidence: often": "params.yaml: threshold.confidence is 'often'",
    "  aupro_limit: 7": "params.yaml: evaluate.aupro_limit is 7",
    "  margin: wide": "params.yaml: promote.margin is 'wide'",
    "seed: zero": "seed is 'zero': it must be a whole number from 0 to 4294967295",
    "seed: 1.5": "seed is 1.5",
    "seed: null": "seed is None",
    "seed: -1": "seed is -1",
    "seed: 99999999999999999999999": "seed is 99999999999999999999999",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_is_named_by_its_key_before_anything_runs(tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    key = line.partition(":")[0]
    text, count = re.subn(f"^{key}:.*$", line, (ROOT / "params.yaml").read_text(), flags=re.MULTILINE)
    assert count == 1
    Path("params.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(WRONG[line])):
        run()


def test_a_folder_of_photos_that_is_not_there_is_named_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text().replace("source: sample", "source: folder", 1)
    (tmp_path / "params.yaml").write_text(re.sub(r"(?m)^  path: \S*", "  path: nowhere", text, count=1))
    with pytest.raises(UserError, match=r"data\.path is 'nowhere': no such folder"):
        run()


def test_a_detector_without_its_section_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["models"]["pca"] = None
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UserError, match=r"params.yaml: models.pca is None: it must be a section"):
        run()


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "detectors: patch_kde is not known"), ("pca", "models is 'pca': it must be a section")],
)
def test_a_section_that_is_empty_or_none_is_no_traceback(tmp_path, monkeypatch, value, said):
    monkeypatch.chdir(tmp_path)
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree |= {"models": value, "generators": None}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UserError, match=re.escape(said)):
        run()
    assert params.chosen("generators_used") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seed: 0\n# gr\xf6\xdfe\n", "params.yaml: line 2 is not UTF-8. Save the file as UTF-8"),
        (b"seed: 0\ndata:\n  path: a\n  path: b\n", "line 4: path is there twice"),
    ],
)
@pytest.mark.parametrize(
    "command", [run, check, lambda: preset.apply("quick")], ids=["run", "check", "preset"]
)
def test_a_file_that_is_no_text_or_has_a_key_twice_is_refused(tmp_path, monkeypatch, content, said, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    Path("pipelines/presets.yaml").write_text((ROOT / "pipelines/presets.yaml").read_text())
    Path("params.yaml").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(said)):
        command()


def test_a_key_that_replaces_a_merged_one_is_not_there_twice(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("a: &a {x: 1, y: 1}\nb:\n  deep: &b {<<: *a, x: 2}\nc: {<<: *b, y: 3}\n")
    assert params.load_file(file) == {
        "a": {"x": 1, "y": 1},
        "b": {"deep": {"x": 2, "y": 1}},
        "c": {"x": 2, "y": 3},
    }


def test_each_stage_has_its_number_and_skipped_ones_count(progress):
    assert progress.note(begin("ingest")) == "\nstage 1 of 4, about 2 min left: ingest\n"
    assert progress.note("Stage 'train@disc-kd_cae' didn't change, skipping\n") == ""
    assert progress.note("'data/corrected/photos.dvc' didn't change, skipping\n") == ""
    assert progress.note(begin("train@disc-pca")).startswith("\nstage 3 of 4")


def test_the_time_left_is_as_fast_as_the_stages_that_have_run(progress, clock):
    progress.note(begin("ingest"))
    clock.now = 10 * expected("ingest")
    minutes = re.search(r"about (\d+) min left", progress.note(begin("train@disc-kd_cae")))
    assert int(minutes[1]) == round(sum(map(expected, STAGES[1:])) * 10 / 60)


@pytest.mark.parametrize("line", ["Running stage 'other':\n", "'a.png': 2 more\n", "epoch 1/60\n", "\n"])
def test_other_lines_stay_as_they_are(progress, line):
    assert progress.note(line) == line


def test_a_category_is_one_chain_whatever_its_name():
    stages = [
        "ingest",
        "prepare@a",
        "prepare@a-b",
        "settings",
        "train@a-pca",
        "train@a-b-pca",
        "study@a-noise",
    ]
    assert by_category([*stages, "compare"]) == [
        ["prepare@a", "train@a-pca"],
        ["prepare@a-b", "train@a-b-pca"],
    ]


def write_pipeline(folder: Path) -> None:
    """Write a pipeline whose stages each write a file; the two of `prepare` wait for one another."""
    write = "python -c \"open('{0}', 'w').write('{0}')\""
    os.mkfifo(folder / "meeting")  # opened for writing only when it is opened for reading
    (folder / "wait.py").write_text(
        "import signal, sys; item = sys.argv[1]\n"
        "signal.alarm(60)  # ends a stage that waits alone\n"
        "open('meeting', {'a': 'r', 'b': 'w'}[item]).close()\n"
        "open(item, 'w').write(item)\n"
    )
    stages = {
        "ingest": {"cmd": write.format("raw"), "outs": ["raw"]},
        "prepare": {
            "matrix": {"category": ["a", "b"]},
            "cmd": "python wait.py ${item.category}",
            "deps": ["raw"],
            "outs": ["${item.category}"],
        },
        "compare": {"cmd": write.format("table"), "deps": ["a", "b"], "outs": ["table"]},
        "fail": {"cmd": "exit 3", "deps": ["table"], "outs": ["never"]},
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=folder, check=True)


def run_in(folder: Path, *arguments: str, python: str = "") -> subprocess.CompletedProcess[str]:
    code = "from mlproject import cli; cli.main()"
    return subprocess.run(
        [python or fork_server.programs() / "python", "-c", code, "run", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_dvc_runs_categories_together_and_that_it_was_killed_is_said(tmp_path):
    write_pipeline(tmp_path)

    done = run_in(tmp_path, "compare", "--at-once", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(re.findall(r"stage (\d) of 4", done.stdout)) == ["1", "2", "3", "4"]
    assert (tmp_path / "table").read_text() == "table"
    locked = yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]
    assert set(locked) == {"ingest", "prepare@a", "prepare@b", "compare"}
    pipeline = (tmp_path / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(
        pipeline.replace("python wait.py ${item.category}", "kill -9 $PPID; true")
    )
    killed = run_in(tmp_path, "compare", "--at-once", "2", python=sys.executable)
    assert killed.returncode == 128 + signal.SIGKILL
    assert "DVC was ended by SIGKILL" in killed.stderr


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("sigint", ["--default-signal=INT", "--ignore-signal=INT"])  # as in a background
def test_sigterm_ends_dvc_and_its_stages_too(tmp_path, sigint, at_once):
    """Each stage says its process's number, and waits for a signal: an alarm, if none comes."""
    (tmp_path / "wait.py").write_text(
        "import os, signal\nprint('pid', os.getpid(), flush=True)\nsignal.alarm(60)\nsignal.pause()\n"
    )
    stage = {"matrix": {"category": ["a", "b"]}, "cmd": "python wait.py", "outs": ["${item.category}"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": stage}}))
    subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    code = "from mlproject import cli; cli.main()"
    process = subprocess.Popen(
        ["env", sigint, sys.executable, "-c", code, "run", "--at-once", str(at_once)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    stages = []
    while len(stages) < at_once:
        line = process.stdout.readline()
        assert line, process.communicate()
        stages += [int(number) for number in re.findall(r"^pid (\d+)$", line)]
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not [pid for pid in stages if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
    assert "Traceback" not in said


def test_categories_are_run_together_only_if_one_has_something_to_do(tmp_path, monkeypatch):
    """Each further DVC takes two seconds to see that nothing has changed."""
    write_pipeline(tmp_path)
    done = run_in(tmp_path, "compare", "--at-once", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    calls = []
    monkeypatch.setattr("mlproject.commands.run.repro", lambda wanted, *_: calls.append(list(wanted)) or 0)
    monkeypatch.chdir(tmp_path)
    assert repro_all(["compare"], 2) == 0
    assert calls == [["compare"]]
    (tmp_path / "table").unlink()
    repro_all(["compare"], 2)
    assert calls[1:] == [["compare"]]
    (tmp_path / "a").unlink()
    repro_all(["compare"], 2)
    chains = [["--single-item", "prepare@a"], ["--single-item", "prepare@b"]]
    assert sorted(calls[2:]) == sorted([["ingest"], *chains, ["--single-item", "compare"]])


def test_the_exit_code_of_a_stage_that_failed(tmp_path):
    write_pipeline(tmp_path)
    done = run_in(tmp_path, "compare", "--at-once", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    failed = run_in(tmp_path)
    assert failed.returncode == 3  # the stage's; DVC's is 255
    assert "stage 5 of 5" in failed.stdout
    assert run_in(tmp_path, "no_such_stage").returncode != 0


def test_a_second_run_waits_for_the_first(tmp_path):
    write_pipeline(tmp_path)
    code = "from mlproject import cli; cli.main()"
    with files.locked(tmp_path / "dvc.lock"):
        second = subprocess.Popen(
            [fork_server.programs() / "python", "-c", code, "run", "compare", "--at-once", "2"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert second.stderr is not None
        assert second.stderr.readline().startswith(f"dvc.lock: is being written by process {os.getpid()} on ")
        assert not (tmp_path / "raw").exists()
    out, said = second.communicate(timeout=60)
    assert second.returncode == 0, out + said
    assert (tmp_path / "table").exists()
    assert not list(tmp_path.glob("*.part"))
