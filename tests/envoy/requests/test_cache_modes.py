"""Cache modes, byte by byte: what an upstream gets under each, written out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Envoy, answer, expect, openai_shapes, plugin, sse, wire
from harness.plugin import VK

MODE = "x-langwatch-cache"
MARK = '"cache_control":{"type":"ephemeral"}'

ODD = (
    ' {"messages" :[ {"role":"user","content":"\\u00e9 \\ud83d\\ude00 1.0e-07 \\/"} ],\r\n'
    '\t"temperature":1.10, "big":12345678901234567890123, "seed":-0, "":{}, "empty":[ ],\n'
    '"cache_control" : {"type":"ephemeral"}, "model" : "alpha\\/m" , "user":"ü", "n":1E+2 } \n'
).encode()
"""What a rewrite of any kind would change."""


def check(envoy: Envoy, upstreams, sent: bytes, want: bytes, mode: str | None, vk: str = "main"):
    """The upstream must get exactly `want`, whole and in pieces; the last answer."""
    fields = [(MODE, mode)] if mode else []
    for size in (None, 1 if len(sent) < 2_000 else 700):
        upstreams["alpha"].reset()
        body = {"pieces": wire.split(sent, size)} if size else {"body": sent}
        reply = expect.good(envoy.post(vk=vk, fields=fields, **body))
        got = upstreams["alpha"].only
        assert got.body.decode() == want.decode()
        assert got.header("content-length") in (str(len(want)), None)
        assert size or got.header("content-length")
    return reply


# respect


@pytest.mark.parametrize("mode", [None, "respect"])
def test_respect_changes_no_byte_but_the_models(gateway, upstreams, mode):
    reply = check(gateway, upstreams, ODD, ODD.replace(b"alpha\\/m", b"m"), mode)
    assert reply.header("x-langwatch-cache-mode") == "respect"
    assert reply.header("x-langwatch-cache") == "miss"


def test_respect_and_an_id_that_stays_change_nothing_at_all(gateway, upstreams):
    """An upstream's own id is not written again, however it is escaped."""
    body = ODD.replace(b"alpha\\/m", b"\\u006da \\/m")
    check(gateway, upstreams, body, body, "respect")


def test_respect_keeps_cache_headers(gateway, upstreams):
    fields = [("cache-control", "max-age=5, no-store"), ("pragma", "no-cache"), (MODE, "respect")]
    expect.good(gateway.post(body=ODD, fields=fields))
    got = upstreams["alpha"].only
    assert got.header("cache-control") == "max-age=5, no-store"
    assert got.header("pragma") == "no-cache"


# disable

