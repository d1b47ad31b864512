#!/usr/bin/env bash
# Runs the scanners beside real parsers: json, orjson, pydantic, werkzeug and Starlette's python-multipart (versions in
# tests/differential/requirements.txt), and what this machine's Go and Node bring. One that is missing is a failure.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for tool in go node; do
  have "$tool" || die "no $tool on this machine: its parsers can't be tried"
done
scripts/venv.sh target/differential-env -r tests/differential/requirements.txt
go build -o target/differential-go tests/differential/parsers.go
scripts/cargo.sh host build --release --manifest-path tests/differential/scan/Cargo.toml --target-dir target/bench
say "differential: ${CASES:-20000} cases of each kind"
exec target/differential-env/bin/python tests/differential/run.py target/bench/release/differential-scan
