#!/usr/bin/env bash
# Runs cargo with a toolchain that can build for TARGET, setting one up where there is none.
#
#   scripts/cargo.sh host SUBCOMMAND ARGS...
#   scripts/cargo.sh wasm32-wasip1 SUBCOMMAND ARGS...           adds --target
#   scripts/cargo.sh wasm32-unknown-unknown SUBCOMMAND ARGS...  adds --target
#   scripts/cargo.sh TARGET --can SUBCOMMAND                    whether that toolchain has it
#
# In this order: the cargo on PATH where it has the target's standard library; rustup, which can add
# it; Debian's rustc-web, which builds the standard library from source (needs root once).
# WASM_TOOLCHAIN=rustup or =debian takes the choice away for the wasm targets.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TARGET=${1:?target}; SUBCOMMAND=${2:?cargo subcommand}; shift 2
CAN=
if [ "$SUBCOMMAND" = --can ]; then CAN=1 SUBCOMMAND=${1:?cargo subcommand}; shift; fi
OLDEST_RUST=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
DEBIAN_PACKAGES="rustc-web cargo-web rust-web-src lld wasi-libc"
CHOICE="$CACHE/toolchain-$TARGET"

new_enough() { # CARGO: it runs, and is not older than the crate's rust-version
  local version
  version=$("$1" --version 2>/dev/null | awk '{ print $2 }') || return 1
  [ -n "$version" ] && version_at_least "${version%%-*}" "$OLDEST_RUST"
}

has_target() { # the rustc on PATH has TARGET's compiled standard library
  local dir
  dir=$(rustc --print target-libdir --target "$TARGET" 2>/dev/null) || return 1
  ls "$dir"/libstd-*.rlib >/dev/null 2>&1
}

debian_host_ready() { [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && new_enough /usr/bin/cargo; }

debian_wasm_ready() {
  debian_host_ready && have wasm-ld && [ -e /usr/lib/wasm32-wasi/libc.a ] &&
    [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]
}

# --- what runs ---

run_plain() {
  if [ -n "$CAN" ]; then cargo "$SUBCOMMAND" --version >/dev/null 2>&1; exit; fi
  if [ "$TARGET" = host ]; then exec cargo "$SUBCOMMAND" "$@"; fi
  exec cargo "$SUBCOMMAND" --target "$TARGET" "$@"
}

run_debian() {
  # By full path and with RUSTC set: rustup's may come first on PATH.
  export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc CARGO=/usr/bin/cargo
  local cargo=(/usr/bin/cargo "$SUBCOMMAND")
  case $SUBCOMMAND in # not through cargo, which looks for these in ~/.cargo/bin (rustup) first
    clippy) cargo=(/usr/bin/cargo-clippy clippy) ;;
    fmt) cargo=(/usr/bin/cargo-fmt) ;;
  esac
  if [ -n "$CAN" ]; then [ -x "${cargo[0]}" ]; exit; fi
  [ -x "${cargo[0]}" ] || die "Debian's ${cargo[0]##*/} is not installed (rust-web-clippy, rustfmt-web)"
  if [ "$TARGET" = host ]; then exec "${cargo[@]}" "$@"; fi
  export RUSTC_BOOTSTRAP=1 # build-std is not stable yet
  exec "${cargo[@]}" --config .cargo/debian-wasm.toml --target "$TARGET" "$@"
}

# --- what is chosen ---

if [ "$TARGET" = host ]; then
  if have cargo && new_enough cargo; then run_plain "$@"; fi
  debian_host_ready || apt_install rustc-web cargo-web || true
  if debian_host_ready; then run_debian "$@"; fi
  die "Rust $OLDEST_RUST or newer is needed: rustup (rustup.rs), or Debian's rustc-web and cargo-web"
fi

# The module must not depend on flags that happen to be set in a shell: they would also replace
# those of .cargo/.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET

rustup_can() {
  have rustup || return 1
  say "adding $TARGET with rustup"
  limited 300 rustup target add "$TARGET" >&2 && has_target
}

use_debian() {
  if ! debian_wasm_ready; then
    # shellcheck disable=SC2086
    apt_install $DEBIAN_PACKAGES || true
  fi
  debian_wasm_ready || return 1
  mkdir -p "$CACHE"; echo debian >"$CHOICE"
  [ -n "$CAN" ] || say "$TARGET with Debian's toolchain (the first build makes the standard library too)"
  run_debian "$@"
}

case ${WASM_TOOLCHAIN:-auto} in
  rustup)
    has_target || rustup_can || die "rustup could not add $TARGET (WASM_TOOLCHAIN=rustup)"
    run_plain "$@" ;;
  debian)
    use_debian "$@" || die "Debian's toolchain can't be set up. As root: apt-get install $DEBIAN_PACKAGES" ;;
  auto)
    if have cargo && new_enough cargo && has_target; then run_plain "$@"; fi
    # rustup failed before: asking it again costs a network time-out at every build.
    if [ -e "$CHOICE" ] && debian_wasm_ready; then use_debian "$@"; fi
    if have cargo && new_enough cargo && rustup_can; then run_plain "$@"; fi
    use_debian "$@" || die "no toolchain for $TARGET. Either: rustup target add $TARGET
  or, on Debian as root: apt-get install $DEBIAN_PACKAGES" ;;
  *) die "WASM_TOOLCHAIN is ${WASM_TOOLCHAIN}: rustup, debian or auto" ;;
esac
