"""The official Python SDK, unmodified, with the gateway as its base_url."""

from __future__ import annotations

import asyncio
import io

import openai
import pytest
from harness import answer, openai_shapes
from harness.plugin import PROVIDER_KEYS, VK

MESSAGES = [{"role": "user", "content": "hi"}]


def test_chat(client, upstreams):
    reply = client().chat.completions.create(model="alpha/org/m", messages=MESSAGES)
    assert reply.choices[0].message.content == openai_shapes.TEXT
    assert reply.usage.total_tokens == 5
    got = upstreams["alpha"].only
    assert got.json()["model"] == "org/m"
    assert got.header("authorization") == f"Bearer {PROVIDER_KEYS['alpha']}"


def test_streamed_chat(client, upstreams):
    stream = client().chat.completions.create(model="beta/m", messages=MESSAGES, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "".join(pieces) == openai_shapes.TEXT and len(pieces) == 3
    assert upstreams["beta"].only.json()["stream"] is True


def test_an_alias(client):
    reply = client(VK["aliases"]).chat.completions.with_raw_response.create(
        model="smart", messages=MESSAGES
    )
    assert reply.headers["x-langwatch-provider"] == "beta"
    assert reply.headers["x-langwatch-model"] == "own-smart"


@pytest.mark.parametrize("encoding", ["float", "base64", openai.NOT_GIVEN])
def test_embeddings(client, upstreams, encoding):
    upstreams["alpha"].next(answer(openai_shapes.embeddings(2)))
    reply = client().embeddings.create(model="alpha/e", input=["a", "b"], encoding_format=encoding)
    assert len(reply.data) == 2


def test_text_completions(client, upstreams):
    body = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
    choice = {"index": 0, "text": "there", "finish_reason": "stop", "logprobs": None}
    upstreams["alpha"].next(answer({**body, "choices": [choice]}))
    reply = client().completions.create(model="alpha/m", prompt="hi")
    assert reply.choices[0].text == "there"


def test_a_transcription(client, upstreams):
    audio = bytes(range(256)) * 2000
    file = ("speech.wav", io.BytesIO(audio))
    reply = client().audio.transcriptions.create(model="alpha/whisper-1", file=file, language="en")
    assert reply.text == openai_shapes.TEXT
    got = upstreams["alpha"].only
    assert audio in got.body and b"alpha/whisper-1" not in got.body and b"whisper-1" in got.body
    assert got.header("content-length") == str(len(got.body))


def test_a_transcription_with_the_file_first(client, upstreams):
    """The SDK writes its form in the order of the fields that it is given."""
    audio = b"--" + bytes(range(256)) * 1000
    reply = client().post(
        "/audio/transcriptions",
        cast_to=openai.types.audio.Transcription,
        files=[("file", ("a.wav", audio)), ("model", (None, b"alpha/whisper-1"))],
        options={"headers": {"content-type": "multipart/form-data"}},
    )
    assert reply.text == openai_shapes.TEXT
    got = upstreams["alpha"].only.body
    assert got.index(audio) < got.index(b"whisper-1") and b"alpha/" not in got


ERRORS = [
    (openai.AuthenticationError, "wrong-key", "alpha/m", "invalid_api_key"),
    (openai.PermissionDeniedError, VK["none"], "alpha/m", "model_not_allowed"),
    (openai.PermissionDeniedError, VK["revoked"], "alpha/m", "virtual_key_revoked"),
    (openai.PermissionDeniedError, VK["expired"], "alpha/m", "virtual_key_expired"),
    (openai.NotFoundError, VK["main"], "other/none", "model_not_found"),
    (openai.BadRequestError, VK["main"], "", "invalid_model"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("kind", "key", "model", "code"), ERRORS, ids=lambda x: str(x)[-24:])
def test_errors_are_typed(client, kind, key, model, code, stream):
    with pytest.raises(kind) as raised:
        client(key).chat.completions.create(model=model, messages=MESSAGES, stream=stream)
    assert raised.value.code == code
    assert raised.value.type and raised.value.body["message"]


def test_an_unsupported_operation_is_a_bad_request(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client().images.generate(model="vllm/m", prompt="a cat")
    assert raised.value.code == "unsupported_operation"


def test_an_upstreams_own_error_keeps_its_kind(client, upstreams):
    upstreams["alpha"].next(openai_shapes.error(429, "slow down", code="rate_limit_exceeded"))
    with pytest.raises(openai.RateLimitError) as raised:
        client().chat.completions.create(model="alpha/m", messages=MESSAGES)
    assert raised.value.code == "rate_limit_exceeded"


def test_the_async_client(gateway, upstreams):
    async def run() -> list[str]:
        base_url = f"http://127.0.0.1:{gateway.port}/v1"
        async with openai.AsyncOpenAI(base_url=base_url, api_key=VK["main"]) as client:
            asked = [
                client.chat.completions.create(model=f"{name}/m", messages=MESSAGES)
                for name in ("alpha", "beta", "delta")
            ]
            replies = await asyncio.gather(*asked)
            return [reply.choices[0].message.content for reply in replies]

    assert asyncio.run(run()) == [openai_shapes.TEXT] * 3
