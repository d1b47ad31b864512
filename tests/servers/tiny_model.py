"""Writes a language model for llama.cpp: one layer, random weights. It answers at once, in words that mean nothing, and
always the same to the same prompt."""

from __future__ import annotations

import sys

import gguf
import numpy as np

WORDS = "▁the ▁a ▁cat ▁dog ▁sees ▁likes ▁and ▁big ▁small ▁house ▁tree . , ▁is ▁red ▁blue".split()
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SPECIAL = ["<unk>", "<s>", "</s>"]
WIDTH, HEADS, HIDDEN, CONTEXT = 64, 4, 128, 4096
TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"


def vocabulary(out: gguf.GGUFWriter) -> int:
    """Words, and each byte, so that any prompt can be read and any grammar be followed."""
    kind = gguf.TokenType
    tokens = [*SPECIAL, *BYTES, *WORDS]
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens)
    types = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL] + [kind.BYTE] * len(BYTES) + [kind.NORMAL] * len(WORDS)
    out.add_token_types(types)
    out.add_token_scores([0.0] * len(SPECIAL) + [-1000.0] * len(BYTES) + [-1.0] * len(WORDS))
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_chat_template(TEMPLATE)
    return len(tokens)


def write(path: str) -> None:
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("tiny")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(1)
    out.add_feed_forward_length(HIDDEN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    size = vocabulary(out)

    random = np.random.default_rng(1)

    def weights(name: str, *shape: int, scale: float = 0.1) -> None:
        out.add_tensor(f"{name}.weight", (random.standard_normal(shape) * scale).astype(np.float32))

    weights("token_embd", size, WIDTH, scale=1.0)
    # Only words are likely: bytes alone would be no text.
    head = random.standard_normal((size, WIDTH)).astype(np.float32)
    head[: len(SPECIAL) + len(BYTES)] = 0
    out.add_tensor("output.weight", head)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        out.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        weights(f"blk.0.{name}", WIDTH, WIDTH)
    weights("blk.0.ffn_gate", HIDDEN, WIDTH)
    weights("blk.0.ffn_up", HIDDEN, WIDTH)
    weights("blk.0.ffn_down", WIDTH, HIDDEN)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    write(sys.argv[1])