DISABLED = {
    "first member": ('{CC,"a":1,"model":"alpha/m"}', '{"a":1,"model":"m"}'),
    "last member": ('{"model":"alpha/m","a":1,CC}', '{"model":"m","a":1}'),
    "between": ('{"a":1,CC,"model":"alpha/m"}', '{"a":1,"model":"m"}'),
    "right after the model": ('{"model":"alpha/m",CC}', '{"model":"m"}'),
    "right before the model": ('{CC,"model":"alpha/m"}', '{"model":"m"}'),
    "the only member": ('{"model":"alpha/m","a":{CC}}', '{"model":"m","a":{}}'),
    "white space around": (
        '{"model":"alpha/m", "a": [ { "t" : 1 , CC } , {"u":2} ] }',
        '{"model":"m", "a": [ { "t" : 1 } , {"u":2} ] }',
    ),
    "several in one object": ('{"model":"alpha/m","a":{CC,CC,"b":1,CC}}', '{"model":"m","a":{"b":1}}'),
    "only several": ('{"model":"alpha/m","a":{CC,CC}}', '{"model":"m","a":{}}'),
    "escaped name": (
        '{"model":"alpha/m","a":{"b":1,"cache\\u005fcontrol":{"type":"ephemeral"}}}',
        '{"model":"m","a":{"b":1}}',
    ),
    "other values": (
        '{"model":"alpha/m","a":{"cache_control":null},"b":{"cache_control":{"ttl":"1h","x":[{},[1]]}}}',
        '{"model":"m","a":{},"b":{}}',
    ),
    "inside of itself": (
        '{"model":"alpha/m","a":{"cache_control":{"cache_control":{"x":1}},"b":1}}',
        '{"model":"m","a":{"b":1}}',
    ),
    "not a name": (
        '{"model":"alpha/m","a":"\\"cache_control\\":{}","b":["cache_control"],"xcache_control":1}',
        '{"model":"m","a":"\\"cache_control\\":{}","b":["cache_control"],"xcache_control":1}',
    ),
    "other case": ('{"model":"alpha/m","Cache_Control":{}}', '{"model":"m","Cache_Control":{}}'),
    "deep": (
        '{"model":"alpha/m","a":' + "[" * 60 + "{CC}" + "]" * 60 + "}",
        '{"model":"m","a":' + "[" * 60 + "{}" + "]" * 60 + "}",
    ),
    "system, tools, messages": (
        ('{"system":[{"type":"text","text":"s",CC}],"tools":[{"type":"function","function":{"name":"f",'
        '"parameters":{"type":"object"}},CC}],"messages":[{"role":"user","content":[{"type":"text",'
        '"text":"a",CC},{CC,"type":"image_url","image_url":{"url":"u"}}]},{"role":"tool","content":'
        '[{"type":"tool_result","content":[{"type":"text","text":"r",CC}]}],CC}],"model":"alpha/m"}'),
        ('{"system":[{"type":"text","text":"s"}],"tools":[{"type":"function","function":{"name":"f",'
        '"parameters":{"type":"object"}}}],"messages":[{"role":"user","content":[{"type":"text",'
        '"text":"a"},{"type":"image_url","image_url":{"url":"u"}}]},{"role":"tool","content":'
        '[{"type":"tool_result","content":[{"type":"text","text":"r"}]}]}],"model":"m"}'),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "want"), DISABLED.values(), ids=DISABLED)
def test_disable_removes_the_marks_and_nothing_else(gateway, upstreams, sent, want):
    reply = check(gateway, upstreams, sent.replace("CC", MARK).encode(), want.encode(), "disable")
    assert reply.header("x-langwatch-cache-mode") == "disable"
    assert reply.header("x-langwatch-cache") == "bypass"


def test_disable_keeps_odd_bytes(gateway, upstreams):
    want = ODD.replace(b',\n"cache_control" : {"type":"ephemeral"}', b"")
    check(gateway, upstreams, ODD, want.replace(b"alpha\\/m", b"m"), "disable")


@pytest.mark.parametrize("fields", [[], [("cache-control", "max-age=5"), ("Cache-Control", "public")]])
def test_disable_asks_for_no_cache(gateway, upstreams, fields):
    expect.good(gateway.post(body=ODD, fields=[*fields, (MODE, "disable")]))
    assert upstreams["alpha"].only.header("cache-control") == "no-cache"


def test_disable_on_other_operations(gateway, upstreams):
    body = f'{{"model":"alpha/e","input":"a",{MARK}}}'.encode()
    expect.good(gateway.post("/v1/embeddings", body, fields=[(MODE, "disable")]))
    assert upstreams["alpha"].only.body == b'{"model":"e","input":"a"}'


def test_a_form_has_no_marks(gateway, upstreams):
    body = '--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    form = (body % ("model", "alpha/w") + body % ("x", f"{{{MARK}}}") + "--B--\r\n").encode()
    for mode in ("disable", "force"):
        upstreams["alpha"].reset()
        reply = gateway.post(
            "/v1/audio/transcriptions",
            form,
            content_type="multipart/form-data; boundary=B",
            fields=[(MODE, mode)],
        )
        assert expect.good(reply).header("x-langwatch-cache-mode") == mode
        assert upstreams["alpha"].only.body == form.replace(b"alpha/", b"")


# force

