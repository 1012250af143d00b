#!/usr/bin/env bash
# Formatting, vet, staticcheck, and generated files that match their sources.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
  echo "Run gofmt -w on:" >&2
  echo "$unformatted" >&2
  exit 1
fi
go vet ./...
go tool staticcheck ./...

generated=(gen docs/openapi.json)
before=$(cat $(git ls-files "${generated[@]}") | sha256sum)
./scripts/generate.sh
after=$(cat $(git ls-files "${generated[@]}") | sha256sum)
if [ "$before" != "$after" ]; then
  echo "Generated files were out of date; commit what 'make generate' made." >&2
  git --no-pager diff --stat -- "${generated[@]}" >&2
  exit 1
fi
