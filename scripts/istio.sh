#!/usr/bin/env bash
# Builds istiod from its Go module into .cache/, once, and prints its path. With progress: it takes ten minutes
# on two cores.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=$(sed -n 's|.*istio.io/istio \(v[^ ]*\).*|\1|p' tests/istio/istiod/go.mod | head -n 1)
[ -n "$VERSION" ] || die "tests/istio/istiod/go.mod names no version of istio.io/istio"
PROGRAM="$CACHE/istiod-$VERSION/pilot-discovery"

if [ ! -x "$PROGRAM" ]; then
  have go || die "Go is needed to build istiod (go.dev/dl): tests/istio/istiod/go.mod says which"
  say "building istiod $VERSION with Go (ten minutes on two cores, once)"
  mkdir -p "$(dirname "$PROGRAM")"
  log="$(dirname "$PROGRAM")/build.log"
  (cd tests/istio/istiod && exec go build -v -mod=readonly -ldflags='-s -w' -o "$PROGRAM.part" \
    istio.io/istio/pilot/cmd/pilot-discovery) >"$log" 2>&1 &
  build=$!
  started=$(date +%s)
  while kill -0 "$build" 2>/dev/null; do
    sleep 20
    say "  $(wc -l <"$log" | tr -d ' ') packages after $(($(date +%s) - started)) s"
  done
  wait "$build" || { tail -n 20 "$log" >&2; die "istiod could not be built (all of it: ${log#"$ROOT/"})"; }
  mv "$PROGRAM.part" "$PROGRAM"
fi
echo "$PROGRAM"
