"""Model lists through the official SDKs, unmodified."""

from __future__ import annotations

import openai
import pytest
from harness import Envoy, answer, plugin
from harness.plugin import VK
from harness.sdk import python_client, run_node_tests

LISTS = {"alpha": ["a-1", "org/deep/m"], "beta": ["b-1"]}
IDS = ["smart", "alpha/a-1", "alpha/org/deep/m", "beta/b-1"]


@pytest.fixture
def listing(start_envoy, upstreams) -> Envoy:
    for name, ids in LISTS.items():
        models = [{"id": id, "object": "model", "created": 7} for id in ids]
        upstreams[name].handler = lambda _, models=models: answer(models)
    bound = {"providers": ["alpha", "beta"], "model_aliases": {"smart": "beta/b-1"}}
    keys = [
        {"id": "main", "key": VK["main"], **bound},
        {"id": "allow", "key": VK["allow"], **bound, "models_allowed": ["alpha/a-1"]},
        {"id": "none", "key": VK["none"], **bound, "models_allowed": []},
        {"id": "future", "key": VK["future"], "providers": ["down"]},
    ]
    return start_envoy(config=plugin.configuration(virtual_keys=keys, model_aliases={}))


@pytest.fixture
def client(listing):
    """Makes a client of `listing` for a virtual key."""

    def make(vk: str = "main") -> openai.OpenAI:
        return python_client(listing, VK[vk])

    return make


def test_the_list(client):
    page = client().models.list()
    assert [model.id for model in page] == IDS
    assert {model.object for model in page} == {"model"}
    assert [model.owned_by for model in page][1:] == ["alpha", "alpha", "beta"]
    assert [model.created for model in page] == [0, 7, 7, 7]


def test_every_model_of_the_list_can_be_retrieved(client):
    for model in client().models.list():
        assert client().models.retrieve(model.id) == model


@pytest.mark.parametrize("id", ["alpha/org/deep/m", "org/deep/m", "smart"])
def test_one_model(client, id):
    assert client().models.retrieve(id).id == id


@pytest.mark.parametrize("id", ["alpha/none", "beta/b-1", "beta%2Fb-1", "smart", "../models"])
def test_a_model_that_the_key_does_not_see(client, id):
    with pytest.raises(openai.NotFoundError) as raised:
        client("allow").models.retrieve(id)
    assert raised.value.code == "model_not_found"


def test_a_key_that_may_use_no_model_sees_none(client):
    assert client("none").models.list().data == []


def test_no_list_at_all_is_a_server_error(client):
    with pytest.raises(openai.InternalServerError) as raised:
        client("future").models.list()
    assert raised.value.code == "upstream_error"


def test_node(listing):
    run_node_tests(listing, "models.test.mjs")
