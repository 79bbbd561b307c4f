"""Shared services, really started: two people at once, a back-up restored elsewhere, faults in one line.

The short form of `python tests/drills shared_services`: a registry of small models that are trained already.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import requests
import support.promotion_project as project
from support import fork_server, shared_services, tls_proxy
from support.promotion_project import CATEGORY, NAME
from support.shared_services import Services
from support.tls_proxy import Authority

from mlproject.commands import doctor_stores
from mlproject.tracking import connection, lock

pytest_plugins = ["support.tracked_project", "support.promotion_project"]

MODEL = "pca"
PROMOTE = """
import sys
from mlproject.registry import promotion
from mlproject.registry.gate import Check
from mlproject.tracking import connection
client = connection.open_registry()
version = client.get_model_version(sys.argv[1], sys.argv[2])
print("compared", flush=True)
promotion.promote(client, version, None, [Check("rehearsal", True, "it is one")], None)
"""


@pytest.fixture(scope="module")
def services(tmp_path_factory) -> Iterator[Services]:
    with shared_services.running(tmp_path_factory.mktemp("services")) as started:
        yield started


@pytest.fixture(scope="module")
def clones(services, tmp_path_factory, empty_database) -> dict[str, Path]:
    """Two people's folders with the same trained model, of which the services know nothing."""
    first = tmp_path_factory.mktemp("anna")
    with project.committed(first, empty_database, [MODEL]):
        pass
    second = tmp_path_factory.mktemp("ben") / "clone"
    shutil.copytree(first, second)
    return {"anna": first, "ben": second}


