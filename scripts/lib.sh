# shellcheck shell=bash disable=SC2034 # CACHE and ROOT are for those that source this
# Sourced by the scripts beside it. Bash 3.2 (macOS) and later.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
CACHE="$ROOT/.cache" # tools and decisions that `make clean` keeps

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# has_rust: a cargo on PATH that runs. Rustup without a toolchain has one that does not.
has_rust() { cargo --version >/dev/null 2>&1; }

# with_rust: for tools that call cargo and rustc by name. Debian's come first on PATH, where the first ones don't run.
with_rust() {
  local program
  if has_rust; then return; fi
  mkdir -p "$CACHE/rust"
  for program in cargo rustc rustdoc; do ln -sf "/usr/bin/$program" "$CACHE/rust/$program"; done
  PATH="$CACHE/rust:$PATH"
}

# limited SECONDS COMMAND...: so that a registry that never answers can't hold a build for ever.
limited() {
  local seconds=$1; shift
  if have timeout; then timeout "$seconds" "$@"; else "$@"; fi
}

# version_at_least HAVE WANT: both dotted numbers.
version_at_least() {
  awk -v have="$1" -v want="$2" 'BEGIN {
    n = split(want, w, "."); split(have, h, ".")
    for (i = 1; i <= n; i++) { if (h[i]+0 > w[i]+0) exit 0; if (h[i]+0 < w[i]+0) exit 1 }
    exit 0 }'
}

# alone: from here on this script is the only one that installs anything, with what it starts. Test suites run side by
# side, and the first of them on a new machine may want the same thing at the same time.
alone() {
  if [ -n "${ALONE:-}" ] || ! have flock; then return; fi
  mkdir -p "$CACHE"
  exec 9>"$CACHE/lock"
  flock 9
  export ALONE=1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# apt_install PACKAGE...: Debian's packages, without a question. Says which, and refuses when something that
# is there would have to go (rustc-web conflicts with Debian's own older rustc).
apt_install() {
  have apt-get || return 1
  if [ "$(id -u)" != 0 ] && ! { have sudo && sudo -n true 2>/dev/null; }; then
    say "root is needed to install: apt-get install $*"
    return 1
  fi
  say "installing Debian's packages: $*"
  as_root apt-get update -qq || say "apt-get update failed; trying with the package lists there are"
  local plan removed
  plan=$(apt-get install --simulate --no-install-recommends "$@") || return 1
  removed=$(printf '%s\n' "$plan" | awk '$1 == "Remv" { print $2 }')
  if [ -n "$removed" ]; then
    say "not installed, since apt would remove what is here: $(printf '%s' "$removed" | tr '\n' ' ')"
    return 1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}
