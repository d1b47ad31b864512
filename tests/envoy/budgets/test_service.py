"""examples/budgets: tokens by key, charged when an answer ends, in the real rate limit service with Redis, for two Envoys."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import examples

pytestmark = pytest.mark.one_position  # as its configuration is
run = examples.load("examples/budgets/run.py")
PLAIN: dict[str, Any] = {}
STREAM = {"stream": True}
SEARCH = (run.SEARCH, "search-team")


@pytest.fixture(scope="module")
def whole_fleet() -> Iterator[Any]:
    with examples.start(run.Fleet, *run.PORTS) as fleet:
        yield fleet


@pytest.fixture
def fleet(whole_fleet: Any) -> Any:
    """Every budget whole, and an hour that does not end soon."""
    run.wait_for_the_same_hour()
    whole_fleet.forget()
    return whole_fleet


def refused(told: Any) -> None:
    """By Envoy's limit: in OpenAI's shape, with what an SDK reads."""
    status, headers, body = told
    assert status == 429, told
    assert headers["content-type"] == "application/json"
    assert 1 <= int(headers["retry-after"]) <= 3600
    assert headers["x-ratelimit-remaining"] == "0"
    error = json.loads(body)["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert "upstream" not in error["message"].lower()


def wait_for_log(envoy: Any, words: str) -> None:
    """Envoy writes its access log a little later."""
    deadline = time.monotonic() + 10
    while f'"{words}"' not in envoy.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def usage_of(body: str) -> list[Any]:
    """What a client sees of usage in a stream."""
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    return [event["usage"] for event in events if event.get("usage")]


@pytest.mark.parametrize("more", [PLAIN, STREAM], ids=["plain", "stream"])
def test_a_key_is_stopped_at_its_budget_and_another_is_not(fleet: Any, more: dict[str, Any]) -> None:
    """Two Envoys share the budget, and the request that crosses the line passes."""
    passed, refusal = run.spend(fleet, *SEARCH, **more)
    # 30 words in, 34 out: 64, then 128 of 100.
    assert passed == 2
    assert fleet.charged("search-team") == 128
    refused(refusal)
    wait_for_log(fleet.envoys[0], "request_rate_limited")
    for gateway in (run.FIRST, run.SECOND):
        refused(fleet.chat(gateway, run.SEARCH, **more))
        assert fleet.chat(gateway, run.CHAT, **more)[0] == 200


def test_a_client_that_leaves_usage_out_does_not_escape(fleet: Any) -> None:
    """Nor does it see what was asked for on its behalf; one that asked does."""
    status, _, body = fleet.chat(run.FIRST, run.SEARCH, words=10, **STREAM)
    assert (status, usage_of(body)) == (200, [])
    assert run.settled(fleet, "search-team", 1) == 24
    asked = {**STREAM, "stream_options": {"include_usage": True}}
    status, _, body = fleet.chat(run.SECOND, run.SEARCH, words=10, **asked)
    (seen,) = usage_of(body)
    assert seen["total_tokens"] == 24
    assert run.settled(fleet, "search-team", 25) == 48


@pytest.mark.parametrize("more", [PLAIN, STREAM], ids=["plain", "stream"])
def test_other_dialects_draw_on_the_same_budget(fleet: Any, more: dict[str, Any]) -> None:
    words = " ".join(["word"] * 10)
    for number, (path, body) in enumerate(
        (
            ("/v1/responses", {"input": words}),
            ("/v1/messages", {"messages": [{"role": "user", "content": words}], "max_tokens": 100}),
            ("/v1/completions", {"prompt": words}),
        ),
        start=1,
    ):
        told = run.post(fleet.port(run.FIRST), path, {"model": "mock-chat", **body, **more}, run.SEARCH)
        assert told[0] == 200, told
        assert run.settled(fleet, "search-team", number * 20) >= number * 20


def test_a_client_that_goes_away_pays_what_it_was_sent(fleet: Any) -> None:
    """40 words, an event each: it leaves after a few, so neither nothing nor everything is charged."""
    words = " ".join(["word"] * 40)
    body = {"model": "mock-chat", "messages": [{"role": "user", "content": words}], "stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", fleet.port(run.FIRST), timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {run.SEARCH}"})
    answer = connection.getresponse()
    seen = b""
    while seen.count(b"data: ") < 8:
        seen += answer.read1()
    connection.sock.close()
    answer.close()
    # The question's 199 bytes are 50 tokens or so; the whole answer would be 55 more.
    charged = run.settled(fleet, "search-team", 50)
    assert 50 < charged < 100


def test_what_the_gateway_or_the_server_refuses_costs_no_tokens(fleet: Any) -> None:
    for key, model, status in (
        (run.SEARCH, 7, 400),
        ("vk-of-nobody-at-all", "mock-chat", 401),
        (run.SEARCH, "no-such-model", 404),
        (run.SEARCH, "error-in-200", 400),
    ):
        assert fleet.chat(run.FIRST, key, model=model)[0] == status
    # The charge of a good answer comes after all of theirs would have come.
    assert fleet.chat(run.FIRST, run.SEARCH, words=10)[0] == 200
    assert run.settled(fleet, "search-team", 24) == 24


def test_no_envoy_warns_of_a_charge_without_a_value(fleet: Any) -> None:
    fleet.chat(run.FIRST, run.SEARCH)
    fleet.chat(run.FIRST, run.SEARCH, model=7)
    for _, process in fleet.running:
        lines = process.log.read_text().splitlines()
        assert not [line for line in lines if "hits_addend" in line and "[info]" not in line], process.log


def test_without_the_service_nothing_passes(fleet: Any) -> None:
    """Last in this file: the service does not come back."""
    assert fleet.chat(run.FIRST, run.CHAT)[0] == 200
    fleet.service.kill()
    fleet.service.wait()
    deadline = time.monotonic() + 10
    while (told := fleet.chat(run.FIRST, run.CHAT))[0] == 200:  # until Envoy has noticed
        assert time.monotonic() < deadline
    status, headers, body = told
    assert (status, headers["content-type"]) == (500, "application/json")
    error = json.loads(body)["error"]
    assert error["code"] == "internal_error"
    assert "limits of this gateway" in error["message"]
