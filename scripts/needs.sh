#!/usr/bin/env bash
# Says what `make test` needs and can't install by itself, all of it at once, before minutes are spent.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OLDEST_RUST=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
missing=()

can_apt() { have apt-get && { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }; }

if has_rust; then
  rust=$(cargo --version | awk '{ print $2 }')
  version_at_least "${rust%%-*}" "$OLDEST_RUST" || can_apt ||
    missing+=("Rust $OLDEST_RUST or newer (cargo here is $rust): rustup update")
elif ! can_apt; then # scripts/cargo.sh takes Debian's
  missing+=("Rust $OLDEST_RUST or newer: rustup.rs")
fi

have cc || have gcc || have clang ||
  missing+=("a C compiler, which Rust links with: Debian's gcc, Xcode's command line tools")

python=
for candidate in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || missing+=("Python 3.10 or newer (PYTHON=... names one)")

if have node && have npm; then
  node=$(node --version)
  version_at_least "${node#v}" 20 || missing+=("Node 20 or newer (node here is $node)")
else
  missing+=("Node 20 or newer, with npm")
fi

if [ ${#missing[@]} -gt 0 ]; then
  printf 'missing: %s\n' "${missing[@]}" >&2
  die "make test needs what is missing; make quick needs Rust alone"
fi
