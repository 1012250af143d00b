#!/usr/bin/env bash
# The long runs: tens of thousands of simulated clusters, a chat whose server is
# killed again and again, nodes that are stopped or cut off for half a minute, and
# a Redis Cluster whose primaries are killed, and PostgreSQL likewise.
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${SEEDS:-20000}

go test ./internal/sim -timeout 3h -run TestSeeds -seeds="$seeds"
go test ./internal/sim/regions -timeout 3h -run TestSeeds -seeds="$((seeds / 2))"
go test ./internal/sim/standbys -timeout 3h -run TestSeeds -seeds="$((seeds / 4))"
go test ./internal/sim/rewinds -timeout 3h -run TestSeeds -seeds="$seeds"
TEST_CRASHES="${CRASHES:-100}" go test ./e2e -timeout 1h -run TestCrash -v
TEST_NEED_REDIS=1 TEST_FAULT_SECONDS="${FAULT_SECONDS:-30}" go test ./e2e -timeout 1h -run 'TestOneOfTwo|TestMailboxIsCutOff|TestMailboxRefuses|TestGatewayIs|TestOneOfSeveral|TestRollingRestart|TestRelaysOfTheirOwn' -v
TEST_NEED_REDIS=1 TEST_RECOVERY_TRIALS="${TRIALS:-20}" go test ./e2e -timeout 1h -run TestRecovery -v
TEST_NEED_REDIS=1 TEST_REDIS_TRIALS="${TRIALS:-20}" TEST_REDIS_REPLICAS="${REPLICAS:-1,-1,-2}" TEST_REDIS_AWAY="${AWAY:-4s}" \
    go test ./e2e -timeout 1h -run TestRedisPrimaryDies -v
TEST_NEED_REDIS=1 TEST_REDIS_TRIALS="${TRIALS:-20}" go test ./internal/store/redis -timeout 1h -run 'TestKilledPrimary|TestPausedPrimary|TestAllConfirm|TestElectableConfirm|TestReshardLongLogs' -v
TEST_NEED_POSTGRES=1 TEST_POSTGRES_TRIALS="${TRIALS:-20}" go test ./internal/store/postgres -timeout 1h -run 'TestKilledPrimary|TestPausedPrimary' -v
