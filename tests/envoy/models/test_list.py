"""GET /models: what a virtual key sees, put together from curated lists and from what each provider
says of itself."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Envoy, Gate, answer, expect, headers, openai_shapes, plugin, quirks
from harness.plugin import PROVIDER_KEYS, VK

MIB = 1_048_576
OWNER = "openai-gateway-filter"
INCOMPLETE = "x-langwatch-models-incomplete"
LISTS = {
    "alpha": ["a-1", "a-2", "org/deep/m", "both"],
    "beta": ["b-1", "b-2", "both"],
    "gamma": ["g-1"],
}


def listing(ids: list[str], **fields: Any):
    """An upstream's answer that lists `ids`."""
    models = [
        {"id": id, "object": "model", "created": 7, "owned_by": "up"} for id in ids
    ]
    return answer({"object": "list", "data": models}, **fields)


def virtual_key(vk: str, providers: list[str], **fields: Any) -> plugin.Json:
    return {"id": f"id-{vk}", "key": VK[vk], "providers": providers, **fields}


VIRTUAL_KEYS = [
    virtual_key("main", ["alpha", "beta"], model_aliases={"smart": "beta/b-1"}),
    virtual_key("env", ["alpha", "beta", "gamma"]),
    virtual_key("bound", ["alpha"]),
    virtual_key("allow", ["alpha", "beta", "listed"], models_allowed=["alpha/a-*", "b-2", "listed-1", "fast"]),
    virtual_key("none", ["alpha", "listed"], models_allowed=[]),
    virtual_key("lists", ["down", "alpha", "nowhere", "beta"]),
    virtual_key("future", ["down", "nowhere"]),
    virtual_key("literal", ["listed", "other"]),
    virtual_key("aliases", ["listed", "narrow"]),
]  # fmt: skip


def configuration(**changes: Any) -> plugin.Json:
    aliases = {"fast": "listed/listed-1"}
    return plugin.configuration(**{"virtual_keys": VIRTUAL_KEYS, "models_cache_seconds": 0, "model_aliases": aliases, **changes})


@pytest.fixture
def fresh(start_envoy, upstreams) -> Envoy:
    """Keeps no list. Its providers list LISTS as long as a test does not script them otherwise."""
    for name, ids in LISTS.items():
        upstreams[name].handler = lambda _, ids=ids: listing(ids)
    return start_envoy(config=configuration())


def get(envoy: Envoy, path: str = "", vk: str = "main", **rest: Any):
    return envoy.request("GET", f"/v1/models{path}", headers(vk), **rest)


def ids(reply) -> list[str]:
    """The ids of an answer that is a list in OpenAI's shape and nothing else."""
    assert expect.good(reply).header("content-type") == "application/json"
    body = reply.json()
    assert set(body) == {"object", "data"} and body["object"] == "list"
    for model in body["data"]:
        assert_model(model)
    return [model["id"] for model in body["data"]]


def assert_model(model: plugin.Json) -> None:
    """A model in OpenAI's shape."""
    assert isinstance(model["id"], str) and model["object"] == "model"
    assert isinstance(model["created"], int) and not isinstance(model["created"], bool)
    assert isinstance(model["owned_by"], str) and model["owned_by"]


def calls(upstreams, *names: str) -> list[int]:
    """How often each provider was asked."""
    return [len(upstreams[name].requests) for name in names]


def wait_stat(envoy: Envoy, name: str, value: int) -> None:
    deadline = time.monotonic() + 20
    while envoy.stat(name) != value:
        assert time.monotonic() < deadline, f"{name} is {envoy.stat(name)}, not {value}"
        time.sleep(0.02)


def upstreams_error(reply, status: int) -> plugin.Json:
    """An error in an upstream's own words."""
    assert reply.status == status, (reply.status, reply.body)
    return expect.envelope(reply)


ACTIVE = "http.gateway.downstream_rq_active"


# What is shown


def test_the_lists_of_all_bound_providers(fresh):
    reply = get(fresh)
    assert ids(reply) == [
        *("smart",),
        *("alpha/a-1", "alpha/a-2", "alpha/both", "alpha/org/deep/m"),
        *("beta/b-1", "beta/b-2", "beta/both"),
    ]
    smart, first, *_ = reply.json()["data"]
    assert smart["owned_by"] == OWNER
    assert first == {
        "id": "alpha/a-1",
        "object": "model",
        "created": 7,
        "owned_by": "up",
    }
    assert reply.header(INCOMPLETE) is None
    assert reply.header("x-langwatch-request-id")


def test_the_allowlist_holds_for_models_and_aliases(fresh, upstreams):
    """By provider/model, by the provider's own id, by the alias; and no pattern is a model."""
    assert ids(get(fresh, vk="allow")) == [
        *("fast", "alpha/a-1", "alpha/a-2", "beta/b-2", "listed/listed-1"),
    ]
    assert ids(get(fresh, vk="none")) == []
    for vk in ("allow", "none"):
        assert b"*" not in get(fresh, vk=vk).body


