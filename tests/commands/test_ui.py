"""`mlproject ui`: links that open all models side by side, in a real server and a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
import support.tracked_project as project
from playwright.sync_api import expect, sync_playwright
from support import fork_server

from mlproject.registry import register
from mlproject.tracking import runs

pytest_plugins = ["support.tracked_project", "support.promotion_project"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
MODELS = ("kd_cae", "ni_cae", "pca")


@pytest.fixture(scope="module")
def said(shared_folder, trained) -> Iterator[list[str]]:
    """What `mlproject ui` prints of a project with three models, until its server answers."""
    for model in MODELS:
        project.write_pair(trained, model=model)
        register.register(
            project.DATASET, project.CATEGORY, model, runs.record(project.DATASET, project.CATEGORY, model)
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [fork_server.programs() / "mlproject", "ui", "--port", port]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(project.ROOT)}, cwd=shared_folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if "Application startup complete" in line:
                break
        else:
            pytest.fail("\n".join(lines))
        threading.Thread(target=process.stdout.read, daemon=True).start()  # or a full pipe would stop it
        yield lines
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.fixture(scope="module")
def page(said) -> Iterator:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on PATH: looked for {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        opened = browser.new_page(viewport={"width": 2200, "height": 900})  # columns outside are not drawn
        yield opened
        browser.close()


def address(said: list[str], name: str) -> str:
    (line,) = [line for line in said if line.split()[:1] == [name]]
    return line.split()[1]


def test_links_come_before_the_server_starts(said):
    links = [number for number, line in enumerate(said) if "http://127.0.0.1:" in line and "/#/" in line]
    started = next(number for number, line in enumerate(said) if "Ctrl-C" in line)
    assert len(links) >= 3
    assert max(links) < started


def test_the_table_link_opens_all_models_with_the_chosen_columns(said, page):
    page.goto(address(said, "table"))
    for model in MODELS:
        run = page.get_by_text(f"{project.CATEGORY} {model}", exact=True).first
        expect(run).to_be_visible(timeout=60_000)
    for column in ("auroc", "clean.f1", "all_defective_f1", "clean.false_alarm_rate", "training.seconds"):
        expect(page.locator(f'[role=columnheader][col-id="metrics.`{column}`"]')).to_be_visible()


def test_the_chart_link_opens_the_chosen_charts(said, page):
    page.goto("about:blank")  # the pages read a view only when they are loaded
    page.goto(address(said, "charts"))
    heading = page.get_by_text(f"{project.CATEGORY}: AUROC, F1, false alarms", exact=True)
    expect(heading).to_be_visible(timeout=60_000)


def test_the_model_link_opens_the_registered_versions(said, page):
    page.goto("about:blank")
    page.goto(address(said, "model"))
    expect(page.get_by_role("link", name="Version 1")).to_be_visible(timeout=60_000)


def test_nothing_recorded_is_one_line(tmp_path, monkeypatch, mlproject, empty_database):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    project.write_params([project.CATEGORY], list(MODELS))
    expected = "error: Nothing is recorded yet: `make run` comes first.\n"
    assert mlproject("ui") == (2, "", expected)
    assert not (tmp_path / "mlflow.db").exists()
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    assert mlproject("ui") == (2, "", expected)


def test_a_port_that_is_taken_is_one_line(shared_folder, first, mlproject):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, out, err = mlproject("ui", "--port", str(port))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"127.0.0.1:{port} cannot be used" in err
