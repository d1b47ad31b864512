#!/usr/bin/env bash
# tests/node/node_modules as tests/node/package-lock.json says. Offline and at once when it already is.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

{ have node && have npm; } || die "Node with npm is needed for the tests"
cd tests/node
cmp -s package-lock.json node_modules/.installed-lock.json && exit 0
say "installing Node's packages (tests/node)"
npm ci --no-audit --no-fund --loglevel=error </dev/null >&2
cp package-lock.json node_modules/.installed-lock.json
