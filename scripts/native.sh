#!/usr/bin/env bash
# Builds the native module: target/release/libopenai_gateway_filter.so, for the machine at hand.
#
# In a folder and profile of its own (panics unwind there), so that no other build overwrites it.
# --faults: the library that panics on request, for its test, in the folder faults beside it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PROFILE=${PROFILE:-release} # quick: built in a third of the time, less optimised
case $PROFILE in release) profile=native ;; *) profile=native-$PROFILE ;; esac
export CARGO_TARGET_DIR="$ROOT/target" # the path above is promised, whatever the environment says
LIBRARY=libopenai_gateway_filter.so
folder=target/$PROFILE features=native
if [ "${1:-}" = --faults ]; then
  folder=target/$PROFILE/faults features=faults profile=native-quick
fi

say "building $folder/$LIBRARY"
# Not full RELRO: with it Envoy's functions are looked for when the file is opened, and what is said of a missing one gets
# lost. So they are looked for when the module starts, which says which Envoy it is for.
scripts/cargo.sh host rustc --profile "$profile" --features "$features" --lib ${CI:+--locked} -- -C relro-level=partial
mkdir -p "$folder"
# By a rename: an Envoy may have the old one open, and must not see it change.
cp "target/$profile/$LIBRARY" "$folder/$LIBRARY.part"
mv "$folder/$LIBRARY.part" "$folder/$LIBRARY"
say "$folder/$LIBRARY: $(($(wc -c <"$folder/$LIBRARY") / 1024)) KiB"
