#!/usr/bin/env bash
# Makes the figures of docs/BENCHMARKS.md, one JSON file each, in bench-results/.
# Every run checks every message, connection and push, and fails if one is lost,
# repeated or reordered.
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
echo "== many connections"
if bin/skein bench connect --conns 50000 --check; then
  bin/skein bench connect --conns 50000 --hold 60s --rate 20000 --json "$out/connect-50000.json"
else
  echo "Skipped: this machine cannot hold 50,000 connections, for the reason above." >&2
fi
bin/skein bench connect --conns 15000 --hold 20s --rate 20000 --json "$out/connect-15000.json"
bin/skein bench connect --conns 5000 --hold 20s --tls --rate 5000 --json "$out/connect-tls.json"
echo "== more than the server can do"
bin/skein bench overload --json "$out/overload.json"
echo "== red envelopes, a tenth of the article's numbers"
bin/skein bench envelopes --conns 15000 --qps 30000 --issue 4000 --send 2000 --json "$out/envelopes.json" --report "$out/envelopes.html"
echo "== parts"
go test -run '^$' -bench . -benchtime 2s ./internal/wire ./internal/link ./internal/gateway
go test -run '^$' -bench Messages -benchtime 150000x ./internal/mailbox
