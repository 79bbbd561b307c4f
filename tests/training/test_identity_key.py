"""The key of a training is made of named facts alone, in whatever order they come; it is pinned."""

from types import SimpleNamespace

import torch

from mlproject.core import params
from mlproject.training import code_hash, identity, loop

FACTS = {
    "category": "disc", "model": "pca", "settings": {"b": 1, "a": 2}, "split": {"folds": 4}, "seed": 0,
    "data_hash": "a", "pixels_hash": "b", "copies": {}, "code": "c", "device": "cpu", "precision": "float32",
    "threads": 2, "versions": {"torch": "2", "numpy": "2"},
}  # fmt: skip
DATA = SimpleNamespace(category="disc", data_hash="a" * 64, pixels_hash="b" * 64, copies={"x": "y"})


def test_the_key_is_pinned_so_that_no_release_trains_everything_again_by_accident():
    assert identity.run_key(FACTS) == "087d7be813eb1512"
    assert identity.run_key(FACTS, {"count": 1}) == "f7c92587c4e839c2"
    assert identity.run_key(FACTS | {"processes": 1}) == identity.run_key(FACTS)


def test_the_order_of_facts_does_not_matter():
    backwards = dict(reversed(FACTS.items())) | {"settings": {"a": 2, "b": 1}}
    assert identity.run_key(backwards) == identity.run_key(FACTS)


def test_the_facts_of_a_training_are_those_that_its_key_is_made_of():
    facts = identity.run_facts(DATA, "pca", {"components": 4}, "mlproject.models.pca")
    assert facts.keys() == set(identity.DECISIVE)
    how = params.load("training", params.Training)
    device = loop.choose_device(how.device)
    assert facts == {
        "category": "disc", "model": "pca", "settings": {"components": 4},
        "split": params.load("split", params.Split).model_dump(), "seed": params.value("seed"),
        "data_hash": "a" * 64, "pixels_hash": "b" * 64, "copies": {"x": "y"},
        "code": code_hash.code_hash("mlproject.models.pca"), "device": device,
        "precision": loop.choose_precision(how.precision, device), "processes": 1,
        "threads": torch.get_num_threads(), "versions": loop.versions(),
    }  # fmt: skip


def test_a_training_on_a_given_number_of_threads_says_so():
    assert identity.conditions(DATA, threads=7)["threads"] == 7
