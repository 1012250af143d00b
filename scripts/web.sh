#!/usr/bin/env bash
# Makes web/admin/dist of its sources. With --check it only says whether dist is
# what was made of the sources that are there, which takes neither npm nor time.
set -euo pipefail
cd "$(dirname "$0")/../web/admin"

# The names and contents of what dist is made of, and of dist itself.
stamp() {
  {
    find src -type f -print
    ls index.html package.json package-lock.json tsconfig.json vite.config.ts
    find dist -type f ! -name stamp -print
  } | LC_ALL=C sort | xargs sha256sum
}

if [ "${1:-}" = --check ]; then
  stamp | cmp -s - dist/stamp && exit 0
  echo "web/admin/dist was not made of the sources that are there; commit what 'make web' makes." >&2
  exit 1
fi
npm ci --no-fund --no-audit
npm run build
stamp > dist/stamp
