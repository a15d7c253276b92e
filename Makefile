# The few commands a person needs. Each sets up what it lacks; nothing is installed into this folder.
.PHONY: help demo test bench attacks faults fairness fuzz restarts mutants lint fmt
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## see Slipway at work, with nothing but its own binary
	@tests/env/prerequisites demo
	cargo run --locked -- demo

test: ## all tests, against real servers that are started for them and stopped after
	@tests/env/prerequisites test
	tests/env/with cargo test --locked

bench: ## measure, against the same servers
	@tests/env/prerequisites test
	tests/env/with cargo bench --locked --profile bench-fast

faults: ## 200 seeded fault schedules against the same servers, two hours; SEEDS=17 for one, STEPS=0,3 for these steps of it
	@tests/env/prerequisites test
	SLIPWAY_FAULT_SEEDS=$(or $(SEEDS),1..200) SLIPWAY_FAULT_STEPS=$(STEPS) tests/env/with cargo test --locked --test it every_promise -- --nocapture

fairness: ## what senders of one namespace wait while the webhooks of others hang: a ratio, on a quiet machine
	@tests/env/prerequisites test
	tests/env/with cargo test --locked --test it a_sender_waits_no_longer -- --ignored --test-threads 1 --nocapture

fuzz: ## inputs that a fuzzer thinks of, for everything that reads what comes from outside; FUZZ_SECONDS=60 for each target, nightly Rust
	@tests/env/prerequisites demo
	tests/env/fuzz

restarts: ## 20 restarts of one of two replicas and a leader's death, under a sender that never repeats an event; three minutes
	@tests/env/prerequisites test
	tests/env/with cargo test --locked --test it twenty_restarts -- --ignored --nocapture

attacks: ## every attack that was found, all at once, on a release build, for two minutes: honest traffic and memory
	@tests/env/prerequisites test
	tests/env/with cargo test --locked --profile bench-fast --test it all_attacks -- --ignored --nocapture

mutants: ## plant small faults in the pure core and list those that no test notices; hours, SHARD=0/8 for a part
	@tests/env/mutants $(SHARD)

lint: ## what CI checks besides the tests
	.ci/run lint
	.ci/run deny

fmt: ## format the code
	cargo fmt
