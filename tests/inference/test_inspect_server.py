"""`mlproject inspect` as a person meets it: a real server, a real browser, real sample images."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import support.tracked_project as project
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from support import fork_server

from mlproject import cli, models
from mlproject.core import artifacts, files
from mlproject.core.errors import UserError
from mlproject.core.listening import listen
from mlproject.core.tables import write_table
from mlproject.inference import inspect_server
from mlproject.inference.inspect_server import Inspectors
from mlproject.models.components import detector as base
from mlproject.production import feedback
from mlproject.registry import register
from mlproject.reports.figures.cases import compared
from mlproject.tracking import connection, runs
from mlproject.training.run_options import RunOptions

pytest_plugins = ["support.tracked_project"]

NAME, CATEGORY, SIDE = "sample-bracket", "bracket", 64
MODEL = "kd_cae, version 1 (champion)"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def inspected(tmp_path_factory, empty_database, small_images) -> Iterator[Path]:
    """A project with KD-CAE, the champion, and NI-CAE of the sample's bracket in its record."""
    folder = tmp_path_factory.mktemp("inspected")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        shutil.copy(empty_database, folder)
        project.write_params([CATEGORY], ["kd_cae", "ni_cae"])
        for name in ("kd_cae", "ni_cae"):
            settings = models.params.load_file()["models"][name] | {"image_size": 32, "epochs": 3}
            detector = models.create(name, settings)
            detector.fit(small_images.train, small_images.validation, RunOptions(seed=0))
            detector.calibrate(small_images.validation)
            detector.save(folder / "trained" / name)
            project.write_pair(folder / "trained" / name, model=name, category=CATEGORY, settings=settings)
            write_scores(detector, name, small_images)
            register.register("sample", CATEGORY, name, runs.record("sample", CATEGORY, name))
        connection.connect().set_registered_model_alias(NAME, "champion", "1")
        yield folder


def write_scores(detector: base.Detector, name: str, small_images) -> None:
    """Write the files of stage score that are recorded; the threshold lies amid the test images' scores."""
    folder = artifacts.scores_folder(CATEGORY, name)
    scores = detector.score(small_images.test).scores
    files.write_json(folder / "threshold.json", {"threshold": float(np.median(scores))})
    files.write_json(artifacts.PREPARED / CATEGORY / "prepared.json", {"image_size": SIDE})
    table = pd.DataFrame({"subset": "test", "label": small_images.labels, "score": scores})
    table.insert(0, "path", [f"test/{row}.png" for row in range(len(table))])
    write_table(folder / "scores.csv", table)