def test_curated_lists_are_not_asked_for(fresh):
    with fresh.sends_nothing():
        assert ids(get(fresh, vk="literal")) == [
            *("fast", "listed/listed-1", "listed/org/listed-2", "listed/both"),
            *("other/other-1", "other/both"),
        ]


def test_a_provider_that_does_not_offer_lists_is_not_asked(fresh):
    with fresh.sends_nothing():
        reply = get(fresh, vk="aliases")
        assert "listed/both" in ids(reply)
    assert reply.header(INCOMPLETE) == "narrow"


def test_each_provider_is_asked_in_its_own_way(fresh, upstreams):
    fields = [
        *headers("env", None),
        *(
            ("x-api-key", VK["env"]),
            ("cookie", "session"),
            ("x-gateway-cluster", "delta"),
        ),
    ]
    expect.good(fresh.request("GET", "/v1/models?after=x", fields))
    alpha, beta, gamma = (upstreams[name].only for name in LISTS)
    assert [alpha.path, beta.path, gamma.path] == [
        "/openai/v1/models",
        "/v1/models",
        "/v1/models",
    ]
    hosts = [got.header("host") for got in (alpha, beta, gamma)]
    assert hosts == ["alpha.test", "beta.test:8080", "gamma.test"]
    credentials = [
        [got.header(name) for name in ("authorization", "api-key", "x-gamma-key")]
        for got in (alpha, beta, gamma)
    ]
    assert credentials == [
        [f"Bearer {PROVIDER_KEYS['alpha']}", None, None],
        [None, PROVIDER_KEYS["beta"], None],
        [None, None, f"Key {PROVIDER_KEYS['gamma']}"],
    ]
    for got in (alpha, beta, gamma):
        assert (got.method, got.body, got.header("cookie")) == ("GET", b"", None)
        assert got.header("x-api-key") is None


def test_a_question_has_the_head_of_a_request(start_envoy, upstreams):
    """Anthropic answers 400 to one without a version; what the operator sets is set here, too."""
    provider = {
        "name": "alpha",
        "base_url": "http://alpha.test/v1",
        "messages_api": "native",
        "auth": {"mode": "header", "header": "x-api-key", "key": PROVIDER_KEYS["alpha"]},
        "request_headers": {"set": {"anthropic-beta": "b", "x-team": "t"}, "remove": ["accept"]},
    }
    envoy = start_envoy(config=configuration(providers=[provider], virtual_keys=[virtual_key("main", ["alpha"])], model_aliases={}))
    upstreams["alpha"].next(listing(["claude"]))
    assert ids(get(envoy)) == ["alpha/claude"]
    got = upstreams["alpha"].only
    names = ("x-api-key", "anthropic-version", "anthropic-beta", "x-team", "accept")
    assert [got.header(name) for name in names] == [PROVIDER_KEYS["alpha"], "2023-06-01", "b", "t", None]


def test_a_list_in_pages(fresh, upstreams):
    """As Anthropic gives them: from the second page on as many as it allows."""
    model = {"type": "model", "display_name": "C", "created_at": "2025-02-19T00:00:00Z"}
    pages = [
        {"data": [{**model, "id": id} for id in names], "has_more": more, "first_id": names[0], "last_id": names[-1]}
        for names, more in ((["a", "b"], True), (["c", "d"], True), (["e"], False))
    ]
    upstreams["alpha"].next(*(answer(page) for page in pages))
    reply = get(fresh, vk="bound")
    assert ids(reply) == [f"alpha/{id}" for id in "abcde"]
    assert reply.header(INCOMPLETE) is None
    assert {model["created"] for model in reply.json()["data"]} == {1739923200}
    asked = [request.path for request in upstreams["alpha"].requests]
    assert asked == ["/openai/v1/models" + query for query in ("", "?after_id=b&limit=1000", "?after_id=d&limit=1000")]


def test_a_page_that_fails_cuts_the_list(fresh, upstreams):
    """And one that comes again and again, under whose name ever, is asked for once."""
    page = answer({"data": [{"id": "a"}], "has_more": True, "last_id": "a"})
    for second in (openai_shapes.error(500, "broken"), answer(silent=True, end="reset"), page):
        upstreams["alpha"].next(page, second)
        reply = get(fresh, vk="bound")
        assert ids(reply) == ["alpha/a"]
        assert reply.header(INCOMPLETE) == "alpha"
    assert calls(upstreams, "alpha") == [6]


