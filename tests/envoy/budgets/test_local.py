"""examples/budgets-local: requests and estimated tokens by key and plan, in Envoy alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from harness import examples

pytestmark = pytest.mark.one_position  # as its configuration is
run = examples.load("examples/budgets-local/run.py")


@pytest.fixture
def parts() -> Iterator[Any]:
    """Every budget whole."""
    with examples.start(run.start, run.GATEWAY, run.ADMIN, run.MOCK) as parts:
        yield parts


def refused(told: Any) -> dict[str, Any]:
    """The error of a refusal by Envoy's limit: in OpenAI's shape, with what an SDK reads."""
    status, headers, body = told
    assert status == 429, told
    assert headers["content-type"] == "application/json"
    assert int(headers["retry-after"]) >= 1
    assert headers["x-ratelimit-limit"] is not None
    error = json.loads(body)["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert "upstream" not in error["message"].lower()
    return error


def test_what_make_budgets_local_shows(parts: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run.demonstrate(parts)
    assert capsys.readouterr().out.count("429 rate_limit_exceeded") == 2


def test_tokens_are_estimated_from_what_is_asked_for(parts: Any) -> None:
    """2,000: a question of 4,000 bytes is 1,000 tokens, and max_tokens 500 for each of 2 choices are 1,000 more; together
    too much by the few bytes that a message has besides. In a plain answer and in a stream."""
    long = [{"role": "user", "content": "x" * 4100}]
    for more in ({}, {"stream": True}):
        refused(run.chat(parts, run.ALICE, 500, n=2, messages=long, **more))
    assert run.chat(parts, run.ALICE, 400, n=2, messages=long)[0] == 200
    # Without max_tokens: usage.default_max_tokens, 1024.
    assert run.chat(parts, run.BOB, None)[0] == 200
    refused(run.chat(parts, run.BOB, None))


def test_the_sdks_take_a_refusal_for_what_it_is(parts: Any) -> None:
    """Each raises its RateLimitError, for plain answers and for streams, with the time to wait at hand."""
    address = f"http://127.0.0.1:{parts.port(run.GATEWAY)}"
    chat = openai.OpenAI(base_url=f"{address}/v1", api_key=run.ALICE, max_retries=0, timeout=20)
    claude = anthropic.Anthropic(base_url=address, auth_token=run.ALICE, api_key=None, max_retries=0, timeout=20)
    question = {"model": "mock-chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5000}
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as by_openai:
            chat.chat.completions.create(**question, stream=stream)
        with pytest.raises(openai.RateLimitError) as by_responses:
            chat.responses.create(model="mock-chat", input="hello", max_output_tokens=5000, stream=stream)
        with pytest.raises(anthropic.RateLimitError) as by_anthropic:
            claude.messages.create(**question, stream=stream)
        for raised in (by_openai, by_responses):
            assert raised.value.code == "rate_limit_exceeded"
        assert by_anthropic.value.body["error"]["type"] == "rate_limit_error"
        for raised in (by_openai, by_responses, by_anthropic):
            assert int(raised.value.response.headers["retry-after"]) >= 1


def test_one_request_above_the_whole_budget_never_passes(parts: Any) -> None:
    refused(run.chat(parts, run.ALICE, 5000))
    assert run.chat(parts, run.ALICE, 100)[0] == 200


def test_what_the_gateway_refuses_takes_nothing(parts: Any) -> None:
    for _ in range(8):
        assert run.chat(parts, run.ALICE, 600, model=7)[0] == 400
        assert run.chat(parts, "vk-of-nobody-at-all", 600)[0] == 401
    assert run.until_refused("free.alice", lambda: run.chat(parts, run.ALICE, 600), 6) == 3
