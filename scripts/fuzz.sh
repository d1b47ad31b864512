#!/usr/bin/env bash
# Runs each target of fuzz/fuzz_targets for FUZZ_SECONDS (default 30), or those named in FUZZ_TARGETS.
# With FUZZ_RUNS each tries so many inputs, and no more: with one SEED the same ones in every run of the same code.
# Inputs that were found before (fuzz/corpus/TARGET) and seeds (fuzz/seeds/TARGET) are the start.
# An input that crashes is left in fuzz/artifacts/, and the run fails.
# --build: makes the targets, and runs none.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=${1:?cargo-fuzz version}
if [ -n "${FUZZ_RUNS:-}" ]; then
  limit=-runs=$FUZZ_RUNS each="$FUZZ_RUNS inputs"
else
  limit=-max_total_time=${FUZZ_SECONDS:-30} each="${FUZZ_SECONDS:-30} s"
fi

ls fuzz/fuzz_targets/*.rs >/dev/null 2>&1 || die "there is no fuzz target yet (fuzz/fuzz_targets)"

TOOL="$CACHE/cargo-fuzz-$VERSION"
if [ ! -x "$TOOL/bin/cargo-fuzz" ]; then
  say "building cargo-fuzz $VERSION (once)"
  CARGO_TARGET_DIR="$TOOL/target" scripts/cargo.sh host install cargo-fuzz --version "=$VERSION" \
    --locked --debug --quiet --root "$TOOL"
  rm -rf "$TOOL/target"
fi

# Coverage and sanitizer flags are nightly's. A stable toolchain takes the coverage flags with
# RUSTC_BOOTSTRAP; without the address sanitizer, which safe Rust misses least.
if have rustup && rustup run nightly rustc --version >/dev/null 2>&1; then
  export RUSTUP_TOOLCHAIN=nightly
  sanitizer=address
else
  say "no nightly toolchain: fuzzing with the stable one, without the address sanitizer"
  export RUSTC_BOOTSTRAP=1
  sanitizer=none
  with_rust
fi

if [ "${2:-}" = --build ]; then
  say "building the fuzz targets"
  exec "$TOOL/bin/cargo-fuzz" fuzz build --sanitizer "$sanitizer"
fi

LOGS="$CACHE/fuzz"
mkdir -p "$LOGS"
targets=${FUZZ_TARGETS:-$(find fuzz/fuzz_targets -name '*.rs' -exec basename {} .rs ';' | sort)}
for target in $targets; do
  say "fuzzing $target: $each"
  mkdir -p "fuzz/corpus/$target"
  seeds=()
  [ ! -d "fuzz/seeds/$target" ] || seeds=("fuzz/seeds/$target")
  # libFuzzer tells every input that reaches something new: thousands of lines.
  if ! "$TOOL/bin/cargo-fuzz" fuzz run --sanitizer "$sanitizer" "$target" "fuzz/corpus/$target" \
    ${seeds[@]+"${seeds[@]}"} -- "$limit" -seed="${SEED:-0}" -rss_limit_mb=4096 \
    -print_final_stats=1 >"$LOGS/$target.log" 2>&1; then
    tail -n 60 "$LOGS/$target.log" >&2
    die "$target failed (all of it: ${LOGS#"$ROOT/"}/$target.log)"
  fi
  grep -E '^Done |^stat::(average_exec_per_sec|peak_rss_mb)' "$LOGS/$target.log" >&2
done
say "no fuzz target found a fault: $(echo "$targets" | wc -w | tr -d ' ') targets, $each each"