@pytest.mark.parametrize(
    "quirk",
    quirks.params(quirks.load(lambda quirk: quirk.category == "D"), strict=True),
)
def test_recorded_lists(start_envoy, upstreams, quirk):
    allowed = {
        quirk.id: quirk.meta["gateway_config"]["models_allowed"]
        for quirk in quirks.load(lambda quirk: "models_allowed" in quirk.meta.get("gateway_config", {}))
        if quirk.category == "D"
    }  # fmt: skip
    keys = [virtual_key("main", ["alpha"])]
    keys += [
        {
            "id": id,
            "key": f"vk-for-{id}",
            "providers": ["alpha"],
            "models_allowed": models,
        }
        for id, models in allowed.items()
    ]
    envoy = start_envoy(config=configuration(virtual_keys=keys, models_cache_seconds=0))
    recorded = quirk.answer()
    recorded.headers = [
        field for field in recorded.headers if field[0] != "content-length"
    ]
    upstreams["alpha"].next(recorded)
    key = f"vk-for-{quirk.id}" if quirk.id in allowed else VK["main"]
    reply = envoy.request("GET", "/v1/models", [("authorization", f"Bearer {key}")])
    expected = quirk.expected
    accepted = expected.get("one_of", [expected])
    [want] = [one for one in accepted if one["status"] == reply.status]
    if reply.status != 200:
        expect.envelope(reply)
        return
    shown = [f"alpha/{model['id']}" for model in want["body_subset"]["data"]]
    found = [id for id in ids(reply) if id in shown]
    assert found == shown
    if "exact_length" in want:
        assert len(reply.json()["data"]) == want["exact_length"]
    assert b"10.0.0.1" not in reply.body


def test_odd_ids(fresh, upstreams):
    """An id that no request could carry is left out; the rest is written as JSON."""
    odd = [
        "",
        "a\nb",
        "nul\0",
        "\x7f",
        "c1\x85",
        "x" * 2000,
        "a?b#c",
        7,
        None,
        ["l"],
        {"id": "m"},
    ]
    good = [
        'quo"te',
        "back\\slash",
        "ümlaut",
        "日本",
        "sp ace",
        "</script>",
        "a//b",
        "%2F",
    ]
    lone = b'{"data":[{"id":"\\ud800"},{"id":"fine"},{"id":"fine"},'
    rest = json.dumps([{"id": id} for id in [*odd, *good]])[1:]
    upstreams["alpha"].next(answer(lone + rest.encode() + b"}"))
    assert sorted(ids(get(fresh, vk="bound"))) == sorted(
        f"alpha/{id}" for id in [*good, "fine"]
    )


def test_a_long_list(fresh, upstreams):
    """Longer than Envoy's buffers; and what is cut off is said."""
    many = [f"model-{number:05}-{'x' * 100}" for number in range(10_001)]
    upstreams["alpha"].next(listing(many[:10_000]), listing(many))
    reply = get(fresh, vk="bound")
    assert len(ids(reply)) == 10_000 and len(reply.body) > MIB
    assert reply.header(INCOMPLETE) is None
    reply = get(fresh, vk="bound")
    assert len(ids(reply)) == 10_000 and reply.header(INCOMPLETE) == "alpha"


# Providers that fail

