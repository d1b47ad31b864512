"""The Messages API through the gateway: where requests go, counts, lists, and every error in Anthropic's shape."""

from __future__ import annotations

import json

import pytest
from harness import Gate, answer, plugin, sse
from harness.messages import REQUEST_ID, ask, assembled, error, events, post
from harness.plugin import PROVIDER_KEYS, VK
from harness.responses_scenes import TEXT, chunk

BETA = [("anthropic-beta", "context-1m")]


def test_what_a_chat_server_gets(gateway, chat_server):
    chat_server.next(TEXT.plain())
    reply = post(gateway, ask(system="be"), path="/v1/messages?beta=true", fields=BETA)
    assert reply.status == 200
    assert reply.header("x-langwatch-provider") == "alpha"
    assert reply.header("x-langwatch-model") == "m"
    assert reply.header("x-langwatch-cache") == "miss"
    sent = chat_server.only
    assert sent.path == "/openai/v1/chat/completions"
    assert sent.header("authorization") == f"Bearer {PROVIDER_KEYS['alpha']}"
    assert sent.header("anthropic-version") is None and sent.header("anthropic-beta") is None
    assert sent.header("content-length") == str(len(sent.body))
    assert sent.json() == {
        "model": "m",
        "messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}],
        "max_tokens": 100,
    }


@pytest.mark.parametrize("carrier", ["authorization", "x-api-key"])
def test_both_ways_to_send_a_key(gateway, chat_server, carrier):
    chat_server.next(TEXT.plain())
    value = f"Bearer {VK['main']}" if carrier == "authorization" else VK["main"]
    body = json.dumps(ask()).encode()
    fields = [(carrier, value), ("content-type", "application/json")]
    assert gateway.request("POST", "/v1/messages", fields, body=body).status == 200


def test_a_model_id_with_a_window(gateway, chat_server):
    for model in ("alpha/m[1m]", "alpha/m[1M][1m]"):
        chat_server.next(TEXT.plain())
        assert post(gateway, ask(model=model)).status == 200
    assert {request.json()["model"] for request in chat_server.requests} == {"m"}


def test_what_was_left_out_is_named(gateway, chat_server):
    chat_server.next(TEXT.plain())
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    reply = post(gateway, ask(tools=tools, service_tier="auto"))
    assert reply.header("x-langwatch-params-dropped") == "web_search_20250305, service_tier"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": [{"role": "user", "content": [{"type": "brand_new"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]},
         "messages[0].content[0].tool_use_id"),
        ({"tools": [{"name": 7}]}, "tools[0].name"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_has_no_form_in_chat(gateway, chat_server, fields, path, stream):
    with gateway.sends_nothing():
        reply = post(gateway, ask(stream=stream, **fields))
    assert path in error(reply, 400, "unsupported_parameter")


def test_the_gateways_own_errors(gateway, chat_server):
    with gateway.sends_nothing():
        error(post(gateway, ask(), vk=None, fields=[("x-api-key", "wrong")]), 401, "invalid_api_key")
        error(post(gateway, ask(), vk=None), 401, "invalid_api_key")
        error(post(gateway, ask(), vk="revoked"), 403, "virtual_key_revoked")
        error(post(gateway, ask(), vk="none"), 403, "model_not_allowed")
        error(post(gateway, ask(model="no-such/one", x=1), vk="lists"), 404, "model_not_found")
        error(post(gateway, ask(model=None)), 400, "invalid_model")
        error(post(gateway, b"{"), 400, "invalid_json")
        error(post(gateway, ask(), path="/v1/messages/batches"), 404, "unknown_url")
        error(post(gateway, ask(model="narrow/m")), 400, "unsupported_operation")
        many = [{"type": "text", "text": "a"}] * 40_000
        told = ask(messages=[{"role": "user", "content": many}])
        error(post(gateway, told), 413, "request_too_large")
        reply = gateway.request("GET", "/v1/messages", [("x-api-key", VK["main"])])
        assert (reply.status, reply.json()["error"]["type"]) == (405, "invalid_request_error")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "bad", "type": "invalid_request_error", "param": None, "code": None}}),
        (401, {"error": {"message": "no key", "type": "x", "param": None, "code": "y"}}),
        (404, {"object": "error", "message": "no such model", "code": 404}),
        (429, "slow down"),
        (500, "<html><body>oops</body></html>"),
        (503, ""),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
    ],
)
def test_a_servers_errors(gateway, chat_server, status, body, stream):
    chat_server.next(answer(body, status, headers=[("retry-after", "3")]))
    reply = post(gateway, ask(stream=stream))
    error(reply, status)
    assert reply.header("retry-after") == "3"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_inside_a_200(gateway, chat_server, stream):
    for told, status in [
        ({"message": "busy", "type": "overloaded_error"}, (503, 529)),
        ({"message": "slow", "type": "rate_limit_error"}, (429,)),
        ({"message": "bad", "code": 400}, (400,)),
    ]:
        scripted = sse({"error": told}) if stream else answer({"error": told})
        chat_server.next(scripted)
        reply = post(gateway, ask(stream=stream))
        assert reply.status in status
        assert told["message"] in error(reply, reply.status)


