"""`%RESPONSE_CODE_DETAILS%` is `openai_gateway:<code>` for each code of the gateway's own, wherever the reply was made."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

import pytest
from harness import PATIENCE, ROOT, answer, expect, headers, openai_shapes, plugin, sse

Json = dict[str, Any]
CHAT = "/v1/chat/completions"
FORM = b'--B\r\ncontent-disposition: form-data; name="model"\r\n\r\nalpha/m'
FALLBACK = {"both": {"fallback": ["alpha/a", "gamma/b"], "cluster": "over"}}


def post(body: Any, path: str = CHAT, vk: str | None = "main", *more: tuple[str, str], kind: str = "application/json") -> Json:
    return {"path": path, "body": body, "vk": vk, "fields": list(more), "content_type": kind}


# In the order of the table of codes: the request, and where it matters what the provider answers.
REQUESTS: dict[str, tuple[Json, Any]] = {
    "invalid_api_key": (post({"model": "alpha/m"}, vk=None), None),
    "virtual_key_revoked": (post({"model": "alpha/m"}, vk="revoked"), None),
    "virtual_key_expired": (post({"model": "alpha/m"}, vk="expired"), None),
    "model_not_allowed": (post({"model": "alpha/m"}, vk="none"), None),
    "model_not_found": (post({"model": "listed/none"}), None),
    "unknown_url": (post({"model": "alpha/m"}, "/v1/nothing"), None),
    "method_not_allowed": ({"method": "GET", "path": CHAT}, None),
    "missing_model": (post({}), None),
    "invalid_model": (post({"model": 1}), None),
    "duplicate_model": (post(b'{"model":"alpha/m","model":"alpha/m"}'), None),
    "duplicate_parameter": (post({"model": "alpha/m", "input": "x", "Input": "y"}, "/v1/responses"), None),
    "invalid_json": (post(b'{"model":'), None),
    "invalid_multipart": (
        post(FORM, "/v1/audio/transcriptions", kind="multipart/form-data; boundary=B"), None,
    ),
    "unsupported_operation": (post({"model": "vllm/m", "input": "x", "voice": "v"}, "/v1/audio/speech"), None),
    "unsupported_parameter": (
        post({"model": "alpha/m", "input": "x", "previous_response_id": "resp_1"}, "/v1/responses"), None,
    ),
    "cache_override_invalid": (post({"model": "alpha/m"}, CHAT, "main", ("x-langwatch-cache", "maybe")), None),
    "request_too_large": (post(b"", CHAT, "main", ("content-length", "33554433")), None),
    "unsupported_content_encoding": (post(b"x", CHAT, "main", ("content-encoding", "gzip")), None),
    "invalid_upstream_response": (post({"model": "alpha/m", "messages": []}), answer(b"")),
    "upstream_stream_truncated": (post({"model": "alpha/m", "messages": [], "stream": True}), sse()),
}  # fmt: skip
ELSEWHERE = {
    "rate_limit_exceeded": "Envoy's own reply: its details are Envoy's (usage/test_limits.py)",
    "overloaded": "test_the_budget_of_a_worker",
    "misrouted": "test_a_wrong_route",
    "upstream_error": "test_a_list_that_nobody_gives",
    "internal_error": "test_a_host_that_is_nobodys",
}


def codes() -> set[str]:
    """Those of the source."""
    text = (ROOT / "src/error.rs").read_text()
    return set(re.findall(r'Self::\w+ => "(\w+)",', text))


def details(envoy: Any, mark: str) -> str:
    """What the access log says of a request."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for line in envoy.log().splitlines():
            if line.startswith("access ") and f" {mark} " in line:
                return line.split(" ")[3]
        assert time.monotonic() < deadline, f"no access log of {mark}"
        time.sleep(0.02)


def send(envoy: Any, method: str = "POST", path: str = CHAT, **request: Any) -> tuple[Any, str]:
    """The reply, and its details."""
    mark = uuid.uuid4().hex
    fields = [*request.pop("fields", []), ("x-test-id", mark)]
    if method == "GET":
        reply = envoy.request("GET", path, headers("main", None, fields))
    elif any(name == "content-length" for name, _ in fields):
        with envoy.connect() as client:
            client.send_head("POST", path, headers("main", "application/json", fields))
            reply = client.answer().rest()
    else:
        reply = envoy.post(path, fields=fields, **request)
    return reply, details(envoy, mark)


def test_no_code_is_left_out() -> None:
    assert set(REQUESTS) | set(ELSEWHERE) == codes()


@pytest.mark.parametrize("positions", [1, 2])
@pytest.mark.parametrize("code", REQUESTS)
def test_a_code_is_told(start_envoy: Any, upstreams: Any, code: str, positions: int) -> None:
    request, scripted = REQUESTS[code]
    if scripted:
        upstreams["alpha"].next(scripted)
    reply, told = send(start_envoy(positions=positions), **request)
    assert reply.status >= 400
    assert told == f"openai_gateway:{code}"
    assert expect.envelope(reply)["code"] == code


