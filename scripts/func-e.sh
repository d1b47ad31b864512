#!/usr/bin/env bash
# Puts .envoy/bin/envoy where func-e keeps its versions, so that `func-e run -c envoy/envoy.yaml`
# (which reads .envoy-version) runs it without a download. func-e itself is built with Go, into
# .cache/, where it is not installed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FUNC_E_VERSION=${1:?func-e version}
VERSION=$(tr -d '[:space:]' <.envoy-version)

func_e=$(command -v func-e || true)
if [ -z "$func_e" ]; then
  func_e="$CACHE/func-e-$FUNC_E_VERSION/func-e"
  if [ ! -x "$func_e" ]; then
    have go || die "func-e is not installed, and there is no Go to build it with (func-e.io)"
    say "building func-e $FUNC_E_VERSION with Go"
    GOBIN=$(dirname "$func_e") go install "github.com/tetratelabs/func-e/cmd/func-e@v$FUNC_E_VERSION"
  fi
fi

# Its folder (globals.Paths in its source): one below a FUNC_E_HOME, or the XDG one.
if [ -n "${FUNC_E_HOME:-}" ]; then
  versions=$FUNC_E_HOME/versions
else
  versions=${FUNC_E_DATA_HOME:-$HOME/.local/share/func-e}/envoy-versions
fi

target="$versions/$VERSION/bin/envoy"
source=$("${PYTHON:-python3}" -c 'import os, sys; print(os.path.realpath(sys.argv[1]))' .envoy/bin/envoy)
if [ "$source" != "$target" ] && ! cmp -s "$source" "$target"; then
  say "copying Envoy $VERSION to $target"
  mkdir -p "$(dirname "$target")"
  cp "$source" "$target.part" && mv "$target.part" "$target"
fi

seen=$("$func_e" which 2>/dev/null | tail -n 1) || seen=
[ "$seen" = "$target" ] || die "func-e does not find $target (func-e which: ${seen:-nothing}).
  ENVOY_PATH=$ROOT/.envoy/bin/envoy func-e run -c envoy/envoy.yaml works with any version of func-e"
say "ready: $func_e run -c envoy/envoy.yaml"
