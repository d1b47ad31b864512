#!/usr/bin/env bash
# Runs the scanners beside real parsers. Of Python: json, orjson, pydantic, werkzeug, Starlette's python-multipart, aiohttp
# (tests/differential/requirements.txt). Of Node: JSON.parse and fetch as they come with it, busboy and formidable
# (package-lock.json). Of Rust: serde_json (Cargo.lock). Of Go: encoding/json and mime/multipart. Of Java: Jackson and Tomcat's
# fileupload, as Debian packages them. One that is missing is a failure.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

JARS=/usr/share/java
java_ready() {
  have javac && [ -e $JARS/jackson-databind.jar ] && [ -e $JARS/tomcat10-coyote.jar ]
}

for tool in go node npm; do
  have "$tool" || die "no $tool on this machine: its parsers can't be tried"
done
if ! java_ready; then
  packages="libjackson2-databind-java libtomcat10-java"
  have javac || packages="default-jdk-headless $packages"
  # shellcheck disable=SC2086
  apt_install $packages || true
  java_ready || die "Jackson and Tomcat can't be tried; on Debian: apt-get install $packages"
fi
DIFFERENTIAL_JARS=$(printf "$JARS/%s.jar:" jackson-databind jackson-core jackson-annotations tomcat10-coyote tomcat10-api \
  tomcat10-util tomcat10-juli tomcat10-servlet-api)
export DIFFERENTIAL_JARS
scripts/node-env.sh tests/differential
scripts/venv.sh target/differential-env -r tests/differential/requirements.txt
go build -o target/differential-go tests/differential/parsers.go
scripts/cargo.sh host build --release --manifest-path tests/differential/scan/Cargo.toml --target-dir target/bench
say "differential: ${CASES:-20000} cases of each kind"
exec target/differential-env/bin/python tests/differential/run.py target/bench/release/differential-scan
