#!/usr/bin/env bash
# Builds what is released into dist/: the module under its version, its digest, its SBOM, and an OCI layout.
#
#   scripts/dist.sh [--twice]    --twice: builds from nothing two times and compares the digests
#
# The same commit gives the same bytes on any machine with the same Rust: paths of this machine are mapped away,
# wasm-opt is left out, and nothing holds a time.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

. ./versions.env
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
NAME="openai-gateway-filter-$VERSION"
MODULE="dist/$NAME.wasm"
BUILT=wasm32-wasip1/release/openai_gateway_filter.wasm

commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || commit="$commit-changed"
export OPENAI_GATEWAY_COMMIT="$commit" # the start-up line shows it (src/host/wasm/root.rs)

build() { # TARGET-DIR
  local sysroot=/usr # Debian's
  ! has_rust || sysroot=$(rustc --print sysroot)
  CARGO_TARGET_DIR=$1 scripts/cargo.sh wasm32-wasip1 build --release --lib --locked --config \
    "target.wasm32-wasip1.rustflags=[\"--remap-path-prefix=$ROOT=.\",\"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo\",\"--remap-path-prefix=$sysroot=/rust\"]"
  "${PYTHON:-python3}" scripts/exports.py "$1/$BUILT" "$1/module.wasm"
}

digest() { "${PYTHON:-python3}" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"; }

say "building $NAME from commit $commit"
[ "${1:-}" != --twice ] || rm -rf target/dist target/dist-again
build target/dist
if [ "${1:-}" = --twice ]; then
  say "building it again, from nothing"
  build target/dist-again
  first=$(digest target/dist/module.wasm) second=$(digest target/dist-again/module.wasm)
  rm -rf target/dist-again
  [ "$first" = "$second" ] || die "two builds differ: $first, $second"
  say "two builds gave the same bytes: $first"
fi

mkdir -p dist
rm -rf dist/openai-gateway-filter-*.wasm* dist/*.cdx.json dist/oci
cp target/dist/module.wasm "$MODULE"
echo "$(digest "$MODULE")  $NAME.wasm" >"$MODULE.sha256"

say "the list of what is in it (CycloneDX)"
TOOL="$CACHE/cargo-cyclonedx-$CARGO_CYCLONEDX_VERSION"
if [ ! -x "$TOOL/bin/cargo-cyclonedx" ]; then
  say "building cargo-cyclonedx $CARGO_CYCLONEDX_VERSION (once)"
  CARGO_TARGET_DIR="$TOOL/target" scripts/cargo.sh host install cargo-cyclonedx \
    --version "=$CARGO_CYCLONEDX_VERSION" --locked --debug --quiet --root "$TOOL"
  rm -rf "$TOOL/target"
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH
with_rust
PATH="$TOOL/bin:$PATH" cargo-cyclonedx cyclonedx --quiet --format json --spec-version 1.5 --target wasm32-wasip1 --no-build-deps \
  --override-filename sbom
# Without the path of this machine.
sed "s|file://$ROOT|file:///openai-gateway-filter|g" sbom.json >"dist/$NAME.cdx.json"
rm sbom.json

say "the module as an OCI image: dist/oci"
"${PYTHON:-python3}" scripts/oci.py "$MODULE" dist/oci "$VERSION"

say "$MODULE: $(($(wc -c <"$MODULE") / 1024)) KiB, sha256 $(cut -d' ' -f1 "$MODULE.sha256")"
