#!/usr/bin/env bash
# The long runs: tens of thousands of simulated clusters, and a chat whose
# server is killed again and again.
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${SEEDS:-20000}

go test ./internal/sim -timeout 3h -run TestSeeds -seeds="$seeds"
SKEIN_CRASHES="${CRASHES:-100}" go test ./e2e -timeout 1h -run TestCrash -v
