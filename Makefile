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

FUZZTIME  ?= 10s
FUZZBUILD ?= -fuzz=. # guided by what is covered, for which everything is compiled once more
# At the end of its time a fuzz target sometimes takes its own deadline for a failure; one
# that failed names the input that it wrote.
fuzz: ## every fuzz target for FUZZTIME
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	for dir in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n 1 dirname | sort -u); do \
	  $(GO) test -c $(FUZZBUILD) -o "$$tmp/fuzz.test" "./$$dir"; \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | cut -c 6-); do \
	    echo "$$dir $$f"; \
	    (cd "$$dir" && "$$tmp/fuzz.test" -test.run '^$$' -test.fuzz "^$$f$$" -test.fuzztime $(FUZZTIME) -test.fuzzcachedir "$$tmp/cache") >"$$tmp/log" 2>&1 || \
	      if ! grep -q 'context deadline exceeded' "$$tmp/log" || grep -q -e 'Failing input' -e panic "$$tmp/log"; then cat "$$tmp/log"; exit 1; fi; \
	    grep elapsed "$$tmp/log" | tail -n 1; \
	  done; \
	done

onnxruntime: ## fetch ONNX Runtime's library for this platform with npm
	$(GO) run ./internal/tools/onnxruntime

clean:
	rm -rf bin out
