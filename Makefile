# Penstock. `make help` says what there is.
SHELL := /bin/bash
PRESET ?= release
BUILD := build/$(PRESET)
ROUNDS ?= 5
DIR ?= ../shared/data/mqtt_sequences
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup build web run test bench fuzz lint format docs clean mqtt-sequences crash-test interop-test

help: ## say what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what building, running and testing need
	@scripts/setup

$(BUILD)/build.ninja: CMakePresets.json
	@cmake --preset $(PRESET) $(CMAKE_FLAGS) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }

build: setup ## build everything (PRESET=dev|release|asan|tsan)
	@mkdir -p build
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@cmake --build --preset $(PRESET)
	@scripts/build_connector

web: setup ## build the page
	@scripts/build_web

run: build web ## start Penstock with its demo programme and print the address
	@exec scripts/run_demo $(BUILD)

test: build web ## build and run all tests
	@ctest --preset $(PRESET) --no-tests=error

bench: build ## all benchmarks against their peers, side by side
	@bench/run $(BUILD)

fuzz: setup ## run each fuzz target for FUZZ_SECONDS
	@mkdir -p build
	@cmake --preset fuzz >build/fuzz.log 2>&1 || { cat build/fuzz.log; exit 1; }
	@scripts/fuzz $(FUZZ_SECONDS)

lint: setup ## format, clang-tidy on changed files, include direction
	@scripts/lint

format: setup ## format the C++ code
	@git ls-files '*.h' '*.cpp' | xargs clang-format-19 -i

docs: setup ## check that documents and code agree
	@scripts/check_docs

mqtt-sequences: build ## MQTT conformance cases of DIR
	@tests/mqtt_sequences $(BUILD)/penstock $(DIR)

crash-test: build ## kill -9 under load, ROUNDS times; nothing acknowledged may be lost
	@tests/crash_test $(BUILD)/penstock $(ROUNDS)

interop-test: build ## peers of other makes side by side, killed at random, ROUNDS times; nothing lost, nothing twice (PEERS=a,b)
	@tests/interop/interop_test $(BUILD)/penstock $(ROUNDS)

clean: ## remove what was built
	@rm -rf build web/dist
