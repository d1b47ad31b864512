#!/usr/bin/env bash
# node_modules of each folder of tests that has a package-lock.json, as that says. Offline and at once when
# they already are.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
alone

{ have node && have npm; } || die "Node with npm is needed for the tests"
[ $# -gt 0 ] || set -- tests/node tests/clients/ai-sdk
for folder in "$@"; do
  (
    cd "$folder"
    cmp -s package-lock.json node_modules/.installed-lock.json && exit 0
    say "installing Node's packages ($folder)"
    npm ci --no-audit --no-fund --loglevel=error </dev/null >&2
    cp package-lock.json node_modules/.installed-lock.json
  )
done