BAD = {
    "500": openai_shapes.error(500, "broken"),
    "401": openai_shapes.error(401, "bad key"),
    "429": openai_shapes.error(429, "slow down"),
    "redirect": answer(
        b"", 307, headers=[("location", "http://elsewhere.test/v1/models")]
    ),
    "HTML": answer("<!doctype html><title>Log in</title>", content_type="text/html"),
    "no JSON": answer("model-a, model-b", content_type="text/plain"),
    "an error inside 200": answer({"error": {"message": "no", "code": 401}}),
    "another shape": answer({"object": "list", "things": [{"id": "x"}]}),
    "elements without ids": answer({"data": [{"title": "x"}, {"title": "y"}]}),
    "cut JSON": answer(b'{"data":[{"id":"x"},'),
    "not UTF-8": answer(b'{"data":[{"id":"\xff\xfe"}]'),
    "empty": answer(b""),
    "204": answer(b"", 204),
    "closed at once": answer(silent=True, end="cut"),
    "reset at once": answer(silent=True, end="reset"),
    "reset in the body": answer(b'{"data":[', framing="chunked", end="reset"),
    "cut in the body": answer(b'{"data":[]}', framing="chunked", end="cut"),
    "no HTTP": answer("hello", silent=True, framing="close"),
    "deep": answer(b'{"data":' + b"[" * 100_000),
    "5 MB": answer(b'{"data":["' + b"x" * 5 * MIB + b'"]}', chunks=65_536),
    "50 MB": answer(
        b'{"data":[' + b'{"id":"model"},' * (50 * MIB // 15) + b'"z"]}',
        chunks=MIB,
        framing="chunked",
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_provider_that_fails_is_left_out_and_named(fresh, upstreams, bad):
    upstreams["alpha"].next(bad)
    reply = get(fresh, vk="env")
    assert ids(reply) == ["beta/b-1", "beta/b-2", "beta/both", "gamma/g-1"]
    assert reply.header(INCOMPLETE) == "alpha"


def test_providers_that_can_not_be_reached_are_left_out(fresh):
    """One refuses connections, the other has no cluster."""
    reply = get(fresh, vk="lists")
    assert set(ids(reply)) >= {"alpha/a-1", "beta/b-1"}
    assert reply.header(INCOMPLETE) == "down, nowhere"


def test_slow_providers_are_left_out(fresh, upstreams):
    """One never answers, the other's answer never ends."""
    upstreams["alpha"].next(answer(hold=Gate()))
    upstreams["gamma"].next(
        answer(b'{"data":[{"id":"g"}', framing="chunked", end="never")
    )
    reply = get(fresh, vk="env")
    assert ids(reply) == ["beta/b-1", "beta/b-2", "beta/both"]
    assert reply.header(INCOMPLETE) == "alpha, gamma"
    upstreams["gamma"].requests[0].wait_abandoned()


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_provider_without_lists_is_no_failure(fresh, upstreams, status):
    """Its models can be used all the same, so it is named."""
    upstreams["alpha"].next(answer(b"", status, content_type=None))
    reply = get(fresh)
    assert "beta/b-1" in ids(reply) and reply.header(INCOMPLETE) == "alpha"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_the_only_provider_without_a_list(fresh, upstreams, status):
    """An empty list would say that it has no models: it says itself that it has no such path."""
    upstreams["alpha"].next(
        answer(b"", status, content_type=None),
        answer({"detail": "Not Found"}, status),
    )
    error = upstreams_error(get(fresh, vk="bound"), status)
    assert str(status) in error["message"]
    assert upstreams_error(get(fresh, vk="bound"), status)["message"] == "Not Found"


@pytest.mark.parametrize("path", ["", "/alpha/none"])
def test_the_only_provider_speaks_for_itself(fresh, upstreams, path):
    """Its status and words; whose credential it refused is said, and its key is not."""
    key = PROVIDER_KEYS["alpha"]
    upstreams["alpha"].next(
        answer(
            {
                "error": {
                    "message": f"Incorrect API key {key}",
                    "code": "invalid_api_key",
                }
            },
            401,
        ),
        # The model is asked for, too, where the list is refused.
        *[answer({"message": "no"}, 403)] * (2 if path else 1),
        answer(
            {"error": "loading"},
            503,
            headers=[("retry-after", f"7 {key}"), ("x-ratelimit-limit-requests", "9"), ("set-cookie", "a=b")],
        ),
        openai_shapes.error(500, "broken"),
    )
    refused = "Provider alpha refused the gateway's credential: "
    error = upstreams_error(get(fresh, path, vk="bound"), 401)
    assert error["message"].startswith(f"{refused}Incorrect API key")
    assert (error["code"], key in error["message"]) == ("invalid_api_key", False)
    error = upstreams_error(get(fresh, path, vk="bound"), 403)
    assert error["message"] == f"{refused}no"
    assert error["code"] == "upstream_authentication_failed"
    reply = get(fresh, path, vk="bound")
    assert upstreams_error(reply, 503)["message"] == "loading"
    assert reply.header("retry-after") == "7 [redacted]"
    assert reply.header("x-ratelimit-limit-requests") == "9"
    assert reply.header("set-cookie") is None
    assert upstreams_error(get(fresh, path, vk="bound"), 500)["message"] == "broken"


def test_a_server_that_refuses_its_list_may_tell_of_a_model(fresh, upstreams):
    upstreams["alpha"].next(
        answer({"message": "no"}, 403), answer({"id": "new", "object": "model"})
    )
    assert expect.good(get(fresh, "/alpha/new")).json()["id"] == "alpha/new"


def test_what_the_only_provider_says_is_scoped_too(start_envoy, upstreams):
    """An error that lists the server's models tells a key of those alone that it may use."""
    few = virtual_key("main", ["alpha"], models_allowed=["alpha/a-*"])
    envoy = start_envoy(config=configuration(virtual_keys=[few]))
    upstreams["alpha"].next(
        answer({"error": "No such. Available models are: a-1, zz-9"}, 400)
    )
    error = upstreams_error(get(envoy), 400)
    assert "a-1" in error["message"] and "zz-9" not in error["message"]


def test_when_all_fail(fresh):
    message = expect.gateway_error(get(fresh, vk="future"), 502, "upstream_error")
    assert "down" in message and "nowhere" in message


# One model


@pytest.mark.parametrize(
    ("path", "id", "owner"),
    [
        ("/alpha/a-1", "alpha/a-1", "up"),
        ("/alpha%2Fa-1", "alpha/a-1", "up"),
        ("/%61lpha/a%2d1", "alpha/a-1", "up"),
        ("/alpha/org/deep/m", "alpha/org/deep/m", "up"),
        ("/alpha%2forg%2Fdeep/m", "alpha/org/deep/m", "up"),
        ("/alpha/a-1/", "alpha/a-1", "up"),
        ("/alpha/a-1?x=alpha/a-2", "alpha/a-1", "up"),
        ("/a-1", "a-1", "up"),
        ("/org%2Fdeep%2Fm", "org/deep/m", "up"),
        ("/beta/both", "beta/both", "up"),
        ("/smart", "smart", OWNER),
    ],
)
def test_one_model(fresh, upstreams, path, id, owner):
    reply = expect.good(get(fresh, path))
    assert_model(reply.json())
    assert (reply.json()["id"], reply.json()["owned_by"]) == (id, owner)
    asked = {"up": [1, 0], OWNER: [0, 0]}[owner]
    assert calls(upstreams, "alpha", "beta") == (
        asked[::-1] if "beta" in path else asked
    )


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/alpha/none",
            "/none",
            "/gamma/g-1",
            "/down/x",
            "/fast",
            "/alpha",
            "/alpha/",
        ),
        *("/alpha/a-1/x", "/alpha%2F%2Fa-1", "/alpha%252Fa-1", "/a-*", "/*"),
        *(
            "/alpha/a-1%0A",
            "/alpha/a%7F1",
            "/%ff%fe",
            "/%",
            "/%zz",
            "/alpha/a-1%",
            "/alpha/a-1%2",
        ),
        *(
            "/..%2f..%2fv1%2fmodels",
            "/alpha/a-1%20",
            "/ALPHA/a-1",
            "/alpha/A-1",
            "/%C2%85",
        ),
        "/" + "x" * 20_000,
    ],
    ids=lambda path: path[:30],
)
def test_no_such_model(fresh, path):
    message = expect.gateway_error(get(fresh, path), 404, "model_not_found", "model")
    assert len(message) < 500 and message.isprintable()


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/alpha/both",
            "/alpha%2Fboth",
            "/%61lpha%2Fbot%68",
            "/both",
            "/b%6fth",
            "/beta/b-1",
        ),
        *("/beta%2Fb-1", "/smart", "/listed/both", "/listed%2Forg%2Flisted-2"),
    ],
)
def test_a_model_that_is_not_allowed_looks_like_none(fresh, upstreams, path):
    message = expect.gateway_error(
        get(fresh, path, vk="allow"), 404, "model_not_found", "model"
    )
    other = expect.gateway_error(
        get(fresh, "/zzz", vk="allow"), 404, "model_not_found", "model"
    )
    assert "*" not in message and "b-2" not in message
    assert message.partition("` ")[2] == other.partition("` ")[2]


