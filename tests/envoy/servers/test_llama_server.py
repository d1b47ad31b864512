"""llama.cpp's llama-server, asked past the gateway and through it by the official SDKs: both say the same. Where the
gateway converts, the bridge's answer is held against the server's own API of that kind."""

from __future__ import annotations

import anthropic
import openai
import pytest

from .conftest import CONTEXT

ASKED = [{"role": "user", "content": "hi"}]
SETTINGS = {"temperature": 0, "max_tokens": 8}
LONG = "x" * (2 * CONTEXT)


def models(ways):
    """The server as it is, and the two ways through the gateway."""
    return [(ways.direct, "tiny"), (ways.gateway, "bridge/tiny"), (ways.gateway, "native/tiny")]


def same(answers):
    first, *others = answers
    assert first, "the server says nothing"
    assert all(other == first for other in others), answers
    return first


def test_models(ways):
    listed = {model.id for model in ways.gateway.models.list()}
    assert {"bridge/tiny", "native/tiny", "vectors/tiny"} <= listed


class TestChat:
    def test_plain(self, ways):
        answers = [
            client.chat.completions.create(model=model, messages=ASKED, **SETTINGS) for client, model in models(ways)
        ]
        same([answer.choices[0].message.content for answer in answers])
        same([(answer.choices[0].finish_reason, answer.usage.completion_tokens) for answer in answers])

    def test_stream(self, ways):
        def text(client, model):
            options = {"stream": True, "stream_options": {"include_usage": True}}
            events = list(client.chat.completions.create(model=model, messages=ASKED, **SETTINGS, **options))
            words = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
            return words, events[-1].usage.completion_tokens

        whole = ways.direct.chat.completions.create(model="tiny", messages=ASKED, **SETTINGS)
        assert same([text(*way) for way in models(ways)])[0] == whole.choices[0].message.content

    def test_a_schema(self, ways):
        schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"], "additionalProperties": False}
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        settings = {**SETTINGS, "max_tokens": 64, "response_format": form}
        same([
            client.chat.completions.create(model=model, messages=ASKED, **settings).choices[0].message.content
            for client, model in models(ways)
        ])  # fmt: skip

    def test_several_choices_and_logprobs(self, ways):
        settings = {**SETTINGS, "n": 2, "logprobs": True, "top_logprobs": 2}
        for client, model in models(ways):
            answer = client.chat.completions.create(model=model, messages=ASKED, **settings)
            assert [choice.index for choice in answer.choices] == [0, 1]
            assert answer.choices[0].logprobs.content

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_context_that_is_exceeded(self, ways, stream):
        for model in ("bridge/tiny", "native/tiny"):
            with pytest.raises(openai.BadRequestError) as caught:
                ways.gateway.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": LONG}], stream=stream
                )
            assert caught.value.code == "context_length_exceeded"

    def test_what_the_server_refuses(self, ways):
        with pytest.raises(openai.BadRequestError) as caught:
            ways.gateway.chat.completions.create(model="bridge/tiny", messages="hi")
        assert "array" in caught.value.message and caught.value.type == "invalid_request_error"


def test_completions(ways):
    same([
        client.completions.create(model=model, prompt="the", **SETTINGS).choices[0].text for client, model in models(ways)
    ])  # fmt: skip


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings(ways, form):
    asked = {"input": ["a", "the cat"], "encoding_format": form}
    through = ways.gateway.embeddings.create(model="vectors/tiny", **asked)
    past = ways.direct_embeddings.embeddings.create(model="tiny", **asked)
    assert [one.embedding for one in through.data] == [one.embedding for one in past.data]


class TestResponses:
    """Bridged over chat, and the server's own."""

    SETTINGS = {"temperature": 0, "max_output_tokens": 8, "store": False}

    def test_plain(self, ways):
        answers = [client.responses.create(model=model, input="hi", **self.SETTINGS) for client, model in models(ways)]
        same([answer.output_text for answer in answers])
        same([answer.usage.output_tokens for answer in answers])

    def test_stream(self, ways):
        def read(model):
            events = list(ways.gateway.responses.create(model=model, input="hi", stream=True, **self.SETTINGS))
            assert [event.sequence_number for event in events] == list(range(len(events)))
            text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            assert events[-1].response.output_text == text
            return text

        whole = ways.direct.responses.create(model="tiny", input="hi", **self.SETTINGS)
        same([whole.output_text, read("bridge/tiny"), read("native/tiny")])

    def test_a_context_that_is_exceeded(self, ways):
        for model in ("bridge/tiny", "native/tiny"):
            with pytest.raises(openai.BadRequestError) as caught:
                ways.gateway.responses.create(model=model, input=LONG, stream=True)
            assert caught.value.code == "context_length_exceeded"


class TestMessages:
    """Bridged over chat, and the server's own."""

    def ways(self, ways):
        return [(ways.direct_anthropic, "tiny"), (ways.anthropic, "bridge/tiny"), (ways.anthropic, "native/tiny")]

    def test_plain(self, ways):
        answers = [
            client.messages.create(model=model, messages=ASKED, max_tokens=8, extra_body={"temperature": 0})
            for client, model in self.ways(ways)
        ]
        same([answer.content[0].text for answer in answers])
        same([(answer.stop_reason, answer.usage.output_tokens) for answer in answers])

    def test_stream(self, ways):
        def read(client, model):
            with client.messages.stream(
                model=model, messages=ASKED, max_tokens=8, extra_body={"temperature": 0}
            ) as events:
                text = "".join(events.text_stream)
                last = events.get_final_message()
            assert last.content[0].text == text
            return text, last.stop_reason, last.usage.output_tokens

        same([read(*way) for way in self.ways(ways)])

    def test_counted_by_the_server_itself(self, ways):
        counted = ways.anthropic.messages.count_tokens(model="native/tiny", messages=ASKED)
        assert counted.input_tokens > 0
        with pytest.raises(anthropic.NotFoundError):
            ways.anthropic.messages.count_tokens(model="bridge/tiny", messages=ASKED)

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_context_that_is_exceeded(self, ways, stream):
        for model in ("bridge/tiny", "native/tiny"):
            with pytest.raises(anthropic.BadRequestError) as caught:
                ways.anthropic.messages.create(
                    model=model, messages=[{"role": "user", "content": LONG}], max_tokens=8, stream=stream
                )
            assert "prompt is too long" in caught.value.message
