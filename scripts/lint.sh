#!/usr/bin/env bash
# rustfmt, clippy natively and for Envoy's target, the project's own rules, ruff. Stops at the first
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

say "the project's own rules"
failed=0
rule() { # MESSAGE FINDINGS
  [ -z "$2" ] || { failed=1; printf 'error: %s\n%s\n' "$1" "$2" >&2; }
}
sources() { find src -name '*.rs' "$@"; }

rule "only src/host may name proxy_wasm (everything else is bytes in, decisions out)" \
  "$(sources -not -path 'src/host/*' -exec grep -nE '^[^/]*\bproxy_wasm\b' {} + || true)"

# Without the line the tests of the file pass natively and are silently absent from make wasm-test.
rule "a test module outside src/host says \`use crate::test;\` (see src/lib.rs)" \
  "$(sources -not -path 'src/host/*' -exec grep -lE '^ *#\[test\]' {} + |
    while read -r file; do
      awk -v file="$file" '
        /cfg\(all\(test, not\(target_arch = "wasm32"\)\)\)/ { native = 1 }
        /^ *(pub )?mod [a-z_]+ \{/ { exempt = native; native = 0; uses = 0 }
        /^ *use proptest/ { exempt = 1 }
        /^ *use crate::test;/ || /^ *use crate::\{(.*, )?test[,}]/ { uses = 1 }
        /^ *#\[test\]/ && !exempt && !uses && !told { print file ":" FNR; told = 1 }' "$file"
    done)"

rule "a merge left its marks" "$(git grep -nE '^(<<<<<<<|>>>>>>>) ' || true)"

for script in scripts/*.sh .ci/run; do bash -n "$script" || failed=1; done
[ "$failed" = 0 ] || exit 1

say "ruff"
.venv/bin/python -m ruff check --no-cache .

say "lint passed"