@pytest.mark.parametrize(
    "path", ["/alpha/a-1", "/b-2", "/beta/b-2", "/listed-1", "/fast"]
)
def test_an_allowed_model(fresh, path):
    """`b-2` as it stands is a model of the primary provider, which has none of that name."""
    reply = get(fresh, path, vk="allow")
    if path == "/b-2":
        expect.gateway_error(reply, 404, "model_not_found", "model")
    else:
        assert expect.good(reply).json()["id"] == path[1:]


def test_one_model_of_a_provider_that_fails(fresh, upstreams):
    upstreams["alpha"].next(
        openai_shapes.error(500, "broken"), answer(silent=True, end="cut")
    )
    assert upstreams_error(get(fresh, "/alpha/a-1"), 500)["message"] == "broken"
    message = expect.gateway_error(get(fresh, "/alpha/a-1"), 502, "upstream_error")
    assert "alpha" in message
    assert calls(upstreams, "alpha", "beta") == [2, 0]


# One model that the provider's list does not show: the provider is asked


def asked(upstreams, one, listed=("a-1", "tiny:latest")):
    """`one` is what alpha answers about a single model, whichever that is; None: it has no such path."""

    def handler(request):
        if request.path == "/openai/v1/models":
            return (
                listing(listed)
                if listed is not None
                else answer({"detail": "Not Found"}, 404)
            )
        return one or answer({"detail": "Not Found"}, 404)

    upstreams["alpha"].handler = handler


ONE = {
    "OpenAI's": {"id": "new", "object": "model", "created": 9, "owned_by": "library"},
    "another id": {"id": "new:7b", "object": "model", "created": 9, "owned_by": "library"},
    "in an envelope": {"code": 0, "data": {"id": "new", "created": 9, "owned_by": "library"}},
    "another name": {"model_name": "new", "created_at": 9, "organization": "library", "host": "10.0.0.1"},
}  # fmt: skip


