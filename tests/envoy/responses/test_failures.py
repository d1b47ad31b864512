"""The Responses API over chat completions: errors, answers that are cut, limits."""

from __future__ import annotations

import gzip

import pytest
from harness import Gate, answer, expect, openai_shapes, plugin, responses, sse
from harness.plugin import PROVIDER_KEYS
from harness.responses import ask, open_stream, plain, streamed
from harness.responses_scenes import TEXT, begins, chunk, goes_on, said

ERROR = {"error": {"message": "boom", "type": "server_error", "param": None, "code": 500}}


@pytest.mark.parametrize(("status", "code"), [(400, "x"), (404, None), (429, "rate_limit_exceeded"), (503, None)])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_keeps_its_status(gateway, chat_server, status, code, stream):
    scripted = openai_shapes.error(status, "no", code=code)
    scripted.headers.append(("retry-after", "7"))
    chat_server.next(scripted)
    reply = responses.post(gateway, ask(stream=stream))
    assert reply.status == status
    error = expect.envelope(reply)
    assert (error["message"], error["code"], reply.header("retry-after")) == ("no", code, "7")


@pytest.mark.parametrize("body", ["<h1>Bad gateway</h1>", "", {"detail": "Not Found"}, {"error": "model not found"}])
def test_an_error_of_any_shape_is_an_envelope(gateway, chat_server, body):
    chat_server.next(answer(body, 502))
    reply = responses.post(gateway, ask())
    assert reply.status == 502 and expect.envelope(reply)


@pytest.mark.parametrize(("code", "status"), [(429, 429), ("401", 401), ("rate_limit_exceeded", 429), (None, 502)])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_inside_200_has_its_status(gateway, chat_server, code, status, stream):
    """In one piece, and as the first event of a stream."""
    error = {"error": {**ERROR["error"], "type": None, "code": code}}
    chat_server.next(sse(error, "[DONE]") if stream else answer(error))
    reply = responses.post(gateway, ask(stream=stream))
    begin = "Provider alpha refused the gateway's credential: " if status == 401 else ""
    assert (reply.status, expect.envelope(reply)["message"]) == (status, f"{begin}boom")


def test_a_plain_answer_that_was_broken_off_is_not_complete(gateway, chat_server):
    """Ollama, whose runner died: no finish reason, and a usage of zeros. Also behind answers that were alike but for that."""

    def asked(count: int, reason: str | None):
        usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": 2 * count}
        choice = {"index": 0, "message": {"role": "assistant", "content": "la"}, "finish_reason": reason}
        chat_server.next(answer({"object": "chat.completion", "choices": [choice], "usage": usage}))
        return responses.post(gateway, ask())

    for reason in (None, "stop"):
        for _ in range(2):
            expect.good(asked(1, reason))
        assert "broke" in expect.gateway_error(asked(0, None), 502, "invalid_upstream_response")
    expect.good(asked(0, "stop"))


def failed(checked):
    """The error of a stream that failed; nothing of what came before it is lost."""
    assert checked.final["status"] == "failed"
    assert checked.kinds[-1] == "failed"
    return checked.final["error"]


def test_an_error_later_is_a_failed_response(gateway, chat_server):
    scripted = sse(chunk({"content": "Hel"}), chunk({"content": "lo"}), ERROR, chunk({"content": "x"}), "[DONE]")
    checked = streamed(gateway, chat_server, scripted)
    assert "boom" in failed(checked)["message"]
    assert said(checked.final) == (("message", "Hello"),)


def test_an_error_within_a_call_is_a_failed_response(gateway, chat_server):
    begun = [chunk({"content": "Hi"}), chunk(begins(0, "call_a", "f", '{"a"'))]
    checked = streamed(gateway, chat_server, sse(*begun, ERROR, "[DONE]"))
    assert "boom" in failed(checked)["message"]
    assert checked.deltas == ["Hi", '{"a"']