FORCED = {
    "system and user": (
        ('{"model":"alpha/m", "messages":[ {"role":"system","content":[{"type":"text","text":"s" }]},\n'
        ' {"role":"user","content":[ {"type":"text","text":"a"}, {"type":"text","text":"b"} ]} ] }'),
        ('{"model":"m", "messages":[ {"role":"system","content":[{"type":"text","text":"s",CC }]},\n'
        ' {"role":"user","content":[ {"type":"text","text":"a"}, {"type":"text","text":"b",CC} ]} ] }'),
    ),
    "no system": (
        '{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"model":"alpha/m"}',
        '{"messages":[{"role":"user","content":[{"type":"text","text":"a",CC}]}],"model":"m"}',
    ),
    "several systems": (
        ('{"model":"alpha/m","messages":[{"role":"system","content":[{"text":"1"}]},'
        '{"role":"developer","content":[{"text":"2"}]},{"role":"user","content":[{"text":"3"}]}]}'),
        ('{"model":"m","messages":[{"role":"system","content":[{"text":"1"}]},'
        '{"role":"developer","content":[{"text":"2",CC}]},{"role":"user","content":[{"text":"3",CC}]}]}'),
    ),
    "the system message is the last": (
        '{"model":"alpha/m","messages":[{"role":"system","content":[{"text":"1"}]}]}',
        '{"model":"m","messages":[{"role":"system","content":[{"text":"1",CC}]}]}',
    ),
    "a picture last": (
        ('{"model":"alpha/m","messages":[{"role":"user","content":[{"text":"a"},'
        '{"type":"image_url","image_url":{"url":"u"}}]}]}'),
        ('{"model":"m","messages":[{"role":"user","content":[{"text":"a"},'
        '{"type":"image_url","image_url":{"url":"u"},CC}]}]}'),
    ),
    "no messages": ('{"model":"alpha/m","prompt":"x"}', '{"model":"m","prompt":"x"}'),
    "no content": (
        '{"model":"alpha/m","messages":[{"role":"assistant","content":null}]}',
        '{"model":"m","messages":[{"role":"assistant","content":null}]}',
    ),
}

MARKED = {
    "where it would go": (
        '{"model":"alpha/m","messages":[{"role":"system","content":[{"text":"1",CC}]},'
        '{"role":"user","content":[{"text":"3",CC}]}]}'
    ),
    "with a ttl": (
        '{"model":"alpha/m","messages":[{"role":"user","content":[{"text":"3",'
        '"cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}'
    ),
    "on a tool": (
        '{"tools":[{"type":"function","function":{"name":"f"},CC}],'
        '"messages":[{"role":"user","content":[{"text":"3"}]}],"model":"alpha/m"}'
    ),
    "escaped": (
        '{"model":"alpha/m","messages":[{"role":"user","content":[{"text":"3",'
        '"\\u0063ache_control":{"type":"ephemeral"}}]}]}'
    ),
}


@pytest.mark.parametrize(("sent", "want"), FORCED.values(), ids=FORCED)
def test_force_marks_the_last_parts_and_nothing_else(gateway, upstreams, sent, want):
    want = want.replace("CC", MARK)
    reply = check(gateway, upstreams, sent.encode(), want.encode(), "force")
    assert reply.header("x-langwatch-cache-mode") == "force"
    assert reply.header("x-langwatch-cache") == "miss"


@pytest.mark.parametrize("sent", MARKED.values(), ids=MARKED)
def test_force_leaves_a_marked_request_alone(gateway, upstreams, sent):
    sent = sent.replace("CC", MARK)
    check(gateway, upstreams, sent.encode(), sent.replace("alpha/", "").encode(), "force")


def test_force_twice_is_force_once(gateway, upstreams):
    sent, _ = FORCED["system and user"]
    check(gateway, upstreams, sent.encode(), FORCED["system and user"][1].replace("CC", MARK).encode(), "force")  # fmt: skip
    marked = upstreams["alpha"].only.body.replace(b'"m"', b'"alpha/m"', 1)
    check(gateway, upstreams, marked, marked.replace(b"alpha/", b""), "force")


