"""The recorded quirks of answers through the official SDKs, unmodified: where there is an error it is
raised with its type, and where there is none nothing is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from harness.outcome import Outcome, differences
from harness.quirks import ANSWERS as ALL_ANSWERS
from harness.quirks import OTHER_TYPES, expected, params, path_of, recorded
from harness.sdk import python_client, run_node

# The SDKs know no ranks.
ANSWERS = [quirk for quirk in ALL_ANSWERS if quirk.path not in {*OTHER_TYPES, "/v1/rerank"}]

BY_STATUS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


@dataclass
class Seen:
    """What an SDK gave its caller. Both SDKs fill in the same."""

    chunks: list[dict[str, Any]] = field(default_factory=list)
    body: Any = None
    exception: str | None = None
    said: str | None = None
    status: int | None = None
    error: Any = None

    def outcome(self, stream: bool) -> Outcome:
        """The same, for comparison with the expectation of a quirk."""
        assert self.exception is None or self.error, f"{self.exception}: {self.said}"
        if self.status:
            return Outcome("json_error", self.status, error=self.error)
        outcome = Outcome("sse" if stream else "json", error=self.error, body=self.body)
        for chunk in self.chunks:
            outcome.add_chunk(chunk)
        return outcome


def asked(quirk) -> dict[str, Any]:
    """The request as an SDK is to send it: members that the quirk left out are the SDK's to choose."""
    return json.loads(quirk.request_body)


def check(quirk, seen: Seen, others: str) -> None:
    """`others`: the class of statuses without one of their own."""
    assert differences(expected(quirk), seen.outcome(asked(quirk).get("stream", False))) is None
    if seen.status:
        several = "InternalServerError" if seen.status >= 500 else others
        assert seen.exception == BY_STATUS.get(seen.status, several)
    else:
        assert seen.exception == ("APIError" if seen.error else None)


@pytest.fixture(scope="module")
def python_sdk(gateway):
    with python_client(gateway) as client:
        yield {
            "/v1/chat/completions": client.chat.completions.create,
            "/v1/completions": client.completions.create,
            "/v1/embeddings": client.embeddings.create,
        }


def ask_python(create, body: dict[str, Any]) -> Seen:
    seen = Seen()
    try:
        if body.get("stream"):
            for chunk in create(**body):
                seen.chunks.append(chunk.model_dump())
        else:
            seen.body = create(**body).model_dump()
    except openai.APIError as error:
        seen.exception, seen.said = type(error).__name__, str(error)
        seen.status, seen.error = getattr(error, "status_code", None), error.body
    return seen


@pytest.mark.parametrize("quirk", params(ANSWERS))
def test_python(python_sdk, upstreams, quirk):
    upstreams["alpha"].next(recorded(quirk))
    create = python_sdk[path_of(quirk)]
    if quirk.expected.get("body_subset", {}).get("data") == []:
        with pytest.raises(ValueError, match="No embedding data"):  # the SDK's own rule
            create(**asked(quirk))
    else:
        check(quirk, ask_python(create, asked(quirk)), others="APIStatusError")


@pytest.fixture(scope="module")
def node_results(gateway, all_upstreams, tmp_path_factory):
    """Every case in one run of Node. The upstream knows a case by a header."""
    cases = [{"id": quirk.id, "path": path_of(quirk), "body": asked(quirk)} for quirk in ANSWERS]
    file = tmp_path_factory.mktemp("answers") / "cases.json"
    file.write_text(json.dumps(cases))
    by_id = {quirk.id: quirk for quirk in ANSWERS}
    upstream = all_upstreams["alpha"]
    upstream.handler = lambda request: recorded(by_id[request.header("x-case")])
    printed = run_node(gateway, "answers.mjs", str(file))
    upstream.reset()
    return json.loads(printed)


@pytest.mark.parametrize("quirk", params(ANSWERS))
def test_node(node_results, quirk):
    check(quirk, Seen(**node_results[quirk.id]), others="APIError")


def test_python_asks_for_base64_and_gives_floats(python_sdk, upstreams):
    """The SDK's default, which a server that answers in floats all the same would break."""
    quirk = next(quirk for quirk in ANSWERS if quirk.id == "c-control")
    upstreams["alpha"].next(recorded(quirk))
    seen = ask_python(python_sdk["/v1/embeddings"], asked(quirk))
    assert upstreams["alpha"].only.json()["encoding_format"] == "base64"
    assert seen.body["data"][0]["embedding"] == [0.25, -0.5, 1.0]
