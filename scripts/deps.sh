#!/usr/bin/env bash
# Installs what the tests need beyond Go, where it is missing: a C compiler for
# the race detector, npm for the schema tools, a Redis server, PostgreSQL and
# Prometheus, which tests start on ports and in directories of their own, and
# systemd-analyze, which looks at the services in deploy/systemd.
set -euo pipefail

missing=()
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v npx >/dev/null || missing+=(npm)
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing+=(redis-server)
command -v pg_rewind >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/pg_rewind' >/dev/null || missing+=(postgresql)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v prometheus >/dev/null && command -v promtool >/dev/null || missing+=(prometheus)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "Please install: ${missing[*]}" >&2
  exit 1
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "Installing ${missing[*]} ..."
$sudo apt-get update -q
# In run level 1 no service is started: of these, nobody wants one.
$sudo env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}"
