#!/usr/bin/env bash
# Runs every fuzzer for the time given, one after the other. An input that covers
# something new is made smaller for five seconds at most: by default it is a minute,
# in which nothing else is tried.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}

grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
  pkg=$(dirname "$file")
  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | sed 's/^func //' | while read -r name; do
    echo "== $pkg $name"
    go test "$pkg" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 5s
  done
done
