#!/usr/bin/env bash
# scripts/run.sh PROGRAM: runs a program of demo/ with a module and an Envoy, setting up what is not there.
#
# The module: the one that FILTER_MODULE names, else a released one in dist/ (then no Rust is needed), else the one
# that was built before with the release profile, brought up to date, else a new one by the quick profile.
# HOST=native: the native module that was built before, brought up to date, else a new one by the quick profile.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

unset FILTER_WASM PROFILE
released=(dist/openai-gateway-filter-*.wasm)
release=target/wasm32-wasip1/release/openai_gateway_filter.wasm
if [ "${HOST:-wasm}" = native ]; then
  PROFILE=quick
  [ ! -e target/release/libopenai_gateway_filter.so ] || PROFILE=release
  export PROFILE
  scripts/native.sh
  scripts/venv.sh .venv -r tests/requirements.txt
  export FILTER_NATIVE="$ROOT/target/$PROFILE"
  module='' PYTHON=.venv/bin/python
elif [ -n "${FILTER_MODULE:-}" ]; then
  module=$FILTER_MODULE
elif [ -e "${released[0]}" ]; then
  module=$ROOT/${released[0]}
  say "using ${released[0]} (remove dist/ to build the module from the source)"
elif [ -e "$release" ]; then
  PROFILE=release scripts/wasm.sh
  module=$ROOT/$release
else
  PROFILE=quick scripts/wasm.sh
  module=$ROOT/target/wasm32-wasip1/quick/openai_gateway_filter.wasm
fi
scripts/envoy.sh
export FILTER_WASM="$module" ENVOY_BIN="$ROOT/.envoy/bin/envoy"
exec "${PYTHON:-python3}" "$@"
