"""faster-whisper-server, asked past the gateway and through it by the official SDK: both say the same."""

from __future__ import annotations

import io
import random
import wave

import openai
import pytest

from .test_llama_server import same

RATE = 16_000
"""Samples of a second."""


@pytest.fixture(scope="module")
def sound() -> bytes:
    """Two seconds of noise, in a file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(random.Random(1).randbytes(2 * 2 * RATE))
    return file.getvalue()


def asked(ways):
    return [(ways.direct_speech, "tiny"), (ways.gateway, "speech/tiny")]


SETTINGS = {"language": "en", "temperature": 0}


def test_transcription(ways, sound):
    answers = [
        client.audio.transcriptions.create(
            model=model, file=("a.wav", sound), **SETTINGS
        )
        for client, model in asked(ways)
    ]
    assert same([answer.text for answer in answers]).split()


def test_with_segments(ways, sound):
    answers = [
        client.audio.transcriptions.create(
            model=model,
            file=("a.wav", sound),
            response_format="verbose_json",
            **SETTINGS,
        )
        for client, model in asked(ways)
    ]
    same([(answer.text, answer.language, answer.duration) for answer in answers])
    assert same(
        [
            [(part.start, part.end, part.text, part.tokens) for part in answer.segments]
            for answer in answers
        ]
    )


def test_translation(ways, sound):
    answers = [
        client.audio.translations.create(
            model=model, file=("a.wav", sound), temperature=0
        )
        for client, model in asked(ways)
    ]
    assert same([answer.text for answer in answers]).split()


def test_an_error_gets_openais_shape(ways, sound):
    """The server's own has it inside of FastAPI's `detail`, where no SDK looks."""
    with pytest.raises(openai.BadRequestError) as direct:
        ways.direct_speech.audio.transcriptions.create(
            model="tiny", file=("a.wav", sound), response_format="srt"
        )
    assert direct.value.type is None
    with pytest.raises(openai.BadRequestError) as error:
        ways.gateway.audio.transcriptions.create(
            model="speech/tiny", file=("a.wav", sound), response_format="srt"
        )
    assert error.value.body["message"] == "Unsupported response_format: srt"
    assert error.value.type == "invalid_request_error"


def test_what_is_no_sound(ways):
    """The server's 500 has no words."""
    with pytest.raises(openai.InternalServerError) as error:
        ways.gateway.audio.transcriptions.create(
            model="speech/tiny", file=("a.wav", b"no sound")
        )
    assert error.value.body["message"] and error.value.body["type"]
