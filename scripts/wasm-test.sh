#!/usr/bin/env bash
# Runs the unit tests of the pure core as wasm (wasm32-unknown-unknown) on Node, with
# wasm-bindgen-test. A test module takes part with `use crate::test;` (see src/lib.rs).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

have node || die "Node is needed for the wasm tests"

# The runner must be exactly of the library's version.
VERSION=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
[ -n "$VERSION" ] || die "Cargo.lock has no wasm-bindgen"
TOOL="$CACHE/wasm-bindgen-$VERSION"
RUNNER="$TOOL/bin/wasm-bindgen-test-runner"

if [ ! -x "$RUNNER" ]; then
  say "building wasm-bindgen-test-runner $VERSION (once)"
  # Only what is used, and quick to compile rather than to run.
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_TARGET_DIR="$TOOL/target" \
    scripts/cargo.sh host install wasm-bindgen-cli --version "=$VERSION" \
    --bin wasm-bindgen-test-runner --no-default-features --debug --quiet --root "$TOOL"
  rm -rf "$TOOL/target"
fi

say "unit tests of the pure core (wasm32-unknown-unknown, on Node $(node --version))"
# A backtrace of the runner itself says nothing about a test that failed.
export RUST_BACKTRACE=0
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="$RUNNER"
exec scripts/cargo.sh wasm32-unknown-unknown test --lib ${CI:+--locked}
