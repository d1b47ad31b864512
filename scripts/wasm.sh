#!/usr/bin/env bash
# Builds the module: target/wasm32-wasip1/release/openai_gateway_filter.wasm
#
# PROFILE=quick builds it in a third of the time, less optimised, into target/wasm32-wasip1/quick/.
#
# Where Binaryen's wasm-opt is on PATH it makes the module smaller (about a fifth of the code).
# WASM_OPT=/some/wasm-opt names another, WASM_OPT=no leaves the module as rustc made it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export CARGO_TARGET_DIR="$ROOT/target" # the path above is promised, whatever the environment says
PROFILE=${PROFILE:-release}
MODULE=target/wasm32-wasip1/$PROFILE/openai_gateway_filter.wasm

say "building $MODULE"
scripts/cargo.sh wasm32-wasip1 build --profile "$PROFILE" --lib ${CI:+--locked}

# Callbacks that the module has no use for are not exported. By a rename: the module is a hard link to
# cargo's own file, and Envoy may be reading it.
"${PYTHON:-python3}" scripts/exports.py "$MODULE" "$MODULE.part" && mv "$MODULE.part" "$MODULE"

# optimise WASM_OPT: replaces the module; the result is kept for as long as rustc's output and the
# version of wasm-opt are the same, since cargo puts its own output back at every build.
optimise() {
  local kept=target/wasm32-wasip1/$PROFILE/wasm-opt version
  version=$("$1" --version) || return 1
  mkdir -p "$kept"
  if ! cmp -s "$MODULE" "$kept/in.wasm" || [ "$version" != "$(cat "$kept/version" 2>/dev/null)" ]; then
    say "making it smaller with $version"
    rm -f "$kept/version"
    # -g keeps the function names: Envoy's log shows them when a module traps.
    "$1" -O3 -g "$MODULE" -o "$kept/out.wasm" || return 1
    cp "$MODULE" "$kept/in.wasm"
    echo "$version" >"$kept/version"
  fi
  cp "$kept/out.wasm" "$MODULE.part" && mv "$MODULE.part" "$MODULE"
}

wasm_opt=${WASM_OPT:-$(command -v wasm-opt || true)}
if [ -n "$wasm_opt" ] && [ "$wasm_opt" != no ]; then
  optimise "$wasm_opt" || say "$wasm_opt failed: the module stays as rustc made it"
fi

size=$(wc -c <"$MODULE" | tr -d ' ')
say "$MODULE: $((size / 1024)) KiB"