IN_THE_ANSWER: dict[str, tuple[Any, bool | None]] = {
    # What nobody can take for an answer is an error of the gateway's own (None: unless it was to be a stream, and has words),
    "empty": (answer(b""), True),
    "a redirect": (answer(b"", 302), True),
    "nothing": (answer(b"", 204), True),
    "a page": (answer("<html>hello</html>", content_type="text/html"), None),
    "a long page": (answer("<p>" * 4000, chunks=[1, 4000, 4000], content_type="text/html"), None),
    "an empty stream": (sse(), True),
    "a list": (answer([1]), True),
    "no choices": (answer({"object": "chat.completion", "choices": []}), True),
    "broken off": (answer(b'{"choices":[', end="cut"), True),
    # what an upstream says is the upstream's.
    "an error": (answer({"error": {"message": "m"}}, 503), False),
    "an error in 200": (answer({"error": {"message": "m", "code": 503}}), False),
    "an error without a body": (answer(b"", 503), False),
}


@pytest.mark.parametrize("positions", [1, 2])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("case", IN_THE_ANSWER)
def test_what_is_made_of_an_answer(start_envoy: Any, upstreams: Any, case: str, stream: bool, positions: int) -> None:
    scripted, is_own = IN_THE_ANSWER[case]
    upstreams["alpha"].next(scripted)
    body = {"model": "alpha/m", "messages": [], "stream": stream}
    reply, told = send(start_envoy(positions=positions), body=body)
    assert reply.status >= 500
    code = expect.envelope(reply)["code"]
    is_own = not stream if is_own is None else is_own
    assert told == (f"openai_gateway:{code}" if is_own else "via_upstream")
    assert (code in codes()) == is_own


@pytest.mark.parametrize("positions", [1, 2])
def test_what_an_answer_s_head_says_is_kept(start_envoy: Any, upstreams: Any, positions: int) -> None:
    limits = [("x-ratelimit-remaining-requests", "7"), ("retry-after", "3"), ("set-cookie", "a=b"), ("x-other", "1")]
    upstreams["alpha"].next(answer([1], headers=limits))
    reply, told = send(start_envoy(positions=positions), body={"model": "alpha/m", "messages": []})
    assert (reply.status, told) == (502, "openai_gateway:invalid_upstream_response")
    kept = {name: reply.header(name) for name, _ in limits}
    assert kept == {"x-ratelimit-remaining-requests": "7", "retry-after": "3", "set-cookie": None, "x-other": None}
    assert reply.header("x-langwatch-provider") == "alpha" and reply.header("x-langwatch-request-id")


def test_a_wrong_route(start_envoy: Any, upstreams: Any) -> None:
    envoy = start_envoy(fixed_cluster="alpha", positions=1)
    for _ in range(2):
        upstreams["alpha"].next(answer(openai_shapes.completion()))
        reply, told = send(envoy, body={"model": "beta/m", "messages": []})
        assert (expect.envelope(reply)["code"], told) == ("misrouted", "openai_gateway:misrouted")


def test_a_host_that_is_nobodys(start_envoy: Any) -> None:
    envoy = start_envoy(
        config=plugin.configuration(model_aliases=FALLBACK), positions=2, fallbacks={"over": ["beta", "delta"]}
    )
    reply, told = send(envoy, body={"model": "both", "messages": []})
    assert (expect.envelope(reply)["code"], told) == ("internal_error", "openai_gateway:internal_error")


@pytest.mark.parametrize("positions", [1, 2])
def test_a_list_that_nobody_gives(start_envoy: Any, upstreams: Any, positions: int) -> None:
    upstreams["alpha"].handler = lambda _: answer(silent=True, end="cut")
    reply, told = send(start_envoy(positions=positions), method="GET", path="/v1/models/alpha/x")
    assert (expect.envelope(reply)["code"], told) == ("upstream_error", "openai_gateway:upstream_error")


@pytest.mark.parametrize("positions", [1, 2])
def test_the_budget_of_a_worker(start_envoy: Any, positions: int) -> None:
    limits = {"max_buffered_bytes": 65_536, "max_answer_bytes": 65_536, "max_sse_event_bytes": 65_536, "max_held_bytes": 65_536}
    envoy = start_envoy(config=plugin.configuration(limits=limits), positions=positions)
    length, part = ("content-length", "60000"), b'{"x":"' + b"y" * 50_000
    mark = uuid.uuid4().hex
    with envoy.connect() as holder, envoy.connect() as client:
        holder.send_head("POST", CHAT, headers("main", "application/json", [length]))
        holder.send(part)
        time.sleep(0.3)
        client.send_head("POST", CHAT, headers("main", "application/json", [length, ("x-test-id", mark)]))
        client.send(part)
        reply = client.answer().rest()
    assert expect.envelope(reply)["code"] == "overloaded"
    assert details(envoy, mark) == "openai_gateway:overloaded"
