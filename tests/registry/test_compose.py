"""compose.yaml says what the tests and docs/shared-services.md say; no Docker is needed to see that."""

import re

import pytest
import yaml
from conftest import ROOT
from support import shared_services

TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]


def test_every_password_and_name_is_in_the_example():
    example = dict(
        re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    )
    used = re.findall(r"\$\{(\w+)(:[-?])?", TEXT)
    assert {name for name, _ in used} == set(example)
    assert {name for name, rule in used if rule == ":?"} == {
        name for name, value in example.items() if not value
    }
    assert all(rule for _, rule in used), "a variable that is not set is an empty password"


def test_what_is_referred_to_is_defined():
    for service in SERVICES.values():
        assert {config["source"] for config in service.get("configs", [])} <= COMPOSE["configs"].keys()
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= COMPOSE[
            "volumes"
        ].keys()
        assert set(service.get("depends_on", [])) <= SERVICES.keys()


def test_images_are_pinned():
    for name, service in SERVICES.items():
        _, tag, version = service["image"].partition(":")
        assert "build" in service or name == "buckets" or (tag and version != "latest"), name


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"tls"}))
def test_ports_are_open_on_this_machine_only(name):
    assert all(port.startswith("${LISTEN:-127.0.0.1}:") for port in SERVICES[name].get("ports", []))


def test_databases_and_buckets_are_those_of_the_drill():
    made = re.findall(r"CREATE DATABASE (\w+)", COMPOSE["configs"]["databases"]["content"])
    assert tuple(made) == shared_services.DATABASES
    assert (
        f'"{shared_services.BUCKETS[0]}", "{shared_services.BUCKETS[1]}"'
        in SERVICES["buckets"]["command"][-1]
    )


def test_the_mlflow_server_has_every_option():
    from mlflow.cli import cli

    options = {name for option in cli.commands["server"].params for name in option.opts}
    assert set(re.findall(r"--[\w-]+", SERVICES["mlflow"]["command"])) <= options


def test_what_the_image_installs_has_a_tested_version():
    line = next(
        line
        for line in SERVICES["mlflow"]["build"]["dockerfile_inline"].splitlines()
        if "pip install" in line
    )
    names = re.findall(r"[\w-]+", re.sub(r"\[\w+\]", "", line.partition("/constraints.txt")[2]))
    pinned = re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert names == ["mlflow", "psycopg", "boto3", "flask-wtf"]
    assert {name.lower() for name in names} <= {name.lower().replace("_", "-") for name in pinned}
