#!/usr/bin/env bash
# Keeps what a release leaves to the next ones, in testdata/releases/NAME: its
# stores, its links byte for byte, its protocol.
#   scripts/fixtures.sh NAME COMMIT
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?the release, such as 0.1} commit=${2:?its commit or tag}
to=$PWD/testdata/releases/$name
[ ! -e "$to" ] || { echo "$to is there; what releases left is never changed" >&2; exit 1; }
tree=$(mktemp -d)
trap 'git worktree remove --force "$tree/source"; rm -rf "$tree"' EXIT

git worktree add --detach "$tree/source" "$commit"
(cd "$tree/source" && go build -o "$tree/skein" ./cmd/skein)
mkdir -p "$to"
npx -y @bufbuild/buf@1.75.0 build "$tree/source" --exclude-source-info --as-file-descriptor-set -o - | gzip -9n >"$to/schema.gz"
RECORD_RELEASE=$tree/skein RECORD_TO=$to go test ./e2e -count=1 -run '^TestRecordRelease$'
du -sh "$to"
