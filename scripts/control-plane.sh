#!/usr/bin/env bash
# Builds istiod or Envoy Gateway from its Go module into .cache/, once, and prints its path. With progress: it takes
# ten minutes on two cores.
#
#   scripts/control-plane.sh istiod | envoy-gateway
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
  istiod) module=istio.io/istio package=$module/pilot/cmd/pilot-discovery folder=tests/istio/istiod ;;
  envoy-gateway) module=github.com/envoyproxy/gateway package=$module/cmd/envoy-gateway folder=tests/envoy_gateway/program ;;
  *) die "istiod or envoy-gateway?" ;;
esac

version=$(sed -n "s|.*$module \(v[^ ]*\).*|\1|p" "$folder/go.mod" | head -n 1)
[ -n "$version" ] || die "$folder/go.mod names no version of $module"
program="$CACHE/$1-$version/${package##*/}"

if [ ! -x "$program" ]; then
  have go || die "Go is needed to build $1 (go.dev/dl): $folder/go.mod says which"
  say "building $1 $version with Go (ten minutes on two cores, once)"
  mkdir -p "$(dirname "$program")"
  log="$(dirname "$program")/build.log"
  (cd "$folder" && exec go build -v -mod=readonly -ldflags='-s -w' -o "$program.part" "$package") >"$log" 2>&1 &
  build=$!
  started=$(date +%s)
  while kill -0 "$build" 2>/dev/null; do
    sleep 20
    say "  $(wc -l <"$log" | tr -d ' ') packages after $(($(date +%s) - started)) s"
  done
  wait "$build" || { tail -n 20 "$log" >&2; die "$1 could not be built (all of it: ${log#"$ROOT/"})"; }
  mv "$program.part" "$program"
fi
echo "$program"
