"""Which registered model a name means in a registry that others use too, and addresses that are shown."""

import json
import shutil

import pytest

from mlproject.core.errors import UserError
from mlproject.registry import version_tags
from mlproject.registry.address import find_model
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project"]


@pytest.fixture
def client(tmp_path, monkeypatch, empty_database):
    """A client of an empty registry, in a folder without params.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return connection.connect()


def add(client, name, category):
    client.create_registered_model(name)
    client.create_model_version(
        name, "nowhere", tags={version_tags.LINEAGE: json.dumps({"category": category})}
    )


def test_a_model_is_found_behind_more_than_a_page_of_others(client):
    for number in range(120):
        client.create_registered_model(f"another-{number:03}")
    add(client, "photos-disc", "disc")
    assert find_model(client, "photos-disc").name == "photos-disc"
    assert find_model(client, "disc").name == "photos-disc"
    with pytest.raises(UserError, match="Did you mean photos-disc"):
        find_model(client, "photos-disk")


def test_the_end_of_another_categorys_name_is_no_category(client):
    add(client, "sample-blue-tile", "blue-tile")
    assert find_model(client, "blue-tile").name == "sample-blue-tile"
    with pytest.raises(UserError, match="registered model tile is not known"):
        find_model(client, "tile")
    add(client, "sample-tile", "tile")
    assert find_model(client, "tile").name == "sample-tile"


def test_a_category_of_several_data_sets_is_asked_for(client):
    for dataset in ("photos", "sample"):
        add(client, f"{dataset}-disc", "disc")
    with pytest.raises(UserError, match="Say which: photos-disc, sample-disc"):
        find_model(client, "disc")


@pytest.mark.parametrize("category", ["blue tile", "it's"])
def test_a_category_whose_name_mlflow_would_not_take(client, category):
    name = "sample-" + category.replace(" ", "-").replace("'", "-")
    add(client, name, category)
    assert find_model(client, category).name == name


@pytest.mark.parametrize("name", ["a:b", "a/b", " ", "../x"])
def test_what_can_be_no_name_is_not_known(client, name):
    with pytest.raises(UserError, match="is not known"):
        find_model(client, name)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@db:5432/runs", "postgresql://db:5432/runs"),
        ("https://me:sec/r@t@host/mlflow", "https://host/mlflow"),
        ("https://token@host", "https://host"),
        ("postgresql://db/runs?user=me&password=secret&x=1", "postgresql://db/runs?user=me&password=…&x=1"),
        ("sqlite:////srv/a@b.db", "sqlite:////srv/a@b.db"),
        ("s3://bucket/path@v1", "s3://bucket/path@v1"),
        ("no answer from http://me:x@h:5000/api: ask a@b", "no answer from http://h:5000/api: ask a@b"),
    ],
)
def test_an_address_is_shown_without_its_password(address, shown):
    assert connection.without_password(address) == shown
