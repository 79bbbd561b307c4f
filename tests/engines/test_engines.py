"""Which engine is asked for, and what a machine of a cluster checks before it works. None of it needs Ray."""

import re
import sys
from pathlib import Path

import pytest

from mlproject import engines
from mlproject.core.errors import UserError
from mlproject.engines import folders, ray_cluster, ray_worker

HERE = {"python": "3.11.9", "ray": "2.60.0", "code of mlproject": "0123456789abcdef"}


@pytest.mark.parametrize(
    ("engine", "address", "said"),
    [
        ("rya", None, "--engine rya is not known. Did you mean ray? Allowed: processes, ray"),
        (
            "processes",
            "10.0.0.5:6379",
            "--address 10.0.0.5:6379: processes run on this machine. Add: --engine",
        ),
    ],
)
def test_a_wrong_engine_is_told(engine, address, said):
    with pytest.raises(UserError, match=re.escape(said)):
        engines.chosen(engine, address)


def test_where_ray_is_not_installed_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert engines.chosen("processes") is None
    with pytest.raises(UserError, match=r"params.yaml: engine ray needs Ray: pip install '.\[ray\]'"):
        engines.chosen("ray", where="params.yaml: engine")


def test_the_address_is_that_of_the_option_else_of_the_environment(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert engines.chosen("ray") == engines.Cluster("head:6379")
    assert engines.chosen("ray", "other:1") == engines.Cluster("other:1")
    assert engines.chosen("processes") is None
    monkeypatch.delenv("RAY_ADDRESS")
    assert engines.chosen("ray") == engines.Cluster(None)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://head:10001", "A ray:// address is of Ray's client, which this project does not use"),
        ("head", "--address head: Allowed: HOST:PORT"),
        (
            "127.0.0.1:9",
            r"No Ray cluster answers at 127.0.0.1:9 \(Connection refused\).*ray start --head --port 9",
        ),
        ("127.0.0.1:99999", "No Ray cluster answers at 127.0.0.1:99999"),
    ],
)
def test_an_address_at_which_no_cluster_answers_is_told_at_once(address, said):
    with pytest.raises(UserError, match=said):
        ray_cluster.check_answers(address)


def test_other_versions_of_ray_or_python_are_told():
    said = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.11.9\n"
        "This process on node 10.0.0.7 was started with:\n    Ray: 2.60.0\n    Python: 3.11.9\n"
    )
    error = ray_cluster.explained("head:6379", said)
    assert "another version of Ray or Python" in str(error)
    assert "\n" not in str(error)
    assert "Ray: 2.50.0" in str(error)


def test_a_machine_outside_the_cluster_is_told_how_to_join():
    error = ray_cluster.explained("head:6379", "\nThis node has an IP address of 10.0.0.7, and …\n")
    assert "ray start --address head:6379 --num-cpus 0" in str(error)


def test_a_machine_with_other_code_does_not_work():
    ray_worker.check_versions(HERE, HERE)
    other = HERE | {"code of mlproject": "fedcba9876543210", "ray": "2.50.0"}
    with pytest.raises(
        UserError, match=r"ray 2.50.0 \(2.60.0 here\), code of mlproject fedc.*constraints.txt"
    ):
        ray_worker.check_versions(HERE, other)
    with pytest.raises(UserError, match=r"python None \(3.11.9 here\)"):
        ray_worker.check_versions(HERE, {})


def test_a_machine_that_does_not_see_the_data_does_not_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    called = []
    seen, unseen = Path("here"), Path("data/prepared/bottle")
    seen.touch()
    ray_worker.set_up(ray_worker.Setting(tmp_path, [seen], called.append, ("begun",)))
    assert called == ["begun"]
    with pytest.raises(UserError, match=f"does not see {tmp_path / unseen}.*same path"):
        ray_worker.set_up(ray_worker.Setting(tmp_path, [seen, unseen], called.append, ("begun",)))
    with pytest.raises(UserError, match=f"does not see {tmp_path / 'elsewhere'}"):
        ray_worker.set_up(ray_worker.Setting(tmp_path / "elsewhere", [], None, ()))
    assert called == ["begun"]


def test_a_folder_arrives_as_it_was(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/a.bin").write_bytes(b"\0\1")
    (tmp_path / "one/b.txt").write_text("b")
    folders.unpack(folders.packed(tmp_path / "one"), tmp_path / "two")
    assert folders.packed(tmp_path / "two") == {"a.bin": b"\0\1", "b.txt": b"b"}
