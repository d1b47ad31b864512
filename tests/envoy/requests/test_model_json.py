"""The model id in JSON bodies: found wherever it is, changed alone, refused when in doubt."""

from __future__ import annotations

import json

import pytest
from harness import expect, wire

GOOD = {
    "first": b'{"model":"alpha/m","messages":[]}',
    "last": b'{"messages":[{"role":"user","content":"hi"}],"model":"alpha/m"}',
    "alone": b'{"model":"alpha/m"}',
    "white space": b' \t\r\n{ \n "model"\t:\r\n  "alpha/m" , "x" : 1 } \n\n',
    "key in escapes": b'{"\\u006d\\u006f\\u0064el":"alpha/m"}',
    "value in escapes": b'{"model":"\\u0061lpha\\/m"}',
    "decoys before": b'{"x":"{\\"model\\":\\"beta/x\\"}","y":{"model":"beta/x"},"z":[{"model":"no"}],"model":"alpha/m"}',
    "decoys after": b'{"model":"alpha/m","x":"\\"model\\":\\"beta/x\\"","y":{"model":"beta/x","model":"b"}}',
    "key that only begins so": b'{"models":"beta/x","mode":"beta/y","model":"alpha/m","model_id":"x"}',
    "decoy value": b'{"x":"model","y":"model","model":"alpha/m"}',
    "numbers": b'{"a":-0,"b":1e400,"c":12345678901234567890123,"d":0.10,"model":"alpha/m"}',
    "not UTF-8 elsewhere in a string is not our matter": b'{"model":"alpha/m","x":"\\ud800"}',
    "BOM": b'\xef\xbb\xbf{"model":"alpha/m"}',
    "200 deep": b'{"x":' + b"[" * 200 + b"]" * 200 + b',"model":"alpha/m"}',
    "empty keys": b'{"":{},"model":"alpha/m","":[]}',
    "other duplicates": b'{"x":1,"x":2,"model":"alpha/m"}',
}
SPELLINGS = [b'"alpha/m"', b'"\\u0061lpha\\/m"']


def with_model(body: bytes, value: bytes) -> bytes:
    """A body of GOOD with the top-level model's value replaced."""
    spelling = next(spelling for spelling in SPELLINGS if spelling in body)
    assert body.count(spelling) == 1
    return body.replace(spelling, value)


@pytest.mark.parametrize("size", [None, 1], ids=["whole", "1-byte"])
@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_only_the_models_bytes_change(gateway, upstreams, body, size):
    sent = {"pieces": wire.split(body, size)} if size else {"body": body}
    expect.good(gateway.post(**sent))
    got = upstreams["alpha"].only
    expected = with_model(body, b'"m"')
    assert got.body in (expected, expected.removeprefix(b"\xef\xbb\xbf"))
    if size is None:
        assert got.header("content-length") == str(len(got.body))
        assert got.header("transfer-encoding") is None