@pytest.mark.parametrize("one", ONE.values(), ids=ONE)
@pytest.mark.parametrize("listed", [("a-1",), None], ids=["listed", "no list"])
@pytest.mark.parametrize("asks", ["/alpha/new", "/new", "/alpha%2Fnew"])
def test_a_model_that_the_list_does_not_show(fresh, upstreams, one, listed, asks):
    asked(upstreams, answer(one), listed)
    reply = expect.good(get(fresh, asks, vk="main"))
    assert reply.json() == {
        "id": asks[1:].replace("%2F", "/"),
        **{"object": "model", "created": 9, "owned_by": "library"},
    }
    paths = [got.path for got in upstreams["alpha"].requests]
    assert paths == ["/openai/v1/models", "/openai/v1/models/new"]
    got = upstreams["alpha"].requests[1]
    assert got.header("authorization") == f"Bearer {PROVIDER_KEYS['alpha']}"
    assert calls(upstreams, "beta") == [0]
    head = fresh.request("HEAD", f"/v1/models{asks}", headers("main"))
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    ("asks", "path"),
    [
        ("org/deep/n", "org%2Fdeep%2Fn"),
        ("tiny:1b", "tiny:1b"),
        ("@cf/m", "@cf%2Fm"),
        ("sp%20ace", "sp%20ace"),
        ("%E6%97%A5", "%E6%97%A5"),
    ],
)
def test_how_it_is_asked(fresh, upstreams, asks, path):
    asked(upstreams, answer({"id": "x", "object": "model"}))
    expect.good(get(fresh, f"/alpha/{asks}"))
    assert upstreams["alpha"].requests[1].path == f"/openai/v1/models/{path}"


