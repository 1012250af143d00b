#!/usr/bin/env bash
# Makes gen/ and docs/openapi.json from proto/.
set -euo pipefail
cd "$(dirname "$0")/.."
buf="npx -y @bufbuild/buf@1.75.0"
image=$(mktemp --suffix=.binpb)
trap 'rm -f "$image"' EXIT

$buf lint
$buf generate
$buf build --as-file-descriptor-set -o "$image"
go run ./internal/api/openapi/gen -in "$image" -out docs/openapi.json