@pytest.mark.parametrize(("asked", "provider", "sent"), [("beta/m", "beta", "m"), ("deep", "delta", "org/sub/model:v1")])
@pytest.mark.parametrize("behind", [0, 3_000, 9_000, 300_000])
@pytest.mark.parametrize("before", [0, 9_000, 300_000])
def test_what_stands_around_the_model_is_kept(gateway, upstreams, before, behind, asked, provider, sent):
    """Shorter or longer than it was, in the part of the body that waits or in the one that comes."""
    parts = b'{"x":"%s","model":"' % (b"b" * before), b'","y":"%s"}' % (b"a" * behind)
    body = asked.encode().join(parts)
    cuts = ([], [5], [len(parts[0]) - 3], [len(parts[0]) + 2], [len(body) - len(parts[1]) + 4], [before // 2, before], [len(body) - 1])
    for cut in cuts:
        upstreams[provider].reset()
        pieces = wire.split(body, cut)
        expect.good(gateway.post(vk="aliases", **({"pieces": pieces} if len(pieces) > 1 else {"body": body})))
        assert upstreams[provider].only.body == sent.encode().join(parts), cut


@pytest.mark.parametrize(
    "model",
    ["m", "M" * 1000, "org/sub/model:v1.2@x", "mod el", 'q"uo\\te', "über-模型-🙂"],
)
def test_any_id_goes_upstream_as_it_is(gateway, upstreams, model):
    body = json.dumps({"messages": [], "model": f"alpha/{model}", "n": 1}, separators=(",", ":"))
    expect.good(gateway.post(body=body.encode()))
    got = upstreams["alpha"].only
    assert got.json() == {"messages": [], "model": model, "n": 1}
    assert got.header("content-length") == str(len(got.body))


@pytest.mark.parametrize("model", [b"m", b"org/m", b"caf\xc3\xa9"])
def test_an_id_that_is_not_changed_leaves_the_body_byte_for_byte(gateway, upstreams, model):
    body = b'{ "model" : "%s" , "x":[1,2 ]}\n' % model
    expect.good(gateway.post(body=body))
    assert upstreams["alpha"].only.body == body


REFUSED = {
    "no body": (b"", {"missing_model", "invalid_json"}),
    "blank": (b" \n", {"missing_model", "invalid_json"}),
    "empty object": (b"{}", "missing_model"),
    "no model": (b'{"messages":[]}', "missing_model"),
    "only nested": (b'{"x":{"model":"alpha/m"}}', "missing_model"),
    "null": (b'{"model":null}', "invalid_model"),
    "number": (b'{"model":1}', "invalid_model"),
    "true": (b'{"model":true}', "invalid_model"),
    "array": (b'{"model":["alpha/m"]}', "invalid_model"),
    "object": (b'{"model":{"id":"alpha/m"}}', "invalid_model"),
    "empty string": (b'{"model":""}', {"invalid_model", "missing_model"}),
    "not UTF-8": (b'{"model":"alpha/\xff\xfe"}', {"invalid_model", "invalid_json"}),
    "half a surrogate": (
        b'{"model":"alpha/\\ud800"}',
        {"invalid_model", "invalid_json"},
    ),
    "raw control character": (
        b'{"model":"alpha/\x01"}',
        {"invalid_model", "invalid_json"},
    ),
    "twice": (b'{"model":"alpha/m","model":"alpha/m"}', "duplicate_model"),
    "twice, escaped": (
        b'{"model":"alpha/m","mod\\u0065l":"beta/m"}',
        "duplicate_model",
    ),
    "twice, other case": (b'{"model":"alpha/m","Model":"beta/m"}', "duplicate_model"),
    "twice, escaped case": (
        b'{"MOD\\u0045L":"alpha/m","model":"beta/m"}',
        "duplicate_model",
    ),
    "twice, far apart": (
        b'{"model":"alpha/m","x":{"y":[1]},"model":null}',
        "duplicate_model",
    ),
    "twice, NUL at the end": (
        b'{"model\\u0000":"beta/m","model":"alpha/m"}',
        "duplicate_model",
    ),
    "twice, NUL and more": (
        b'{"model":"alpha/m","model\\u0000x":"beta/m"}',
        "duplicate_model",
    ),
    "twice, NUL inside": (
        b'{"model":"alpha/m","mo\\u0000del":"beta/m"}',
        "duplicate_model",
    ),
    "twice, byte order mark": (
        b'{"model":"alpha/m","\xef\xbb\xbfmodel":"beta/m"}',
        "duplicate_model",
    ),
    "twice, padded": (b'{"model":"alpha/m"," model\\t":"beta/m"}', "duplicate_model"),
    "twice, signs": (b'{"model":"alpha/m","_mo-del":"beta/m"}', "duplicate_model"),
    "twice, as a list": (b'{"model":"alpha/m","model[]":"beta/m"}', "duplicate_model"),
    "twice, percent": (b'{"model":"alpha/m","mod%65l":"beta/m"}', "duplicate_model"),
    "overlong name": (b'{"model":"alpha/m","mode\xc1\xac":"beta/m"}', "invalid_json"),
    "overlong name first": (
        b'{"mode\xc1\xac":"beta/m","model":"alpha/m"}',
        "invalid_json",
    ),
    "bad byte in a name": (b'{"model":"alpha/m","mod\xffel":"beta/m"}', "invalid_json"),
    "full-width letter": ('{"model":"alpha/m","\uff4dodel":"beta/m"}'.encode(), "duplicate_model"),
    "mathematical letters": (
        '{"model":"alpha/m","\U0001d426\U0001d428\U0001d41d\U0001d41e\U0001d425":"beta/m"}'.encode(),
        "duplicate_model",
    ),
    "escaped full-width letter": (b'{"\\uff4dodel":"beta/m","model":"alpha/m"}', "duplicate_model"),
    "raised letters": ('{"model":"alpha/m","\u1d50\u1d52\u1d48\u1d49\u02e1":"beta/m"}'.encode(), "duplicate_model"),
    "Roman numerals": ('{"model":"alpha/m","\u217fode\u217c":"beta/m"}'.encode(), "duplicate_model"),
    "accent": ('{"model":"alpha/m","mod\u00e9l":"beta/m"}'.encode(), "duplicate_model"),
    "list of ids": (b'{"model":"alpha/m,beta/m"}', "invalid_model"),
    "bad byte in another name": (b'{"model":"alpha/m","x\xff":1}', "invalid_json"),
    "half a surrogate in a name": (
        b'{"model":"alpha/m","mod\\ud800el":"beta/m"}',
        "invalid_json",
    ),
    "encoded surrogate in a name": (
        b'{"model":"alpha/m","x\xed\xa0\x80":1}',
        "invalid_json",
    ),
    "path": (b'{"model":"alpha/family/../denied"}', "invalid_model"),
    "path with backslashes": (
        b'{"model":"alpha/family\\\\..\\\\denied"}',
        "invalid_model",
    ),
    "escaped path": (b'{"model":"alpha/family/%2e%2e/denied"}', "invalid_model"),
    "here": (b'{"model":"alpha/./m"}', "invalid_model"),
    "array body": (b'[{"model":"alpha/m"}]', "invalid_json"),
    "string body": (b'"model"', "invalid_json"),
    "number body": (b"1", "invalid_json"),
    "null body": (b"null", "invalid_json"),
    "second object": (b'{"model":"alpha/m"}{"model":"beta/m"}', "invalid_json"),
    "trailing word": (b'{"model":"alpha/m"} x', "invalid_json"),
    "trailing NUL": (b'{"model":"alpha/m"}\0', "invalid_json"),
    "cut": (b'{"model":"alpha/m"', "invalid_json"),
    "cut in the model": (b'{"model":"alpha/', "invalid_json"),
    "cut in a key": (b'{"model":"alpha/m","mo', "invalid_json"),
    "trailing comma": (b'{"model":"alpha/m",}', "invalid_json"),
    "no colon": (b'{"model" "alpha/m"}', "invalid_json"),
    "no comma": (b'{"model":"alpha/m" "x":1}', "invalid_json"),
    "single quotes": (b"{'model':'alpha/m'}", "invalid_json"),
    "bare key": (b'{model:"alpha/m"}', "invalid_json"),
    "comment": (b'{/* */"model":"alpha/m"}', "invalid_json"),
    "bad number": (b'{"model":"alpha/m","x":01}', "invalid_json"),
    "NaN": (b'{"model":"alpha/m","x":NaN}', "invalid_json"),
    "bad escape": (b'{"model":"alpha/m","x":"\\x"}', "invalid_json"),
    "mismatched": (b'{"model":"alpha/m","x":[1}}', "invalid_json"),
    "UTF-16": ('{"model":"alpha/m"}'.encode("utf-16"), "invalid_json"),
    "form": (b"model=alpha%2Fm", "invalid_json"),
    "a million arrays": (
        b'{"x":' + b"[" * 1_000_000,
        {"invalid_json", "request_too_large"},
    ),
}


@pytest.mark.parametrize("size", [None, 1], ids=["whole", "1-byte"])
@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED)
def test_in_doubt_the_request_is_refused(gateway, upstreams, body, code, size):
    if size and len(body) > 1000:
        size = 50_000
    sent = {"pieces": wire.split(body, size)} if size else {"body": body}
    with gateway.completes_nothing(upstreams):
        reply = gateway.post(**sent)
    status = 413 if reply.status == 413 and "request_too_large" in code else 400
    expect.gateway_error(reply, status, code, "model" if str(code).endswith("_model") else None)


@pytest.mark.parametrize("body", [GOOD["last"], GOOD["alone"]])
def test_held_until_complete_when_refused_in_one_piece(gateway, body):
    """A whole bad body that came at once is never sent at all."""
    with gateway.sends_nothing():
        expect.gateway_error(gateway.post(body=body + b"x"), 400, "invalid_json")


def test_a_million_arrays_after_the_model(gateway, upstreams):
    deep = b'{"model":"alpha/m","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    reply = gateway.post(body=deep)
    if reply.status == 200:
        assert upstreams["alpha"].only.body == deep.replace(b"alpha/m", b"m")
    else:
        expect.gateway_error(reply, 400, "invalid_json")
    expect.good(gateway.post(body=b'{"model":"alpha/m"}'))


def test_a_key_of_4096_bytes_and_of_one_more(gateway, upstreams):
    key = b"k" * 4096
    body = b'{"' + key + b'":1,"model":"alpha/m"}'
    expect.good(gateway.post(body=body))
    assert upstreams["alpha"].only.body == body.replace(b"alpha/m", b"m")
    for more in (b"k", b"k" * 100_000):
        with gateway.completes_nothing(upstreams):
            message = expect.gateway_error(
                gateway.post(body=body.replace(key, key + more)), 400, "invalid_json"
            )
        assert "4096" in message


def test_a_string_of_10_mb_before_model(gateway):
    body = b'{"x":"' + b"x" * 10_000_000 + b'","model":"alpha/m"}'
    with gateway.sends_nothing():
        message = expect.gateway_error(gateway.post(body=body), 413, "request_too_large")
    assert "Put `model` first" in message


def test_a_model_id_of_a_megabyte(gateway):
    body = b'{"model":"alpha/' + b"m" * 1_000_000 + b'"}'
    with gateway.sends_nothing():
        reply = gateway.post(body=body)
        status = reply.status
        assert status in (400, 404, 413)
        message = expect.gateway_error(
            reply, status, {"invalid_model", "model_not_found", "request_too_large"}
        )
    assert len(message) < 1000


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json", "text/plain", "application/json; charset=utf-8"],
)
def test_content_types(gateway, upstreams, content_type):
    expect.good(gateway.post(body=b'{"model":"alpha/m"}', content_type=content_type))
    given = upstreams["alpha"].only.header("content-type")
    assert given == (
        content_type if content_type and "json" in content_type else "application/json"
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=B",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/json, text/plain",
    ],
)
def test_no_content_type_makes_a_server_read_another_model(gateway, upstreams, content_type):
    """What was checked as JSON goes on as JSON."""
    body = b'{"model":"alpha/m","x":"&model=denied&","+AG0-odel":"denied"}'
    expect.good(gateway.post(body=body, content_type=content_type))
    assert upstreams["alpha"].only.header("content-type") == "application/json"


@pytest.mark.parametrize(
    "query",
    [
        "model=x",
        "MODEL=x",
        "m%6fdel=x",
        "model[]=x",
        "model%5B0%5D=x",
        "+model=x",
        "model%00=x",
        "mode%C1%AC=x",
        "mo_del=x",
    ],
)
def test_no_query_names_a_model(gateway, query):
    with gateway.sends_nothing():
        reply = gateway.post(f"/v1/chat/completions?{query}", body=b'{"model":"alpha/m"}')
        expect.gateway_error(reply, 400, "duplicate_model", "model")
