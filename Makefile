# The few commands a person needs. Each sets up what it lacks; nothing is installed into this folder.
.PHONY: help demo test node rollouts image release bench attacks faults fairness fuzz kills restarts mutants pictures lint fmt
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## see Slipway at work, with nothing but its own binary
	@tests/env/prerequisites demo
	cargo run --locked -- demo

test: ## all tests, against real servers that are started for them and stopped after
	@tests/env/prerequisites test
	tests/env/with tests/env/suite
	@$(MAKE) --no-print-directory node

node: ## the chart on a real node (kubelet, containerd, …) in namespaces of its own, as root; part of `make test`; EVENTS=100 for the figure
	SLIPWAY_EVENTS=$(or $(EVENTS),20) tests/env/node/with cargo test --locked --test it node:: -- --ignored --test-threads 1 --nocapture

rollouts: ## twenty rollouts on a real node under ten events a second, as root; ROLLOUTS=50 for more
	SLIPWAY_ROLLOUTS=$(or $(ROLLOUTS),20) tests/env/node/with cargo test --locked --test it rollouts_and_drains -- --ignored --nocapture

bench: ## measure, against the same servers
	@tests/env/prerequisites test
	tests/env/with cargo bench --locked

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

kills: ## sixty schedules, two replicas and 200 kills, 20 s apart; over an hour, KILLS=30 for less
	@tests/env/prerequisites test
	SLIPWAY_KILLS=$(or $(KILLS),200) tests/env/with cargo test --locked --test it sixty_schedules -- --nocapture

attacks: ## every attack that was found, all at once, on a release build, for two minutes: honest traffic and memory
	@tests/env/prerequisites test
	tests/env/with cargo test --locked --release --test it all_attacks -- --ignored --nocapture

image: ## the image of the chart, by docker, podman or buildah; NAME=REGISTRY/slipway:0.1.0, FILE=image.tar for an archive
	.ci/image "$(NAME)" "$(FILE)"

release: ## binaries, packaged chart, archive of the image and checksums, in release-VERSION; ARCHITECTURES=amd64 for one binary
	.ci/release

mutants: ## plant small faults in the pure core and list those that no test notices; hours, SHARD=0/8 for a part
	@tests/env/mutants $(SHARD)

pictures: ## the pictures of the README, of a busy shop on this machine; five minutes
	@tests/env/prerequisites test
	SLIPWAY_PAGE_PICTURES=$(CURDIR)/docs cargo test --locked --test it pictures_of_a_busy_shop -- --ignored
	@rm -f docs/page-*-*.png

lint: ## what CI checks besides the tests
	.ci/run lint
	.ci/run deny

fmt: ## format the code
	cargo fmt
