# make run    builds Skein and starts it on the embedded store
# make test   runs every test, as CI does
# make help   lists the rest

GO      ?= go
BIN     := bin/skein
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUF     := npx -y @bufbuild/buf@1.75.0

.PHONY: run build test check generate web web-test fuzz soak bench clean help

run: build ## build, start everything on the embedded store, print addresses
	./$(BIN) serve $(ARGS)

build: ## build the one static binary, bin/skein
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/skein

test: ## every test under the race detector, and what check does
	./scripts/deps.sh
	./scripts/check.sh
	TEST_NEED_REDIS=1 TEST_NEED_POSTGRES=1 TEST_NEED_PROMETHEUS=1 TEST_NEED_SYSTEMD=1 $(GO) test -race -timeout 20m ./...
	$(GO) test ./internal/sim -run TestSeeds # 1,000 clusters; a tenth of them ran above, where each takes ten times as long
	$(GO) test ./internal/sim/standbys -run TestSeeds -seeds=100
	$(GO) test ./internal/sim/rewinds -run TestSeeds -seeds=500
	cd deploy/check && $(GO) test ./...

check: ## formatting, vet, staticcheck and generated files only
	./scripts/check.sh

generate: ## make gen/ and docs/openapi.json from proto/
	./scripts/generate.sh

web: ## make web/admin/dist from its sources
	./scripts/web.sh

web-test: build ## the dashboard in Chromium, at two sizes, in two languages and themes
	./scripts/web.sh
	cd web/admin && SKEIN=$(CURDIR)/bin/skein npm test

fuzz: ## every fuzzer for FUZZTIME (default 30s)
	./scripts/fuzz.sh $${FUZZTIME:-30s}

soak: ## the long runs: many simulator seeds, crashes during chat
	./scripts/soak.sh

bench: build ## the figures in docs/BENCHMARKS.md
	./scripts/bench.sh

clean:
	rm -rf bin .cache

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
