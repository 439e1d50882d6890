# SPDX-License-Identifier: Apache-2.0
# A thin front on CMake.
#
#   make                   build/squeezebert and the libraries
#   make demo              installs what is missing, builds, gets a real model and searches a text file by meaning
#   make check             installs what is missing, builds with the tests, runs them
#   make check-sanitize    the tests under AddressSanitizer and UndefinedBehaviorSanitizer, and the threads under ThreadSanitizer
#   make check-long        what takes too long for every change: 100,000 mutations of hostile input under sanitizers
#   make check-clang       the tests built by clang
#   make bench-peers PEERS=VENV   other engines on the same inputs (bench/peers/README.md says what VENV holds)
#   make bench             every gemm of this machine at the shapes of the models, as a share of the machine's peak
#   make install PREFIX=…  headers, libraries, pkg-config and CMake files, the program
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

all: configure
	@cmake --build $(BUILD) -j $(JOBS)

configure:
	@cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS)

dependencies:
	@tools/install_dependencies.sh

demo:
	@tools/install_dependencies.sh python3-pip
	@$(MAKE) --no-print-directory all
	@tools/demo.sh $(BUILD)

check: dependencies
	@cmake -S . -B $(BUILD)/check -DSQZ_TESTS=ON -DSQZ_WERROR=ON $(CMAKE_FLAGS)
	@cmake --build $(BUILD)/check -j $(JOBS)
	@ctest --test-dir $(BUILD)/check --output-on-failure

check-sanitize: dependencies
	@cmake -S . -B $(BUILD)/asan -DSQZ_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSQZ_SANITIZE=address,undefined
	@cmake --build $(BUILD)/asan -j $(JOBS)
	@ctest --test-dir $(BUILD)/asan --output-on-failure
	@cmake -S . -B $(BUILD)/tsan -DSQZ_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSQZ_SANITIZE=thread
	@cmake --build $(BUILD)/tsan -j $(JOBS) --target test_threads test_invariance
	@ctest --test-dir $(BUILD)/tsan --output-on-failure -R 'test_threads|test_invariance'

check-long: dependencies
	@cmake -S . -B $(BUILD)/asan -DSQZ_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSQZ_SANITIZE=address,undefined
	@cmake --build $(BUILD)/asan -j $(JOBS)
	@ctest --test-dir $(BUILD)/asan --output-on-failure -C Long -R '_long/'
	@cmake -S . -B $(BUILD)/check -DSQZ_TESTS=ON -DSQZ_WERROR=ON $(CMAKE_FLAGS)
	@cmake --build $(BUILD)/check -j $(JOBS)
	@nice -n 19 python3 -B tools/mutate.py . $(BUILD)/check

check-clang: dependencies
	@cmake -S . -B $(BUILD)/clang -DSQZ_TESTS=ON -DSQZ_WERROR=ON -DCMAKE_C_COMPILER=clang
	@cmake --build $(BUILD)/clang -j $(JOBS)
	@ctest --test-dir $(BUILD)/clang --output-on-failure

DATA ?= ../shared/data
ARGUMENTS ?=
bench-peers: all
	@test -x "$(PEERS)/bin/python" || { echo "PEERS=VENV is missing: a virtual environment with the other engines, see bench/peers/README.md"; exit 1; }
	@if [ -f "$(PEERS)/env.sh" ]; then . "$(PEERS)/env.sh"; fi; "$(PEERS)/bin/python" -W ignore bench/peers/run.py --cache $(BUILD)/peers --data "$(DATA)" $(ARGUMENTS)
bench:
	@cmake -S . -B $(BUILD)/bench -DSQZ_BENCH=ON $(CMAKE_FLAGS)
	@cmake --build $(BUILD)/bench -j $(JOBS) --target bench_gemm
	@$(BUILD)/bench/bench/bench_gemm $(BENCH)

install: all
	@cmake --install $(BUILD)

clean:
	@rm -rf $(BUILD)

.PHONY: all configure dependencies demo check check-sanitize check-long check-clang bench bench-peers install clean