@pytest.fixture(scope="module")
def corrections(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("corrections") / "corrected.csv"


@pytest.fixture(scope="module")
def address(inspected, corrections, tmp_path_factory) -> Iterator[str]:
    """The page of the champion, served from an empty folder by a process of its own; also as box.lan."""
    code, folder = "from mlproject import cli; cli.main()", tmp_path_factory.mktemp("empty")
    temporary = tmp_path_factory.mktemp("temporary")
    environment = os.environ | {"PYTHONPATH": str(project.ROOT), "PYTHONUNBUFFERED": "1"}
    environment["TMPDIR"] = str(temporary)
    with subprocess.Popen(
        [
            *(fork_server.programs() / "python", "-c", code, "inspect", "bracket@champion", "--port", "0"),
            *("--corrections", corrections, "--name", "box.lan"),
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        said = server.stdout.readline()  # comes once it listens, or is empty when it has ended
        yield said.split()[0] if said else pytest.fail("the server ended")
        server.send_signal(signal.SIGTERM)  # as services are ended; Ctrl-C takes the same way
        assert server.wait(60) == 0
    assert list(folder.iterdir()) == []
    assert not [path for path in temporary.rglob("*") if path.is_file()], "uploads do not stay"


@pytest.fixture(scope="module")
def page(address) -> Iterator[Page]:
    """The page in a browser that this machine has; every address it asks for is noted."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on PATH: looked for {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1100, "height": 1000})
        opened.asked = []
        opened.on("request", lambda request: opened.asked.append(request.url))
        opened.goto(address)
        expect(verdict(opened)).to_contain_text("No image yet", timeout=60_000)
        yield opened
        browser.close()


def verdict(page: Page):
    return page.locator("#result .verdict")


def show(page: Page, file: Path) -> None:
    page.set_input_files("#image input[type=file]", file)


def expected(name: str, image: np.ndarray) -> tuple[str, str]:
    """Return the verdict and the comparison that the page must show."""
    detector = models.load(artifacts.model_folder(CATEGORY, name))
    threshold = files.read_json(artifacts.scores_folder(CATEGORY, name) / "threshold.json")["threshold"]
    score = float(detector.score(image[None]).scores[0])
    return "Defective" if score > threshold else "Good", compared(score, threshold, "threshold ")


@pytest.fixture
def photo(small_images, tmp_path) -> Path:
    Image.fromarray(small_images.test[-1]).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_an_image_gets_its_verdict_from_every_model(page, photo, small_images, tmp_path):
    show(page, photo)
    for name, label in [("kd_cae", MODEL), ("ni_cae", "ni_cae, version 2")]:
        page.click("#model input")
        page.get_by_role("option", name=label).click()
        word, comparison = expected(name, small_images.test[-1])
        expect(verdict(page)).to_contain_text(comparison, timeout=60_000)
        expect(verdict(page).locator("b")).to_have_text(word)
    expect(page.locator("#result .panels img")).to_have_count(3)
    expect(page.locator("#result .panels")).to_contain_text("photo.png")
    expect(page.locator("#result .strip")).to_contain_text("15 good images that the model was not trained on")
    picture = page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert len(picture) > 20_000


def test_a_broken_file_says_what_is_wrong_and_the_next_one_works(page, photo, tmp_path):
    (tmp_path / "broken.png").write_bytes(photo.read_bytes()[:500])
    show(page, tmp_path / "broken.png")
    expect(verdict(page)).to_contain_text("No verdict", timeout=60_000)
    expect(verdict(page)).to_contain_text("broken.png: truncated after 500 of at least")
    show(page, photo)
    expect(verdict(page)).to_contain_text(re.compile("Good|Defective"), timeout=60_000)


def test_a_verdict_is_corrected_and_feedback_reads_it(page, photo, corrections):
    def click(button: str, said: str) -> None:
        page.get_by_role("button", name=button).click()
        expect(page.locator("#kept")).to_contain_text(said, timeout=60_000)

    show(page, photo.rename(photo.with_name("marked.png")))
    expect(page.locator("#result .panels")).to_contain_text("marked.png", timeout=60_000)
    page.fill("#defect input, #defect textarea", "../dent")
    click("It is defective", "Not kept. What it shows: truth '../dent' is not allowed")
    assert not corrections.exists()
    page.fill("#defect input, #defect textarea", "dent")
    click("It is defective", "marked.png is kept as dent; 1 marked in corrected.csv")
    (made,) = feedback.read(corrections)
    assert made.truth == "dent"
    assert made.content() == photo.with_name("marked.png").read_bytes()
    click("It is good", "marked.png is kept as good; 1 marked")
    (made,) = feedback.read(corrections)
    assert made.truth == "good"


def test_another_sites_page_corrects_nothing(address, corrections):
    before = corrections.read_bytes() if corrections.exists() else b""
    body = {"fn_index": 0, "data": ["dent", None], "session_hash": "b"}
    for header, code in (({"Origin": "http://other.lan"}, 403), ({"Host": "other.lan"}, 403)):
        answer = requests.post(f"{address}/gradio_api/queue/join", json=body, headers=header, timeout=60)
        assert answer.status_code == code
    assert (corrections.read_bytes() if corrections.exists() else b"") == before
    port = address.rpartition(":")[2]
    named = requests.get(f"{address}/config", headers={"Host": f"box.lan:{port}"}, timeout=60)
    assert named.status_code == 200


def test_no_address_is_fetched_for_whoever_asks(address):
    """Gradio takes an address in the place of an uploaded file."""
    listed = requests.get(f"{address}/config", timeout=60).json()
    (number,) = (one["id"] for one in listed["dependencies"] if one["api_name"] == "take")
    file = {"path": "http://192.0.2.1/a.png", "meta": {"_type": "gradio.FileData"}}
    asked = {"data": [MODEL, file], "fn_index": number, "session_hash": "fetching"}
    requests.post(f"{address}/gradio_api/queue/join", json=asked, timeout=60).raise_for_status()
    answers = requests.get(f"{address}/gradio_api/queue/data?session_hash=fetching", stream=True, timeout=60)
    done = next(line for line in answers.iter_lines() if b"process_completed" in line)
    assert b"This page fetches no address" in done


def test_a_request_is_limited_whatever_it_is_made_of(address):
    host, port = address.removeprefix("http://").split(":")
    for header in ("Content-Length: 105906177", "Transfer-Encoding: chunked"):
        with socket.create_connection((host, int(port)), 60) as connected:
            asked = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\n{header}\r\n\r\n"
            connected.sendall(asked.encode())
            assert connected.recv(100).startswith(b"HTTP/1.1 413 ")


def test_nothing_comes_from_another_host(page, address, photo):
    """Runs after the others: of all that they asked for, and in a page that would not be allowed more."""
    foreign = [url for url in page.asked if not url.startswith((f"{address}/", "data:", "blob:"))]
    assert len(page.asked) > 10
    assert foreign == []
    blocked = page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', error => String(error))")
    assert "TypeError" in blocked
    assert "connect-src" in page.evaluate(
        """() => new Promise(done => {
            document.addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
            fetch('http://127.0.0.2:9/').catch(() => null);
        })"""
    )


def test_only_this_machine_is_served(address):
    host, port = address.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", int(port)), timeout=2)


def run(monkeypatch, capsys, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["mlproject", "inspect", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().err


def test_a_port_that_is_taken_is_said(inspected, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, err = run(monkeypatch, capsys, "bracket@champion", "--port", port)
    assert code == 2
    assert f"127.0.0.1:{port} cannot be used" in err


def test_the_address_may_be_opened_as_soon_as_it_is_said():
    with listen("127.0.0.1", 0) as listener:
        socket.create_connection(listener.getsockname(), timeout=2).close()


def test_a_missing_package_names_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(inspect_server, "find_spec", lambda name: None)
    code, err = run(monkeypatch, capsys, "bracket@champion")
    assert code == 2
    assert "pip install '.[inspect]'" in err


def test_a_model_that_cannot_be_loaded_is_said_on_the_page_and_tried_again():
    answers = iter([UserError("the record <is> away")])

    class Waiting:
        def waiting(self) -> str:
            return "ready"

    def load():
        for error in answers:
            raise error
        return Waiting()

    inspectors = Inspectors({"one": load})
    assert "the record &lt;is&gt; away" in inspectors.inspect("one", None)
    assert inspectors.inspect("one", None) == "ready"
