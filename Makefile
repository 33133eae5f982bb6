# assay: the main job is `make run`, the tests are `make test`.
#
# GoMLX's matrix product needs GOEXPERIMENT=simd to be fast; nothing needs cgo.
export GOEXPERIMENT := simd
export CGO_ENABLED  := 0

GO          ?= go
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: run test lint bench verify build fuzz assets onnxruntime clean

run: build ## run the experiments of DPM-Solver++ at desk size
	./bin/assay run dpm-solver-pp

test: ## all tests
	$(GO) test ./...

lint: ## gofmt, vet, staticcheck
	@bad=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$bad" ]; then echo "gofmt: $$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

bench: ## benchmarks, and the kernels against their rivals alternately in one run
	$(GO) run ./internal/bench -out out/speed.md
	$(GO) test -run '^$$' -bench . -benchmem ./...

verify: build ## every conformance case
	./bin/assay verify

build:
	$(GO) build -trimpath -o bin/ ./cmd/assay

FUZZTIME ?= 10s
# At the end of its time go test sometimes takes its own deadline for a failure; one of
# the target names the input that it wrote.
fuzz: ## every fuzz target for FUZZTIME
	@set -e; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; \
	    $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg >"$$log" 2>&1 || { cat "$$log"; \
	      if ! grep -q 'context deadline exceeded' "$$log" || grep -q -e 'Failing input' -e panic "$$log"; then exit 1; fi; }; \
	    tail -n 1 "$$log"; \
	  done; \
	done

assets: ## the page's scripts and styles of others, and its tests', with npm
	$(GO) run ./internal/tools/assets

onnxruntime: ## fetch ONNX Runtime's library for this platform with npm
	$(GO) run ./internal/tools/onnxruntime

clean:
	rm -rf bin out
