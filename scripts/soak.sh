#!/usr/bin/env bash
# Runs bench/soak for SOAK_MINUTES with the module of HOST.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

exec .venv/bin/python bench/soak
