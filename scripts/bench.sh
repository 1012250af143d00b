#!/usr/bin/env bash
# Makes the figures of docs/BENCHMARKS.md, one JSON file each, in bench-results/.
# Every run checks every message, and fails if one is lost, repeated or
# reordered.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-bench-results}
mkdir -p "$out"

echo "== the article's experiment, and the store alone under the same changes"
bin/skein bench chat --with-store --json "$out/chat-tcp.json"
bin/skein bench chat --transport ws --json "$out/chat-ws.json"
bin/skein bench chat --transport http --users 200 --friends 10 --json "$out/chat-http.json"
echo "== open loop"
bin/skein bench chat --rate 2000 --duration 20s --json "$out/chat-2000.json"
bin/skein bench chat --rate 10000 --duration 20s --json "$out/chat-10000.json"
echo "== three devices each"
bin/skein bench chat --devices 3 --json "$out/chat-devices.json"
echo "== parts"
go test -run '^$' -bench . -benchtime 2s ./internal/wire ./internal/link ./internal/gateway
go test -run '^$' -bench Messages -benchtime 150000x ./internal/mailbox