def test_a_late_error_and_a_cut_are_events(gateway, chat_server):
    for last, kind, words in [
        ({"error": {"message": "slow", "type": "rate_limit_error"}}, "rate_limit_error", "slow"),
        (None, "api_error", "(upstream_stream_truncated)"),
    ]:
        chat_server.next(sse(chunk({"content": "a"}), *([last] if last else [])))
        reply = post(gateway, ask(stream=True))
        message, failed = assembled(reply.body)
        assert message["content"][0]["text"] == "a"
        assert failed["error"]["type"] == kind
        assert failed["error"]["message"].endswith(words)
        assert failed["request_id"] == REQUEST_ID


def test_envoys_own_replies(gateway):
    error(post(gateway, ask(model="down/m")), 503, "upstream_error")


def test_a_full_context(gateway, chat_server):
    words = (
        "This model's maximum context length is 40960 tokens. However, you requested 44000 tokens "
        "(12000 in the messages, 32000 in the completion). Please reduce the length of the messages or completion."
    )
    chat_server.next(answer({"error": {"message": words, "type": "BadRequestError", "code": 400}}, 400))
    told = error(post(gateway, ask()), 400)
    assert told.startswith("input length and `max_tokens` exceed context limit: 12000 + 32000 > 40960 (")


def test_events_leave_one_by_one(gateway, chat_server):
    gate = Gate()
    chat_server.next(sse(chunk({"content": "a"}), gate, chunk({}, "stop"), "[DONE]"))
    body = json.dumps(ask(stream=True)).encode()
    head = [("x-api-key", VK["main"]), ("content-type", "application/json"), ("content-length", str(len(body)))]
    with gateway.connect() as client:
        client.send_head("POST", "/v1/messages", head)
        client.send(body)
        incoming = client.answer()
        incoming.read_until(lambda got: b'"text":"a"' in got)
        gate.open()
        message, failed = assembled(incoming.rest().body)
    assert failed is None and message["stop_reason"] == "end_turn"


class TestCountTokens:
    PATH = "/v1/messages/count_tokens"

    def test_by_the_servers_tokenizer(self, gateway, upstreams):
        server = upstreams["vllm"]
        server.next(answer({"count": 12, "max_model_len": 4096, "tokens": [1] * 12}))
        told = ask(model="vllm/org/m", system="be", tools=[{"name": "f"}])
        del told["max_tokens"]
        reply = post(gateway, told, path=self.PATH)
        assert (reply.status, reply.json()) == (200, {"input_tokens": 12})
        assert reply.header("content-length") == str(len(reply.body))
        sent = server.only
        assert sent.path == "/tokenize"
        assert sent.header("authorization") == f"Bearer {PROVIDER_KEYS['vllm']}"
        assert sent.json() == {
            "model": "org/m",
            "messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
        }

    def test_megabytes_of_tokens(self, gateway, upstreams):
        tokens = {"count": 400_000, "max_model_len": 1_000_000, "tokens": [100_000] * 400_000}
        upstreams["vllm"].next(answer(tokens, chunks=65_536, framing="chunked"))
        reply = post(gateway, ask(model="vllm/m"), path=self.PATH)
        assert (reply.status, reply.json(), reply.complete) == (200, {"input_tokens": 400_000}, True)

    def test_a_server_without_tokenizer(self, gateway, upstreams):
        with gateway.sends_nothing():
            error(post(gateway, ask(), path=self.PATH), 404, "unsupported_operation")
        upstreams["vllm"].next(answer({"detail": "Not Found"}, 404))
        error(post(gateway, ask(model="vllm/m"), path=self.PATH), 404)
        upstreams["vllm"].next(answer({"count": "many"}))
        error(post(gateway, ask(model="vllm/m"), path=self.PATH), 502, "invalid_upstream_response")


def native(**fields):
    config = plugin.configuration()
    config["providers"][0]["messages_api"] = "native"
    config.update(fields)
    return {"config": config}


