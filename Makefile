# make demo · make test · make test-vm · make check · make bench; `make help` says what each does.

CARGO ?= cargo
# Tests are always built for the whole workspace: a single crate would have its dependencies built anew, with fewer features.
.DEFAULT_GOAL := help
.PHONY: help deps demo test test-vm check bench fuzz fmt

help: ## says what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

deps: ## installs the Debian packages that are missing
	@scripts/install-deps test

demo: deps ## runs the main job: a device enrols, earns trust, is tampered with and is denied (KEEP=1 leaves it running)
	@$(CARGO) build --release --locked
	@KEEP=$(KEEP) scripts/demo

test: deps ## runs all tests
	@$(CARGO) test --locked --workspace

test-vm: deps ## runs all tests on a machine that boots measured, under emulation: some ten seconds a boot
	@$(CARGO) test --locked --workspace --no-run
	@VOUCHSAFE_GUEST_REQUIRED=1 $(CARGO) test --locked --workspace --test vm -- --include-ignored --test-threads 1

check: deps ## runs what CI runs besides the tests: formatting, lints, docs, layers, a short fuzzing
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet
	@$(CARGO) test --locked --quiet --workspace --test layers
	@fuzz/run 5

bench: deps ## prints the figures that we promise, one JSON line each
	@scripts/bench

fuzz: ## fuzzes every decoder for ten minutes each
	@fuzz/run 600

fmt: ## formats the code
	@$(CARGO) fmt --all