NO_SUCH_PATH = {
    "FastAPI": answer({"detail": "Not Found"}, 404),
    "llama.cpp": answer({"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, 404),
    "Go": answer("404 page not found", 404, content_type="text/plain"),
    "Express": answer("<pre>Cannot GET /openai/v1/models/tiny</pre>", 404, content_type="text/html"),
    "LM Studio": answer({"error": "Unexpected endpoint or method. (GET /openai/v1/models/tiny)"}),
    "405": answer(b"", 405),
    "501": answer(b"", 501),
    "403": answer({"message": "Missing Authentication Token"}, 403),
    "the list": listing(["a-1", "tiny:latest"]),
    "a page": answer("<!doctype html><title>Chat</title>", content_type="text/html"),
    "empty": answer(b""),
    "other JSON": answer({"status": "ok"}),
}  # fmt: skip


@pytest.mark.parametrize("one", NO_SUCH_PATH.values(), ids=NO_SUCH_PATH)
def test_a_server_that_can_not_be_asked_for_one(fresh, upstreams, one):
    """Then its list decides, and Ollama's tag that every model may have."""
    asked(upstreams, one)
    assert expect.good(get(fresh, "/alpha/tiny")).json()["id"] == "alpha/tiny"
    message = expect.gateway_error(
        get(fresh, "/alpha/none"), 404, "model_not_found", "model"
    )
    assert "alpha/none" in message


def test_the_server_says_that_there_is_no_such_model(fresh, upstreams):
    """In the gateway's words, as for all models that a key does not see."""
    asked(
        upstreams,
        answer(
            {"error": {"message": "model 'tiny' not found", "type": "api_error"}}, 404
        ),
    )
    expect.gateway_error(get(fresh, "/alpha/tiny"), 404, "model_not_found", "model")


def test_the_server_fails_when_it_is_asked_for_one(fresh, upstreams):
    asked(upstreams, answer({"error": "loading"}, 503, headers=[("retry-after", "7")]))
    reply = get(fresh, "/alpha/new")
    assert upstreams_error(reply, 503)["message"] == "loading"
    assert reply.header("retry-after") == "7"
    asked(upstreams, answer(silent=True, end="cut"))
    assert "alpha" in expect.gateway_error(
        get(fresh, "/alpha/new"), 502, "upstream_error"
    )
    # What the list shows does not depend on it.
    expect.good(get(fresh, "/alpha/a-1"))


@pytest.mark.parametrize(
    "path", ["/alpha/new", "/new", "/beta/new", "/alpha/x%2F..%2Fa-1"]
)
def test_who_may_not_use_a_model_has_nobody_asked(fresh, upstreams, path):
    asked(upstreams, answer({"id": "new", "object": "model"}))
    with fresh.sends_nothing():
        expect.gateway_error(
            get(fresh, path, vk="allow"), 404, "model_not_found", "model"
        )


def test_who_may_use_a_model_sees_it(fresh, upstreams):
    asked(upstreams, answer({"id": "a-9", "object": "model"}))
    assert expect.good(get(fresh, "/alpha/a-9", vk="allow")).json()["id"] == "alpha/a-9"


def test_in_anthropics_shape(fresh, upstreams):
    asked(upstreams, answer({"id": "new", "object": "model", "created": 9}))
    fields = [*headers("main"), ("anthropic-version", "2023-06-01")]
    body = expect.good(fresh.request("GET", "/v1/models/alpha/new", fields)).json()
    assert (body["type"], body["id"]) == ("model", "alpha/new")


def test_many_clients_ask_for_one_at_the_same_time(fresh, upstreams):
    """They share the calls; what was answered is not kept."""
    gate = Gate()
    asked(upstreams, answer({"id": "new", "object": "model"}, hold=gate))
    with ThreadPoolExecutor(8) as pool:
        tasks = [pool.submit(get, fresh, "/alpha/new") for _ in range(8)]
        wait_stat(fresh, ACTIVE, 8)
        gate.wait_reached()
        gate.open()
        for task in tasks:
            assert expect.good(task.result()).json()["id"] == "alpha/new"
    before = len(upstreams["alpha"].requests)
    asked(upstreams, None)
    expect.gateway_error(get(fresh, "/alpha/new"), 404, "model_not_found", "model")
    assert len(upstreams["alpha"].requests) == before + 2


def test_a_client_that_goes_away_while_one_model_is_asked_for(fresh, upstreams):
    gate = Gate()
    asked(upstreams, answer({"id": "new", "object": "model"}, hold=gate))
    with fresh.connect() as client:
        client.send_head("GET", "/v1/models/alpha/new", headers("main"))
        gate.wait_reached()
        client.reset()
    wait_stat(fresh, ACTIVE, 0)
    gate.open()
    asked(upstreams, answer({"id": "new", "object": "model"}))
    expect.good(get(fresh, "/alpha/new"))


def test_one_curated_model(fresh):
    with fresh.sends_nothing():
        reply = expect.good(get(fresh, "/listed/org%2Flisted-2", vk="literal"))
        assert reply.json()["id"] == "listed/org/listed-2"
        reply = get(fresh, "/listed/none", vk="literal")
        expect.gateway_error(reply, 404, "model_not_found", "model")


# When it is fetched


def test_lists_are_fetched_beside_each_other(fresh, upstreams):
    """No provider has to wait for another, and the answer has to wait for all."""
    gates = {name: Gate() for name in LISTS}
    for name, gate in gates.items():
        upstreams[name].next(listing(LISTS[name], hold=gate))
    with fresh.connect() as client:
        client.send_head("GET", "/v1/models", headers("env"))
        for gate in gates.values():
            gate.wait_reached()
        for gate in gates.values():
            gate.open()
        assert len(ids(client.answer("GET").rest())) == 8


def test_many_clients_make_one_call_to_each_provider(fresh, upstreams):
    gates = {name: Gate() for name in ("alpha", "beta")}
    for name, gate in gates.items():
        upstreams[name].next(listing(LISTS[name], hold=gate))
    with ThreadPoolExecutor(24) as pool:
        kinds = [("main", ""), ("allow", ""), ("main", "/beta%2Fb-1")]
        asked = [pool.submit(get, fresh, path, vk) for vk, path in kinds * 8]
        wait_stat(fresh, ACTIVE, len(asked))
        for gate in gates.values():
            gate.wait_reached()
            gate.open()
        replies = [expect.good(done.result()).json() for done in asked]
    assert calls(upstreams, "alpha", "beta") == [1, 1]
    assert [len(reply.get("data", [])) for reply in replies] == [8, 5, 0] * 8
    assert {reply.get("id", "beta/b-1") for reply in replies} == {"beta/b-1"}


def test_lists_are_kept_for_a_while(start_envoy, upstreams):
    envoy = start_envoy(config=configuration(models_cache_seconds=3))
    for name in ("alpha", "beta"):
        upstreams[name].handler = lambda request, name=name: listing(
            [f"v{len(upstreams[name].requests)}"]
        )
    first = ["smart", "alpha/v1", "beta/v1"]
    assert ids(get(envoy)) == first
    with envoy.sends_nothing():
        assert ids(get(envoy)) == first
        assert ids(get(envoy, vk="bound")) == ["alpha/v1"]
        assert expect.good(get(envoy, "/alpha/v1")).json()["id"] == "alpha/v1"
    deadline = time.monotonic() + 20
    # Their answers may have come some milliseconds apart.
    while "/v1" in " ".join(shown := ids(get(envoy))):
        assert time.monotonic() < deadline, "the lists are never fetched again"
        time.sleep(0.05)
    assert shown == ["smart", "alpha/v2", "beta/v2"]
    assert calls(upstreams, "alpha", "beta") == [2, 2]


def test_a_failure_is_forgotten_sooner(start_envoy, upstreams):
    envoy = start_envoy(config=configuration(models_cache_seconds=3600))
    upstreams["alpha"].next(openai_shapes.error(500, "broken"))
    upstreams["alpha"].handler = lambda _: listing(["a-1"])
    assert upstreams_error(get(envoy, vk="bound"), 500)["message"] == "broken"
    deadline = time.monotonic() + 20
    while (reply := get(envoy, vk="bound")).status != 200:
        assert time.monotonic() < deadline, "the failure is kept"
        time.sleep(0.05)
    assert ids(reply) == ["alpha/a-1"]
    assert calls(upstreams, "alpha") == [2]


@pytest.mark.wasm_host  # the native host keeps one list for the process
def test_each_worker_keeps_its_own(start_envoy, upstreams):
    envoy = start_envoy(config=configuration(models_cache_seconds=3600), concurrency=2)
    for name in ("alpha", "beta"):
        upstreams[name].handler = lambda _, name=name: listing(LISTS[name])
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: ids(get(envoy)), range(60)))
    assert all(reply == replies[0] and len(reply) == 8 for reply in replies)
    assert all(1 <= count <= 2 for count in calls(upstreams, "alpha", "beta"))