class TestNative:
    MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [{"type": "text", "text": "hi"}],
               "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip

    def test_only_the_models_bytes_change(self, start_envoy, upstreams):
        gateway = start_envoy(**native())
        body = json.dumps(self.MESSAGE, indent=1).encode()
        upstreams["alpha"].next(answer(body))
        asked = b'{ "model" : "alpha/claude" , "max_tokens":1,"messages":[{"role":"user","content":[{"type":"brand_new"}]}] }'
        reply = post(gateway, asked, path="/v1/messages?beta=true", fields=BETA)
        assert (reply.status, reply.body) == (200, body)
        sent = upstreams["alpha"].only
        assert sent.path == "/openai/v1/messages?beta=true"
        assert sent.body == asked.replace(b"alpha/claude", b"claude")
        assert (sent.header("anthropic-version"), sent.header("anthropic-beta")) == ("2023-06-01", "context-1m")

    def test_a_version_where_none_came(self, start_envoy, upstreams):
        gateway = start_envoy(**native())
        upstreams["alpha"].next(answer({"input_tokens": 3}))
        reply = gateway.post("/v1/messages/count_tokens", ask())
        assert (reply.status, reply.json()) == (200, {"input_tokens": 3})
        sent = upstreams["alpha"].only
        assert sent.path == "/openai/v1/messages/count_tokens"
        assert sent.header("anthropic-version") == "2023-06-01"

    def test_an_error_of_its_own_stays_as_it_is(self, start_envoy, upstreams):
        gateway = start_envoy(**native())
        busy = b'{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "request_id": "r"}'
        upstreams["alpha"].next(answer(busy, 529))
        reply = post(gateway, ask())
        assert (reply.status, reply.body) == (529, busy)
        upstreams["alpha"].next(answer("nothing here", 404))
        error(post(gateway, ask()), 404)

    def test_cached_tokens_are_told(self, start_envoy, upstreams):
        gateway = start_envoy(**native())
        for read, want in ((0, "miss"), (9, "hit")):
            usage = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": read}
            upstreams["alpha"].next(answer({**self.MESSAGE, "usage": usage}))
            assert post(gateway, ask()).header("x-langwatch-cache") == want


def event(name, **members):
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


class TestNativeStreams:
    """What a server of Anthropic's own protocol streams."""

    START = event("message_start", message={**TestNative.MESSAGE, "content": [], "stop_reason": None})
    BLOCK = (event("content_block_start", index=0, content_block={"type": "text", "text": ""})
             + event("ping")
             + b"".join(event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in ("He", "llo", "!"))
             + event("content_block_stop", index=0))  # fmt: skip
    END = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 3}) + event("message_stop")
    WHOLE = START + BLOCK + END

    def ask(self, start_envoy, upstreams, stream, **fields):
        gateway = start_envoy(**native(**fields))
        upstreams["alpha"].next(stream if not isinstance(stream, bytes) else sse(stream))
        return post(gateway, ask(stream=True))

    def test_a_good_one_stays_as_it_is(self, start_envoy, upstreams):
        reply = self.ask(start_envoy, upstreams, self.WHOLE)
        assert (reply.status, reply.body) == (200, self.WHOLE)
        assert reply.header("content-type") == "text/event-stream"

    @pytest.mark.parametrize(
        "drift",
        [
            lambda stream: stream.replace(b"\n", b"\r\n"),
            lambda stream: stream + b"data: [DONE]\n\n",
            lambda stream: b"\n".join(line for line in stream.split(b"\n") if not line.startswith(b"event:")),
            lambda stream: stream.replace(b"data: ", b"data:"),
            lambda stream: stream.replace(b"event: content_block_delta", b"event: message"),
            lambda stream: stream.rstrip(b"\n"),
        ],
        ids=["crlf", "done", "no-names", "no-space", "wrong-name", "no-end"],
    )
    def test_framing_is_made_right(self, start_envoy, upstreams, drift):
        assert self.ask(start_envoy, upstreams, drift(self.WHOLE)).body == self.WHOLE

    def test_the_model_that_was_asked_for(self, start_envoy, upstreams):
        reply = self.ask(start_envoy, upstreams, self.WHOLE, response_model="requested")
        assert reply.body == self.WHOLE.replace(b'"model": "claude"', b'"model": "alpha/m"')

    @pytest.mark.parametrize(
        "first",
        [
            event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
            b'data: {"error": {"message": "Overloaded", "code": 529}}\n\n',
        ],
    )
    def test_an_error_first_is_a_status(self, start_envoy, upstreams, first):
        assert "Overloaded" in error(self.ask(start_envoy, upstreams, first), 529)

    @pytest.mark.parametrize(
        "late",
        [
            b'data: {"error": {"message": "Out of memory at s3cr3t", "code": 500}}\n\n',
            b"event: error\ndata: Out of memory at s3cr3t\n\n",
        ],
    )
    def test_a_late_error_is_an_event(self, start_envoy, upstreams, late):
        key = PROVIDER_KEYS["alpha"].encode()
        reply = self.ask(start_envoy, upstreams, self.START + self.BLOCK + late.replace(b"s3cr3t", key))
        assert key not in reply.body
        assert reply.body.startswith(self.START + self.BLOCK)
        name, told = events(reply.body)[-1]
        assert name == "error" and "Out of memory" in told["error"]["message"], told
        assert told["error"]["type"] == "api_error" and b"[DONE]" not in reply.body

    def test_anthropics_own_late_error_stays(self, start_envoy, upstreams):
        stream = self.START + event("error", error={"type": "overloaded_error", "message": "Overloaded"})
        assert self.ask(start_envoy, upstreams, stream).body == stream

    def test_a_cut_one_ends_in_an_error(self, start_envoy, upstreams):
        reply = self.ask(start_envoy, upstreams, self.START + self.BLOCK)
        name, told = events(reply.body)[-1]
        assert name == "error" and "upstream_stream_truncated" in told["error"]["message"], told

    def test_one_that_nobody_labelled(self, start_envoy, upstreams):
        reply = self.ask(start_envoy, upstreams, answer(self.WHOLE))
        assert (reply.header("content-type"), reply.body) == ("text/event-stream", self.WHOLE)