def test_no_failure_repeats_the_providers_key(gateway, chat_server):
    """Of a server that refuses it late; the suite looks for keys in every answer."""
    error = {"error": {"message": f"Incorrect API key: {PROVIDER_KEYS['alpha']}", "code": 401}}
    checked = streamed(gateway, chat_server, sse(chunk({"content": "Hel"}), error))
    assert failed(checked)["message"] == "Incorrect API key: [redacted]"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_nobody_can_read(gateway, chat_server, stream):
    scripted = answer(gzip.compress(TEXT.plain().body))
    scripted.headers.append(("content-encoding", "gzip"))
    chat_server.next(scripted)
    reply = responses.post(gateway, ask(stream=stream))
    assert "compressed" in expect.gateway_error(reply, 502, "invalid_upstream_response")
    assert reply.header("content-encoding") is None


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_stream_without_its_end_failed(gateway, chat_server, done, framing):
    """Neither a finish reason nor `[DONE]`; with `[DONE]` alone the server thought it whole."""
    pieces = [chunk({"content": "Hel"}), chunk({"content": "lo"}), *(["[DONE]"] if done else [])]
    checked = streamed(gateway, chat_server, sse(*pieces, framing=framing))
    if not done:
        assert failed(checked)["message"]
    assert said(checked.final) == (("message", "Hello"),)


def test_a_call_without_its_end_failed(gateway, chat_server):
    checked = streamed(gateway, chat_server, sse(chunk(begins(0, "call_a", "f", '{"a"'))))
    assert failed(checked)["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_none(gateway, chat_server, stream):
    for body, kind in (("<p>Sign in</p>", "text/html"), ("", "application/json"), ("7", "application/json"),
                       ({"choices": []}, "application/json"), ({"object": "list"}, "application/json")):  # fmt: skip
        chat_server.next(answer(body, content_type=kind))
        reply = responses.post(gateway, ask(stream=stream))
        assert reply.status == 502, (body, reply)
        assert "<" not in expect.envelope(reply)["message"]


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_a_connection_that_breaks_is_a_cut_answer(gateway, chat_server, end):
    """Envoy ends the client's stream itself, as with any other."""
    gate = Gate()
    chat_server.next(sse(chunk({"content": "Hello"}), gate, end=end))
    with open_stream(gateway) as client:
        incoming = client.answer()
        incoming.read_until(lambda body: b'"delta":"Hello"' in body)
        gate.open()
        reply = incoming.rest()
    assert not reply.complete and b"response.completed" not in reply.body


@pytest.fixture
def bounded(start_envoy):
    """A gateway that holds little of an answer, and calls models by what the client called them."""
    limits = {"max_answer_bytes": 20_000, "max_buffered_bytes": 100_000}
    return start_envoy(config=plugin.configuration(limits=limits, response_model="requested"))


def test_a_stream_above_the_limit_failed(bounded, chat_server):
    pieces = [chunk({"content": "0123456789" * 100}) for _ in range(40)]
    checked = streamed(bounded, chat_server, sse(*pieces, chunk({}, "stop"), "[DONE]"))
    assert "20000" in failed(checked)["message"]
    assert len("".join(checked.deltas)) <= 20_000


@pytest.mark.parametrize("kind", ["arguments", "reasoning_content"])
def test_any_text_above_the_limit_failed(bounded, chat_server, kind):
    text = "0123456789" * 100
    delta = {kind: text} if kind == "reasoning_content" else goes_on(0, text)
    pieces = [chunk(begins(0, "call_a", "f"))] + [chunk(delta) for _ in range(40)]
    checked = streamed(bounded, chat_server, sse(*pieces, chunk({}, "stop"), "[DONE]"))
    assert "20000" in failed(checked)["message"]


def test_a_plain_answer_above_the_limit(bounded, chat_server):
    chat_server.next(answer(openai_shapes.completion(text="x" * 40_000)))
    message = expect.gateway_error(responses.post(bounded, ask()), 502, "invalid_upstream_response")
    assert "20000" in message


def test_the_model_as_it_was_asked_for(bounded, chat_server):
    assert plain(bounded, chat_server, TEXT.plain())["model"] == "alpha/m"
    checked = streamed(bounded, chat_server, TEXT.stream())
    assert {event["response"]["model"] for event in checked.events if "response" in event} == {"alpha/m"}