def test_a_text_is_made_a_part_to_be_marked(gateway, upstreams):
    """A string can't carry a mark."""
    body = b'{"model":"alpha/m","messages":[{"role":"user","content":"h\\u00e9"}]}'
    expect.good(gateway.post(body=body, fields=[(MODE, "force")]))
    [message] = upstreams["alpha"].only.json()["messages"]
    mark = {"type": "ephemeral"}
    assert message["content"] == [{"type": "text", "text": "hé", "cache_control": mark}]


# Which mode


@pytest.fixture
def forcing(start_envoy) -> Envoy:
    """`force` for all, `disable` and `respect` for one key each."""
    keys = [
        {"id": "main", "key": VK["main"]},
        {"id": "disable", "key": VK["disable"], "cache": {"mode": "disable"}},
        {"id": "literal", "key": VK["literal"], "cache": {"mode": "respect"}},
    ]
    return start_envoy(config=plugin.configuration(virtual_keys=keys, cache={"mode": "force"}))


@pytest.mark.parametrize(
    ("vk", "header", "mode"),
    [
        ("main", None, "force"),
        ("disable", None, "disable"),
        ("literal", None, "respect"),
        *[("disable", mode, mode) for mode in ("respect", "disable", "force")],
        *[("literal", mode, mode) for mode in ("respect", "disable", "force")],
        *[("main", mode, mode) for mode in ("respect", "disable")],
    ],
)
def test_the_header_wins_over_the_key_and_the_key_over_all(forcing, upstreams, vk, header, mode):
    plain = '{"model":"alpha/m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}'
    marked = plain.replace('"x"', f'"x",{MARK}')
    want = {"respect": (plain, marked), "disable": (plain, plain), "force": (marked, marked)}
    for sent, expected in zip((plain, marked), want[mode], strict=True):
        expected = expected.replace("alpha/", "").encode()
        reply = check(forcing, upstreams, sent.encode(), expected, header, vk)
        assert reply.header("x-langwatch-cache-mode") == mode
        asked = upstreams["alpha"].only.header("cache-control")
        assert asked == ("no-cache" if mode == "disable" else None)


@pytest.mark.parametrize("vk", ["main", "disable"])
@pytest.mark.parametrize("value", ["bypass", "force,disable", "", "1", "dis able", "\xff"])
def test_an_invalid_mode_is_refused_whatever_the_configuration(forcing, vk, value):
    with forcing.sends_nothing():
        reply = forcing.post(body=ODD, vk=vk, fields=[(MODE, value)])
        message = expect.gateway_error(reply, 400, "cache_override_invalid")
    assert all(mode in message for mode in ("respect", "disable", "force"))


def test_two_modes_are_refused(forcing):
    with forcing.sends_nothing():
        reply = forcing.post(body=ODD, fields=[(MODE, "disable"), (MODE, "respect")])
        expect.gateway_error(reply, 400, "cache_override_invalid")


@pytest.mark.parametrize("mode", ["disable", "force"])
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_that_can_not_be_held(gateway, mode, chunked):
    """The suite's `max_buffered_bytes` is 512 KiB."""
    body = b'{"model":"alpha/m","prompt":"' + b"x" * 600_000 + b'"}'
    sent = {"pieces": wire.split(body, 50_000)} if chunked else {"body": body}
    with gateway.sends_nothing():
        reply = gateway.post(fields=[(MODE, mode)], **sent)
        message = expect.gateway_error(reply, 413, "request_too_large")
    assert mode in message


@pytest.mark.parametrize("mode", ["disable", "force"])
def test_a_body_that_is_wrong_at_its_end(gateway, mode):
    with gateway.sends_nothing():
        reply = gateway.post(body=b'{"model":"alpha/m","messages":[]}}', fields=[(MODE, mode)])
        expect.gateway_error(reply, 400, "invalid_json")


