#!/usr/bin/env bash
# The clients that the suites of `make test` do not drive, each unmodified and at a pinned version, through a
# real Envoy: Go's official SDK (tests/clients/go) and Rust's async-openai (tests/clients/rust). The first build takes two or
# three minutes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

go=$(scripts/go.sh)
say "building the driver of openai-go ($(sed -n 's/^\topenai.*//; s/.*openai-go\/v3 \(v[0-9.]*\).*/\1/p' tests/clients/go/go.mod | head -1))"
mkdir -p .cache/clients
(cd tests/clients/go && "$go" build -o "$ROOT/.cache/clients/go" .)
say "building the driver of async-openai ($(sed -n 's/^async-openai.*"=\([0-9.]*\)".*/\1/p' tests/clients/rust/Cargo.toml))"
CARGO_TARGET_DIR="$ROOT/.cache/clients/target" "$ROOT/scripts/cargo.sh" host build --quiet --locked --manifest-path tests/clients/rust/Cargo.toml
cp .cache/clients/target/debug/clients-rust .cache/clients/rust
say "driving the clients"
exec .venv/bin/python -m pytest tests/envoy/clients "$@" --clients
