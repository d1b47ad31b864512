#!/usr/bin/env bash
# Prints the program of a headless Chromium; installs Debian's chromium-headless-shell where there is none.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
alone

find_chromium() {
  for name in chromium-headless-shell chromium google-chrome; do
    command -v "$name" && return
  done
  return 1
}

find_chromium >/dev/null || apt_install chromium-headless-shell >&2 || true
find_chromium || die "a Chromium is needed; on Debian: apt-get install chromium-headless-shell"