class TestModels:
    def get(self, gateway, path, vk=VK["main"], version=True):
        fields = [("x-api-key", vk)] + [("anthropic-version", "2023-06-01")] * version
        return gateway.request("GET", path, fields)

    def test_the_list_in_anthropics_shape(self, gateway, upstreams):
        told = self.get(gateway, "/v1/models", VK["aliases"]).json()
        openai = self.get(gateway, "/v1/models", VK["aliases"], version=False).json()
        assert [model["id"] for model in told["data"]] == [model["id"] for model in openai["data"]]
        assert told["has_more"] is False
        assert (told["first_id"], told["last_id"]) == (told["data"][0]["id"], told["data"][-1]["id"])
        for model in told["data"]:
            assert list(model) == ["type", "id", "display_name", "created_at"]

    def test_pages_and_one(self, gateway, upstreams):
        path = "/v1/models?limit=1"
        first = self.get(gateway, path, VK["aliases"]).json()
        assert len(first["data"]) == 1 and first["has_more"] is True
        second = self.get(gateway, f"{path}&after_id={first['last_id']}", VK["aliases"]).json()
        assert second["data"][0]["id"] != first["last_id"]
        one = self.get(gateway, f"/v1/models/{first['last_id']}", VK["aliases"]).json()
        assert one == first["data"][0]

    def test_errors(self, gateway):
        told = self.get(gateway, "/v1/models/no-such", VK["lists"])
        assert told.json()["error"]["type"] == "not_found_error", told.body
        assert self.get(gateway, "/v1/models?limit=x").json()["error"]["type"] == "invalid_request_error"
        assert "error" in self.get(gateway, "/v1/models/no-such", VK["lists"], version=False).json()


class TestAliasesByBeginning:
    def gateway(self, start_envoy):
        config = plugin.configuration()
        config["model_aliases"] = {"claude-*": "alpha/big", "claude-haiku-*": "alpha/small", "claude-opus": "alpha/exact"}
        return start_envoy(config=config)

    @pytest.mark.parametrize(
        ("asked", "model"),
        [("claude-sonnet-5", "big"), ("claude-haiku-4-5[1m]", "small"), ("claude-opus", "exact"), ("claude-opus-5", "big")],
    )
    def test_the_longest_counts(self, start_envoy, chat_server, asked, model):
        gateway = self.gateway(start_envoy)
        chat_server.next(TEXT.plain())
        assert post(gateway, ask(model=asked)).status == 200
        assert chat_server.only.json()["model"] == model

    def test_it_is_never_listed(self, start_envoy, upstreams):
        gateway = self.gateway(start_envoy)
        listed = gateway.request("GET", "/v1/models", [("x-api-key", VK["main"])]).json()
        assert not [model["id"] for model in listed["data"] if "*" in model["id"]]