# Clients


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_client_that_goes_away_while_lists_are_fetched(fresh, upstreams, how):
    gate = Gate()
    # In the native host a call ends with its client, and one of those that wait makes it again.
    upstreams["alpha"].next(*[listing(["left"], hold=gate)] * 6)
    leaving = [fresh.connect() for _ in range(5)]
    for client in leaving:
        client.send_head("GET", "/v1/models", headers("bound"))
    staying = fresh.connect()
    staying.send_head("GET", "/v1/models", headers("bound"))
    gate.wait_reached()
    wait_stat(fresh, ACTIVE, 6)
    for client in leaving:
        getattr(client, how)()
    wait_stat(fresh, ACTIVE, 1)
    gate.open()
    with staying:
        assert ids(staying.answer("GET").rest()) == ["alpha/left"]
    upstreams["alpha"].answers.clear()
    assert ids(get(fresh, vk="bound")) == [
        f"alpha/{id}" for id in sorted(LISTS["alpha"])
    ]
    wait_stat(fresh, ACTIVE, 0)
    wait_stat(fresh, "cluster.alpha.upstream_rq_active", 0)


@pytest.mark.parametrize("kept", [
    pytest.param(True, marks=pytest.mark.wasm_host),
    pytest.param(False, marks=pytest.mark.native_host),
])  # fmt: skip
def test_all_clients_go_away(start_envoy, upstreams, kept):
    """In the wasm host the call goes on without them, and the next client needs none; in the native host that one asks
    anew."""
    envoy = start_envoy(
        config=configuration(models_cache_seconds=3600, cache={"mode": "disable"})
    )
    gate = Gate()
    upstreams["alpha"].next(listing(["left"], hold=gate))
    with envoy.connect() as client:
        client.send_head("GET", "/v1/models", headers("bound"))
        gate.wait_reached()
        client.reset()
    wait_stat(envoy, ACTIVE, 0)
    gate.open()
    assert (ids(get(envoy, vk="bound")) == ["alpha/left"]) is kept
    assert calls(upstreams, "alpha") == [1 if kept else 2]


@pytest.mark.parametrize("body", [b"{}", b"x" * 300_000], ids=len)
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize("vk", ["bound", "literal"])
def test_a_get_with_a_body(fresh, upstreams, body, chunked, vk):
    """Nothing of the body matters, and nothing of it goes anywhere."""
    sent = {"pieces": [body[:1], body[1:]]} if chunked else {"body": body}
    reply = get(fresh, vk=vk, **sent)
    assert len(ids(reply)) == {"bound": 4, "literal": 6}[vk]
    assert all(got.body == b"" for got in upstreams["alpha"].requests)


def test_a_get_whose_body_never_ends(fresh):
    with fresh.connect() as client:
        client.send_head(
            "GET", "/v1/models", [*headers("bound"), ("content-length", "1000")]
        )
        client.send(b"only this")
        assert len(ids(client.answer("GET").rest())) == 4


def test_a_large_body_is_dropped(fresh):
    """It neither counts against Envoy's buffer nor goes anywhere."""
    reply = get(fresh, vk="bound", body=b"x" * 4 * MIB)
    assert len(ids(reply)) == 4


def test_requests_on_one_connection(fresh):
    with fresh.connect() as client:
        for _ in range(3):
            for vk, count in (("main", 8), ("literal", 6), ("bound", 4)):
                reply = client.request("GET", "/v1/models", headers(vk))
                assert len(ids(reply)) == count


def test_http2_streams(fresh):
    with fresh.connect2() as client:
        fields = headers("main")
        streams = [
            client.start("GET", "/v1/models", fields, end=True) for _ in range(5)
        ]
        for stream in streams:
            assert len(json.loads(client.wait(stream).body)["data"]) == 8


def test_the_key_is_asked_for(fresh):
    with fresh.sends_nothing():
        for path in ("", "/", "/alpha/a-1", "/alpha%2Fa-1"):
            reply = fresh.request("GET", f"/v1/models{path}", headers(None))
            expect.gateway_error(reply, 401, "invalid_api_key")


def test_many_threads(fresh):
    """Lists that come and go under load: every answer is whole."""
    bad: list[object] = []

    def ask() -> None:
        with fresh.connect() as client:
            for _ in range(15):
                reply = client.request("GET", "/v1/models", headers("main"))
                if reply.status != 200 or len(reply.json()["data"]) != 8:
                    bad.append(reply)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad
