"""What real clients send, as recorded: each case says what the client and the server must get.

A case is a folder of `tests/envoy/data/clients`: `request.json`, `upstream.json` and `expected.json`.
`"$PREVIOUS"` in a body is what the gateway itself gave out, in the case that `PREVIOUS` names.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import ROOT, Envoy, answer, headers, plugin

Json = dict[str, Any]
CASES = {folder.name: folder for folder in sorted((ROOT / "tests" / "envoy" / "data" / "clients").iterdir())}
PREVIOUS = {"reasoning-encrypted-back": ("reasoning-encrypted", "output.0.encrypted_content"),
            "item-reference": ("held-empty-tools", "output.0.id")}  # fmt: skip
TYPES = {"string": str, "null": type(None), "number": (int, float), "array": list, "object": dict, "boolean": bool}


def read(case: str, part: str) -> Json:
    return json.loads((CASES[case] / f"{part}.json").read_text())


@pytest.fixture
def envoy(start_envoy) -> Envoy:
    """Provider `up` has no options, `rf` wants reasoning back."""
    common = {"auth": {"mode": "none"}, "base_url": "http://alpha.test/v1", "cluster": "alpha"}
    providers = [{"name": "up", **common}, {"name": "rf", **common, "reasoning_field": "reasoning_content"}]
    keys = [{"id": "id-main", "key_sha256": plugin.key_sha256("main")}]
    config = {"providers": providers, "virtual_keys": keys}
    return start_envoy(config=config, shipped_edges=True)


def at(value: Any, path: str) -> Any:
    """The value at `a.0.b`; what is not there is null."""
    for step in path.split("."):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def check_answer(reply, expected: Json) -> None:
    assert reply.status == expected["status"], reply.body
    for path, wanted in expected.get("json", {}).items():
        found = at(json.loads(reply.body), path)
        if "is" in wanted:
            assert found == wanted["is"], path
        if "has" in wanted:
            assert wanted["has"] in found, path
        if "type" in wanted:
            assert isinstance(found, tuple(TYPES[name] for name in wanted["type"])), (path, found)


def check_upstream(got, expected: Json) -> None:
    body = json.loads(got.body) if got.body else {}
    for name, wanted in expected.get("json", {}).items():
        assert body.get(name) == wanted, name
    for name in expected.get("lacks", []):
        assert name not in body, name
    messages = body.get("messages", [])
    if "messages_begin" in expected:
        assert messages[: len(expected["messages_begin"])] == expected["messages_begin"]
    if "messages_has" in expected:
        wanted = expected["messages_has"].items()
        assert any(wanted <= {k: v for k, v in one.items() if isinstance(v, str)}.items() for one in messages), messages
    if "roles" in expected:
        assert [message["role"] for message in messages] == expected["roles"]
    if "path" in expected:
        assert got.path == expected["path"]
    for name in expected.get("no_headers", []):
        assert got.header(name) is None, name
    for text in expected.get("text", []):
        assert text in got.body.decode(), text


def run(envoy: Envoy, upstream, case: str):
    request, scripted = read(case, "request"), read(case, "upstream")
    body = request["body"]
    if case in PREVIOUS:
        earlier, path = PREVIOUS[case]
        given = at(json.loads(run(envoy, upstream, earlier).body), path)
        assert isinstance(given, str)
        body = json.loads(json.dumps(body).replace("$PREVIOUS", given))
    upstream.next(answer(scripted["json"], scripted["status"], content_type=scripted["headers"]["content-type"]))
    fields = [*headers("main", "application/json" if body else None), *request["headers"].items()]
    sent = None if body is None else json.dumps(body).encode()
    return envoy.request(request["method"], request["path"], fields, body=sent)


@pytest.mark.parametrize("case", CASES)
def test_what_a_client_sends(envoy, upstreams, case):
    reply = run(envoy, upstreams["alpha"], case)
    expected = read(case, "expected")
    check_answer(reply, expected)
    if "upstream" in expected:
        check_upstream(upstreams["alpha"].requests[-1], expected["upstream"])
