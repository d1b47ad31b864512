"""`answer_headers`: which of the gateway's own headers answers get, plain ones, streams, errors and its own."""

from __future__ import annotations

import pytest
from harness import answer, expect, openai_shapes, plugin, sse

NAMES = ["provider", "model", "request_id", "cache_mode", "cache"]
BODY = {"model": "alpha/m", "messages": []}


def own(reply) -> list[str]:
    """What an answer says under the gateway's prefix."""
    prefix = "x-langwatch-"
    return sorted(name.removeprefix(prefix) for name, _ in reply.fields if name.startswith(prefix))


def sent_as(names: list[str]) -> list[str]:
    return sorted(name.replace("_", "-") for name in names)


@pytest.mark.parametrize(
    "chosen", [None, [], ["model"], ["cache", "provider"], ["request_id", "cache_mode"]], ids=str
)
def test_answers_get_the_chosen_ones(start_envoy, upstreams, chosen):
    changes = {} if chosen is None else {"answer_headers": chosen}
    envoy = start_envoy(config=plugin.configuration(**changes))
    names = NAMES if chosen is None else chosen
    upstreams["alpha"].next(answer(openai_shapes.completion()))
    assert own(expect.good(envoy.post(body=BODY))) == sent_as(names)

    # A stream's usage comes last: its outcome is never in the head.
    in_streams = sent_as([name for name in names if name != "cache"])
    upstreams["alpha"].next(sse(openai_shapes.chunk({"content": "a"}, "stop"), "[DONE]"))
    assert own(expect.good(envoy.post(body={**BODY, "stream": True}))) == in_streams

    upstreams["alpha"].next(answer({"error": {"message": "busy"}}, 503))
    reply = envoy.post(body=BODY)
    assert reply.status == 503 and own(reply) == in_streams

    # The gateway's own answers know no provider.
    of_own = [name for name in ["request-id"] if "request_id" in names]
    assert own(envoy.post(body=BODY, vk=None)) == of_own
    assert own(envoy.request("GET", "/v1/models/listed/both", [("authorization", f"Bearer {plugin.VK['main']}")])) == of_own


def test_an_upstreams_own_say_so_is_removed_all_the_same(start_envoy, upstreams):
    envoy = start_envoy(config=plugin.configuration(answer_headers=[]))
    forged = [(f"X-LangWatch-{name}", "forged") for name in ("Provider", "Model", "Cache", "Request-Id")]
    upstreams["alpha"].next(answer(openai_shapes.completion(), headers=forged))
    assert own(expect.good(envoy.post(body=BODY))) == []
