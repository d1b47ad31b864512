#!/usr/bin/env bash
# scripts/debian.sh PROGRAM PACKAGE: the path of a program. The one that is installed; else that of Debian's package,
# unpacked below .cache/ and not installed, so that no service starts and nothing of the machine changes. Its version
# is the release's.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
alone

PROGRAM=${1:?program}
PACKAGE=${2:?package}
FOLDER="$CACHE/debian/$PACKAGE"

if have "$PROGRAM"; then
  command -v "$PROGRAM"
  exit 0
fi
if [ ! -d "$FOLDER" ]; then
  if ! have apt-get || ! have dpkg-deb; then
    die "$PROGRAM is needed, and there is no apt-get here to get Debian's package $PACKAGE with: install it"
  fi
  # What the package needs and this machine lacks; without what is the same on every architecture (fonts, scripts for
  # a page), which no program needs to start.
  missing() {
    apt-get install --simulate --no-install-recommends "$PACKAGE" 2>/dev/null |
      awk '$1 == "Inst" && !/\[all\]/ { print $2 }'
  }
  packages=$(missing)
  if [ -z "$packages" ]; then
    as_root apt-get update -qq >&2 || die "apt's lists hold no package $PACKAGE, and apt-get update failed"
    packages=$(missing)
  fi
  [ -n "$packages" ] || die "Debian has no package $PACKAGE here"
  say "getting $PROGRAM from Debian's packages, unpacked below .cache/: $(printf '%s' "$packages" | tr '\n' ' ')"
  rm -rf "$FOLDER.part"
  mkdir -p "$FOLDER.part"
  # shellcheck disable=SC2086
  (cd "$FOLDER.part" && limited 300 apt-get download -qq $packages >download.log 2>&1) ||
    { tail -n 5 "$FOLDER.part/download.log" >&2; die "Debian's packages for $PROGRAM could not be downloaded"; }
  for archive in "$FOLDER.part"/*.deb; do
    dpkg-deb -x "$archive" "$FOLDER.part"
    rm "$archive"
  done
  mv "$FOLDER.part" "$FOLDER"
fi

WRAPPER="$FOLDER/run-$PROGRAM"
if [ ! -x "$WRAPPER" ]; then
  found=$(find "$FOLDER" -path "*bin/$PROGRAM" | head -n 1)
  [ -n "$found" ] || die "Debian's package $PACKAGE holds no program $PROGRAM"
  libraries=$(find "$FOLDER" -type d -path '*/lib/*-linux-gnu' | head -n 1)
  cat >"$WRAPPER" <<END
#!/bin/sh
LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" exec "$found" "\$@"
END
  chmod +x "$WRAPPER"
fi
"$WRAPPER" --version >/dev/null 2>&1 || die "$WRAPPER does not run: $("$WRAPPER" --version 2>&1 | head -n 1)"
echo "$WRAPPER"
