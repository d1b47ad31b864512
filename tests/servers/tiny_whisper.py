"""Writes a speech model for faster-whisper: one layer, random weights. It hears words that mean nothing, and always the
same ones in the same sound."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from ctranslate2.specs import WhisperSpec
from ctranslate2.specs.attention_spec import MultiHeadAttentionSpec
from ctranslate2.specs.common_spec import Conv1DSpec, LayerNormSpec, LinearSpec
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

WORDS = [
    f"Ġ{word}"
    for word in "the a cat dog sees likes and big small house tree is red blue".split()
]
SPECIAL = [
    "endoftext",
    "startoftranscript",
    "en",
    "translate",
    "transcribe",
    "startoflm",
    "startofprev",
    "nospeech",
    "notimestamps",
]
STEP, SECONDS = 0.02, 30
TIMES = [f"{index * STEP:.2f}" for index in range(int(SECONDS / STEP) + 1)]
WIDTH, HEADS, HIDDEN, MELS, TEXT, FRAMES = 64, 1, 128, 80, 448, 1500


def write(folder: Path) -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain = [*letters, *WORDS]
    marks = [f"<|{name}|>" for name in [*SPECIAL, *TIMES]]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(plain, marks).save(str(folder / "tokenizer.json"))
    spec = model(len(plain), len(plain) + len(marks))
    spec.register_vocabulary([*plain, *marks])
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = []
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.save(str(folder))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS}))


def tokenizer(plain: list[str], marks: list[str]) -> Tokenizer:
    made = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(plain)}, merges=[]
        )
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(mark, special=True) for mark in marks])
    return made


def model(words: int, size: int) -> WhisperSpec:
    random = np.random.default_rng(1)

    def weights(*shape: int, scale: float = 0.1) -> np.ndarray:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    def norm(spec: LayerNormSpec) -> None:
        spec.gamma, spec.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def linear(spec: LinearSpec, outputs: int, inputs: int) -> None:
        spec.weight, spec.bias = weights(outputs, inputs), np.zeros(outputs, np.float32)

    def convolution(spec: Conv1DSpec, inputs: int) -> None:
        spec.weight, spec.bias = weights(WIDTH, inputs, 3), np.zeros(WIDTH, np.float32)

    def attention(spec: MultiHeadAttentionSpec, *projections: int) -> None:
        norm(spec.layer_norm)
        for part, outputs in zip(spec.linear, projections, strict=True):
            linear(part, outputs, WIDTH)

    spec = WhisperSpec(1, HEADS, 1, HEADS)
    encoder, decoder = spec.encoder, spec.decoder
    convolution(encoder.conv1, MELS)
    convolution(encoder.conv2, WIDTH)
    encoder.position_encodings.encodings = weights(FRAMES, WIDTH)
    decoder.position_encodings.encodings = weights(TEXT, WIDTH)
    for part in (encoder, decoder):
        norm(part.layer_norm)
        layer = part.layer[0]
        attention(layer.self_attention, 3 * WIDTH, WIDTH)
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, HIDDEN, WIDTH)
        linear(layer.ffn.linear_1, WIDTH, HIDDEN)
    attention(decoder.layer[0].attention, WIDTH, 2 * WIDTH, WIDTH)
    decoder.embeddings.weight = weights(size, WIDTH, scale=1.0)
    # Only words and times are likely: bytes alone would be no text.
    head = weights(size, WIDTH, scale=1.0)
    head[: words - len(WORDS)] = 0
    decoder.projection.weight = head
    return spec


if __name__ == "__main__":
    write(Path(sys.argv[1]))