def start(services: Services, who: str, folder: Path, *command: str, **changes: str) -> subprocess.Popen[str]:
    """Start a command as somebody on a machine of their own: no lock of the kernel is shared."""
    temporary = folder.parent / f"tmp-{who}"
    temporary.mkdir(exist_ok=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_"))}
    paths = {"PYTHONPATH": str(project.tracked.ROOT), "TMPDIR": str(temporary)}
    programs = fork_server.programs()
    return subprocess.Popen(
        [programs / command[0], *command[1:]], cwd=folder, text=True,
        env=own | services.person(who) | paths | changes,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(services: Services, who: str, folder: Path, *command: str, **changes: str) -> tuple[int, str]:
    process = start(services, who, folder, *command, **changes)
    said, _ = process.communicate()
    return process.returncode, said


def test_two_who_register_the_same_model_at_once_make_one_version_of_it(services, clones):
    processes = [start(services, who, folder, "mlproject", "register") for who, folder in clones.items()]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sorted("".join(said).count(f"({word})") for word in ("new", "known")) == [1, 1], said
    found = services.rows("select version from model_versions where name = 'sample-bottle' order by 1")
    assert found == [(1,)]
    keys = services.rows("select value from tags where key = 'mlproject.run_key'")
    assert len(keys) == 1
    assert (
        services.rows("select status from runs where lifecycle_stage = 'active' and status <> 'FINISHED'")
        == []
    )
    assert services.rows("select 1 from logged_models") == [(1,)]
    left = [f"select 1 from {table} where key like '{lock.PREFIX}%'"
            for table in ("experiment_tags", "registered_model_tags")]  # fmt: skip
    assert [services.rows(statement) for statement in left] == [[], []]


def test_of_two_who_promote_at_once_the_loser_is_told_who_won(services, clones, monkeypatch):
    for name, value in services.person("anna").items():
        monkeypatch.setenv(name, value)
    client = connection.connect()
    first = client.get_model_version(NAME, "1")
    logged = first.source.removeprefix("models:/")
    client.create_model_version(NAME, first.source, first.run_id, first.tags, model_id=logged)
    with lock.on_model(client, NAME):  # as a third machine
        running = {
            who: start(services, who, clones[who], "python", "-c", PROMOTE, NAME, version)
            for who, version in (("anna", "1"), ("ben", "2"))
        }
        for process in running.values():
            assert process.stdout.readline() == "compared\n", process.communicate()
    said = {who: process.communicate()[0] for who, process in running.items()}
    (winner,) = [who for who, process in running.items() if process.returncode == 0]
    (loser,) = set(running) - {winner}
    version = {"anna": "1", "ben": "2"}[winner]
    assert f"LostRace: {NAME}: {winner}@" in said[loser]
    assert f"from no champion to version {version}" in said[loser]
    assert services.rows("select alias, version from registered_model_aliases") == [
        ("champion", int(version))
    ]


def predict(services: Services, folder: Path, clone: Path) -> pd.DataFrame:
    """Return what the champion says of a clone's photos to somebody who may only read, in an empty folder."""
    folder.mkdir()
    out = folder / "results.csv"
    arguments = (
        "predict",
        f"{NAME}@champion",
        str(clone / "data/raw" / CATEGORY / "test"),
        "--out",
        str(out),
    )
    code, said = run(services, "line", folder, "mlproject", *arguments)
    assert code == 0, said
    return pd.read_csv(out, float_precision="round_trip")


NOBODY = {"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}
FAULTS = {
    "no log-in": (NOBODY, "asks for a log-in: set MLFLOW_TRACKING_USERNAME"),
    "wrong password": ({"MLFLOW_TRACKING_PASSWORD": "wrong"}, "refuses the log-in of line"),
}
PREDICT = ["predict", f"{NAME}@champion", "photo.png"]


@pytest.fixture
def one_line(services, clones, mlproject, monkeypatch):
    """Return a function that runs a command in this process and checks that it ends with one line of text."""
    monkeypatch.chdir(clones["anna"])
    shutil.copy(next(Path("data/raw").glob("*/test/good/*.png")), "photo.png")

    def run_it(command, message, **environment) -> None:
        for name, value in (services.person("line") | environment).items():
            monkeypatch.setenv(name, value)
        code, out, err = mlproject(*command)
        assert code == 2, out + err
        assert "Traceback" not in out + err
        assert message in out + err
        assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1

    return run_it


@pytest.mark.parametrize("command", [PREDICT, ["register"]], ids=["predict", "register"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_log_in_that_is_missing_or_wrong_is_one_line(one_line, fault, command):
    changes, message = FAULTS[fault]
    one_line(command, message, **changes)


def test_an_account_that_may_only_read_is_told_so(one_line):
    one_line(["register"], "denies this request")


@pytest.fixture(scope="module")
def behind_tls(services, tmp_path_factory) -> Iterator[tuple[str, Authority]]:
    """The address of MLflow behind TLS, and the authority of its certificate."""
    authority = Authority.made(tmp_path_factory.mktemp("authority"))
    with tls_proxy.running(authority, services.mlflow) as address:
        yield address, authority


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_a_server_behind_tls_is_used_where_its_authority_is_named(
    services, clones, behind_tls, tmp_path, variable
):
    address, authority = behind_tls
    trusting = {"MLFLOW_TRACKING_URI": address, variable: str(authority.certificate)}
    code, said = run(services, "anna", clones["anna"], "mlproject", "register", **trusting)
    assert code == 0, said
    assert "(known)" in said
    photos = clones["anna"] / "data/raw" / CATEGORY / "test"
    command = ("mlproject", "predict", f"{NAME}@champion", str(photos))
    over_tls = run(services, "line", tmp_path, *command, **trusting)
    assert over_tls == run(services, "line", tmp_path, *command)
    assert over_tls[0] == 0, over_tls[1]


@pytest.mark.parametrize("command", [PREDICT, ["register"]], ids=["predict", "register"])
def test_a_certificate_of_an_unknown_authority_is_one_line(behind_tls, one_line, command):
    address, _ = behind_tls
    one_line(
        command,
        f"MLflow at {address} has a certificate that is not trusted here (unable to get local issuer "
        "certificate). If your own certificate authority issued it, set MLFLOW_TRACKING_SERVER_CERT_PATH",
        MLFLOW_TRACKING_URI=address,
    )
    answer = doctor_stores.mlflow(address)
    assert answer.ok is False
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in answer.detail
    one_line(
        command,
        "MLFLOW_TRACKING_SERVER_CERT_PATH: absent.pem: no such file",
        MLFLOW_TRACKING_URI=address,
        MLFLOW_TRACKING_SERVER_CERT_PATH="absent.pem",
    )


def test_an_https_address_of_a_server_without_tls_is_one_line(services, one_line):
    address = services.mlflow.replace("http:", "https:")
    one_line(
        PREDICT, "does not speak TLS: correct MLFLOW_TRACKING_URI to http://", MLFLOW_TRACKING_URI=address
    )


@pytest.fixture(scope="module")
def moved(services, clones, tmp_path_factory) -> Iterator[tuple[Services, pd.DataFrame, dict]]:
    """Services restored from a back-up after the first ones are gone; what these predicted and held."""
    folder = tmp_path_factory.mktemp("moved")
    before, had = predict(services, folder / "before", clones["anna"]), services.counts()
    (folder / "backup").mkdir()
    shared_services.back_up(services, folder / "backup")
    services.kill("mlflow", "s3")
    with shared_services.running(folder, folder / "backup") as restored:
        yield restored, before, had


def test_what_is_restored_from_a_back_up_predicts_the_same(moved, clones, tmp_path):
    restored, before, had = moved
    assert restored.counts() == had
    after = predict(restored, tmp_path / "after", clones["anna"])
    assert len(before) == 40
    assert before["error"].isna().all()
    pd.testing.assert_frame_equal(after, before, check_exact=True)


def test_an_s3_store_that_refuses_the_servers_key_is_one_line(moved, one_line):
    restored, _, had = moved
    checked = f"{restored.s3}/moto-api/reset-auth"  # after so many requests keys are checked
    requests.post(checked, data=b"0", timeout=10)
    try:
        said = (
            "has its files in an S3 store that does not know the access key. On the server's machine, its "
            "administrator must correct"
        )
        one_line(PREDICT, said, **restored.person("anna"))
        one_line(["register"], said, **restored.person("anna"))
        answer = doctor_stores.mlflow(restored.mlflow)
        assert answer.ok is False
        assert "its S3 store does not know the access key" in answer.detail
        assert "MLFLOW_TRACKING" not in answer.remedy
    finally:
        requests.post(checked, data=b"inf", timeout=10)
    assert restored.counts() == had


def test_an_s3_store_that_is_away_is_one_line_and_no_reason_to_register_again(moved, one_line):
    restored, _, had = moved
    restored.kill("s3")
    one_line(PREDICT, "cannot reach its files (", **restored.person("anna"))
    one_line(["register"], "could not be recorded", **restored.person("anna"))
    (count,) = restored.rows("select count(*) from model_versions")
    assert count == (had["model_versions"],)