# What an answer says

USAGES: dict[str, tuple[Any, str | None]] = {
    "hit": ({"prompt_tokens_details": {"cached_tokens": 3}}, "hit"),
    "hit, DeepSeek": ({"prompt_cache_hit_tokens": 3}, "hit"),
    "none cached": ({"prompt_tokens_details": {"cached_tokens": 0}}, "miss"),
    "no details": ({"prompt_tokens": 3}, "miss"),
    "details are null": ({"prompt_tokens_details": None}, "miss"),
}


@pytest.mark.parametrize("mode", ["respect", "force", "disable"])
@pytest.mark.parametrize(("usage", "outcome"), USAGES.values(), ids=USAGES)
def test_hit_miss_and_bypass(gateway, upstreams, mode, usage, outcome):
    given = {**openai_shapes.completion(), "usage": usage}
    upstreams["alpha"].next(answer(given))
    body = {"model": "alpha/m", "messages": []}
    reply = expect.good(gateway.post(body=body, fields=[(MODE, mode)]))
    assert reply.json() == given
    assert reply.header("x-langwatch-cache") == ("bypass" if mode == "disable" else outcome)


@pytest.mark.parametrize("mode", ["respect", "disable"])
def test_an_answer_without_usage(gateway, upstreams, mode):
    """`hit` needs usage that reports it."""
    given = openai_shapes.completion()
    del given["usage"]
    upstreams["alpha"].next(answer(given))
    body = {"model": "alpha/m", "messages": []}
    reply = expect.good(gateway.post(body=body, fields=[(MODE, mode)]))
    assert reply.header("x-langwatch-cache") == {"respect": "miss", "disable": "bypass"}[mode]


def test_a_stream_says_the_mode_only(gateway, upstreams):
    body = {"model": "alpha/m", "messages": [], "stream": True}
    reply = expect.good(gateway.post(body=body, fields=[(MODE, "disable")]))
    assert reply.header("x-langwatch-cache-mode") == "disable"
    assert reply.header("x-langwatch-cache") is None


def test_an_answer_that_is_too_long_to_be_held_goes_on_without(gateway, upstreams):
    given = openai_shapes.completion(text="x" * 3_000_000)
    upstreams["alpha"].next(answer(given, chunks=65_536, framing="chunked"))
    reply = expect.good(gateway.post(body={"model": "alpha/m", "messages": []}))
    assert reply.json() == given
    assert reply.header("x-langwatch-cache") is None
    assert reply.header("x-langwatch-cache-mode") == "respect"


def test_an_upstreams_own_headers_of_that_name_do_not_pass(gateway, upstreams):
    """Only the gateway speaks in its own name."""
    forged = [(f"x-langwatch-{name}", "forged") for name in ("cache", "cache-mode", "provider")]
    upstreams["alpha"].next(answer(openai_shapes.completion(), headers=forged))
    reply = expect.good(gateway.post(body={"model": "alpha/m", "messages": []}))
    assert reply.header("x-langwatch-cache") == "miss"
    assert reply.header("x-langwatch-cache-mode") == "respect"
    assert reply.header("x-langwatch-provider") == "alpha"

def test_an_upstreams_outcome_does_not_pass_on_a_stream(gateway, upstreams):
    """There, the gateway says none."""
    stream = sse(openai_shapes.chunk({}, "stop"), "[DONE]")
    stream.headers.append(("x-langwatch-cache", "hit"))
    upstreams["alpha"].next(stream)
    reply = gateway.post(body={"model": "alpha/m", "messages": [], "stream": True})
    assert expect.good(reply).header("x-langwatch-cache") is None


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/audio/speech"])
def test_force_marks_messages_only(gateway, upstreams, path):
    body = b'{"model":"alpha/m","input":"hi","voice":"a"}'
    gateway.post(path, body=body, fields=[(MODE, "force")])
    assert upstreams["alpha"].only.body == body.replace(b"alpha/m", b"m")
