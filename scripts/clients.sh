#!/usr/bin/env bash
# The clients that the suites of `make test` do not drive, each unmodified and at a pinned version, through a
# real Envoy: Go's official SDK (tests/clients/go). The first build takes a minute or two.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

have go || apt_install golang-go || die "Go is needed: https://go.dev/dl, or Debian's golang-go"
say "building the driver of openai-go ($(sed -n 's/^\topenai.*//; s/.*openai-go\/v3 \(v[0-9.]*\).*/\1/p' tests/clients/go/go.mod | head -1))"
mkdir -p .cache/clients
(cd tests/clients/go && go build -o "$ROOT/.cache/clients/go" .)
say "driving the clients"
exec .venv/bin/python -m pytest tests/envoy/clients "$@" --clients
