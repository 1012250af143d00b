#!/usr/bin/env bash
# Runs the processes of an older version beside this one's, both ways and under load:
# mailbox and gateway, several nodes that are upgraded and taken back one after the
# other, two regions, a region and its standby.
#   scripts/mixed.sh COMMIT
set -euo pipefail
cd "$(dirname "$0")/.."
commit=${1:?the older commit or tag}
tree=$(mktemp -d)
trap 'git worktree remove --force "$tree/source"; rm -rf "$tree"' EXIT

git worktree add --detach "$tree/source" "$commit"
(cd "$tree/source" && go build -o "$tree/skein" ./cmd/skein)
MIXED_WITH=$tree/skein TEST_NEED_REDIS=1 go test ./e2e -count=1 -v -run '^TestMixedVersions$'
