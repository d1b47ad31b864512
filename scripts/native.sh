#!/usr/bin/env bash
# Builds the native module: target/release/libopenai_gateway_filter.so, for the machine at hand.
#
# In a folder and profile of its own (panics unwind there), so that no other build overwrites it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PROFILE=${PROFILE:-release} # quick: built in a third of the time, less optimised
case $PROFILE in release) profile=native ;; *) profile=native-$PROFILE ;; esac
export CARGO_TARGET_DIR="$ROOT/target" # the path above is promised, whatever the environment says
LIBRARY=libopenai_gateway_filter.so

say "building target/$PROFILE/$LIBRARY"
scripts/cargo.sh host build --profile "$profile" --features native --lib ${CI:+--locked}
mkdir -p "target/$PROFILE"
# By a rename: an Envoy may have the old one open, and must not see it change.
cp "target/$profile/$LIBRARY" "target/$PROFILE/$LIBRARY.part"
mv "target/$PROFILE/$LIBRARY.part" "target/$PROFILE/$LIBRARY"
say "target/$PROFILE/$LIBRARY: $(($(wc -c <"target/$PROFILE/$LIBRARY") / 1024)) KiB"
