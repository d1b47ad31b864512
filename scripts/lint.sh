#!/usr/bin/env bash
# rustfmt, clippy (native, Envoy's target, the fuzz targets), the project's own rules, ruff. Stops at the first
# that finds something.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

component() { # NAME DEBIAN-PACKAGE: rustfmt or clippy, where the toolchain came without it
  scripts/cargo.sh host "$1" --version >/dev/null 2>&1 && return
  say "installing $1"
  if have rustup && limited 300 rustup component add "${1/#fmt/rustfmt}" >&2; then return; fi
  apt_install "$2" || true
  scripts/cargo.sh host "$1" --version >/dev/null 2>&1 ||
    die "cargo $1 is needed: rustup component add ${1/#fmt/rustfmt}, or Debian's $2"
}

component fmt rustfmt-web
component clippy rust-web-clippy

say "rustfmt"
scripts/cargo.sh host fmt --check

say "clippy (native)"
scripts/cargo.sh host clippy --all-targets ${CI:+--locked} -- -D warnings

say "clippy (wasm32-wasip1: the target of src/host)"
wasip1_clippy() { scripts/cargo.sh wasm32-wasip1 --can clippy; }
if wasip1_clippy || { apt_install rust-web-clippy && wasip1_clippy; }; then
  scripts/cargo.sh wasm32-wasip1 clippy --release --lib ${CI:+--locked} -- -D warnings
else
  say "SKIPPED: no clippy for the toolchain that builds wasm32-wasip1 here (Debian's rust-web-clippy)"
fi

if [ -e fuzz/Cargo.toml ]; then # else they would break unseen, until somebody fuzzes
  say "rustfmt and clippy (fuzz targets)"
  scripts/cargo.sh host fmt --manifest-path fuzz/Cargo.toml --check
  # Nothing is linked: a path, though nothing is there, spares building libFuzzer with a C++ compiler.
  CUSTOM_LIBFUZZER_PATH="$ROOT/fuzz/libfuzzer.a" CARGO_TARGET_DIR="$ROOT/target" \
    scripts/cargo.sh host clippy --manifest-path fuzz/Cargo.toml --bins -- -D warnings
fi

say "the project's own rules"
.venv/bin/python scripts/lint_rules.py
for script in scripts/*.sh .ci/run; do bash -n "$script"; done

say "ruff"
.venv/bin/python -m ruff check --no-cache .

say "lint passed"
