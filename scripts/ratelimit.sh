#!/usr/bin/env bash
# Builds Envoy's rate limit service (github.com/envoyproxy/ratelimit, Go) of the version in versions.env into .cache/,
# once, and prints its path. A minute on two cores.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
alone

VERSION=$(sed -n 's/^RATELIMIT_VERSION=//p' versions.env)
[ -n "$VERSION" ] || die "versions.env names no RATELIMIT_VERSION"
PROGRAM="$CACHE/ratelimit-$VERSION/service_cmd"

if [ ! -x "$PROGRAM" ]; then
  go=$(scripts/go.sh)
  say "building Envoy's rate limit service $VERSION with $("$go" env GOVERSION) (a minute on two cores, once)"
  mkdir -p "$(dirname "$PROGRAM")"
  log="$(dirname "$PROGRAM")/build.log"
  GOBIN=$(dirname "$PROGRAM") GOFLAGS='' limited 900 \
    "$go" install -ldflags='-s -w' "github.com/envoyproxy/ratelimit/src/service_cmd@$VERSION" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "the rate limit service could not be built (all of it: ${log#"$ROOT/"})"; }
  [ -x "$PROGRAM" ] || die "go install left no program at ${PROGRAM#"$ROOT/"}"
fi
echo "$PROGRAM"
