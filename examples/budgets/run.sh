#!/usr/bin/env bash
# make budgets: installs what the example needs (Redis from Debian, the rate limit service from its Go module, Envoy, the
# module), starts it and tries it. STAY=1 leaves it up.
exec "$(dirname "$0")/../../scripts/run.sh" examples/budgets/run.py
