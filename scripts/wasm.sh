#!/usr/bin/env bash
# Builds the module: target/wasm32-wasip1/release/openai_gateway_filter.wasm
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export CARGO_TARGET_DIR="$ROOT/target" # the path above is promised, whatever the environment says
MODULE=target/wasm32-wasip1/release/openai_gateway_filter.wasm

say "building $MODULE"
scripts/cargo.sh wasm32-wasip1 build --release --lib ${CI:+--locked}

size=$(wc -c <"$MODULE" | tr -d ' ')
say "$MODULE: $((size / 1024)) KiB"
