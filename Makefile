# SPDX-License-Identifier: Apache-2.0
# A thin front on CMake.
#
#   make                   build/squeezebert and the libraries
#   make demo              builds, asks the models that ship, or where none does demo-import
#                          (./demo where there is no make yet);
#                          installs what is missing to build, gets nothing else
#   make demo-import       builds, gets MiniLM-L6 from the network, imports it, searches a text file
#                          by meaning, and leaves what README.md's commands use in build/demo
#   make check             builds with the tests, runs them (./check); installs what is missing
#   make check-sanitize    the tests under AddressSanitizer and UndefinedBehaviorSanitizer, the
#                          threads under ThreadSanitizer; a Debug build without warnings
#   make check-clang       the tests built by clang
#   make check-long        what takes too long for every change: 158,000 mutations of hostile input
#                          under sanitizers, kernels changed one place at a time (tools/mutate.py),
#                          check-cross and check-import
#   make check-cross       kernels and golden models on AArch64 (qemu) and as WebAssembly (Node)
#   make check-import PEERS=VENV   folders of every release of Transformers and
#                          Sentence-Transformers against both (tests/reference/import_compare.py);
#                          skipped where PEERS names no virtual environment
#   make models DATA=DIR [MODELS=...]   the models that ship, and their cards, made again from the
#                          data by models/recipes: at most two hours of two cores; on the way in
#                          WORK (build/models-made), where it goes on when it was stopped
#   make bench-peers PEERS=VENV    other engines on the same inputs (bench/peers/README.md says what
#                          VENV holds)
#   make bench [BENCH=...] every gemm of this machine at the shapes of the models, as a share of its
#                          peak; BENCH holds options of bench_gemm
#   make install PREFIX=DIR   headers, libraries, pkg-config and CMake files, the program,
#                          models and their cards; DESTDIR goes before PREFIX
#   make uninstall         removes what the last make install put there (the same DESTDIR)
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
# the build of the tests, and that of them for sanitizers
TESTED = -DSQZ_TESTS=ON -DSQZ_WERROR=ON
SANITIZED = -DSQZ_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSQZ_SANITIZE

all: configure
	@cmake --build $(BUILD) -j $(JOBS)

configure:
	@cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS)

dependencies:
	@tools/install_dependencies.sh

# where no model ships, a real one that is got from the network
demo: $(if $(wildcard models/*.gguf),demo-shipped,demo-import)

demo-shipped:
	@tools/install_dependencies.sh
	@$(MAKE) --no-print-directory all
	@tools/demo.sh $(BUILD)/squeezebert

demo-import:
	@tools/install_dependencies.sh python3-pip ca-certificates
	@$(MAKE) --no-print-directory all
	@tools/demo_import.sh $(BUILD)/squeezebert $(BUILD)/demo

check: dependencies
	@cmake -S . -B $(BUILD)/check $(TESTED) -DSQZ_BENCH=ON $(CMAKE_FLAGS)
	@cmake --build $(BUILD)/check -j $(JOBS)
	@ctest --test-dir $(BUILD)/check --output-on-failure

# tests that use threads, run under ThreadSanitizer as well
THREADED = threads context file_writer sessions head rewrite embedding_levers squeeze \
  encoder_grad trainer train_embedder training invariance
space := $(subst ,, )
check-sanitize: dependencies
	@cmake -S . -B $(BUILD)/asan $(SANITIZED)=address,undefined
	@cmake --build $(BUILD)/asan -j $(JOBS)
	@ctest --test-dir $(BUILD)/asan --output-on-failure
	@cmake -S . -B $(BUILD)/tsan $(SANITIZED)=thread
	@cmake --build $(BUILD)/tsan -j $(JOBS) \
	  --target $(THREADED:%=test_%)
	@ctest --test-dir $(BUILD)/tsan --output-on-failure \
	  -R '^(unit|golden)/test_($(subst $(space),|,$(THREADED)))$$'
	@cmake -S . -B $(BUILD)/debug $(TESTED) -DCMAKE_BUILD_TYPE=Debug
	@cmake --build $(BUILD)/debug -j $(JOBS)

check-long: dependencies check-cross check-import
	@cmake -S . -B $(BUILD)/asan $(SANITIZED)=address,undefined
	@cmake --build $(BUILD)/asan -j $(JOBS)
	@ctest --test-dir $(BUILD)/asan --output-on-failure -C Long -R '_long/'
	@cmake -S . -B $(BUILD)/check $(TESTED) $(CMAKE_FLAGS)
	@cmake --build $(BUILD)/check -j $(JOBS)
	@nice -n 19 python3 -B tools/mutate.py . $(BUILD)/check

CROSS_PACKAGES = gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user \
  libjansson-dev:arm64 zlib1g-dev:arm64 libcmocka-dev:arm64 \
  clang-14 llvm-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32 binaryen nodejs
check-cross:
	@tools/install_dependencies.sh $(CROSS_PACKAGES)
	@cmake -S . -B $(BUILD)/check $(TESTED) $(CMAKE_FLAGS)
	@cmake --build $(BUILD)/check -j $(JOBS) --target squeezebert_program
	@cmake --preset aarch64-static -B $(BUILD)/aarch64-static
	@cmake --build $(BUILD)/aarch64-static -j $(JOBS)
	@ctest --test-dir $(BUILD)/aarch64-static --output-on-failure -R '^(kernel|golden)/'
	@for cpu in cortex-a53 cortex-a76; do for test in f32 bf16 s8; do \
	  echo "$$cpu: test_gemm_$$test"; \
	  qemu-aarch64 -cpu $$cpu $(BUILD)/aarch64-static/tests/test_gemm_$$test \
	    >$(BUILD)/cross.log 2>&1 || { cat $(BUILD)/cross.log; exit 1; }; done; done
	@cmake --preset wasm -B $(BUILD)/wasm \
	  -DSQZ_HOST_PROGRAM=$(abspath $(BUILD))/check/squeezebert
	@cmake --build $(BUILD)/wasm -j $(JOBS)
	@ctest --test-dir $(BUILD)/wasm --output-on-failure
	@bytes=$$(wc -c <$(BUILD)/wasm/squeezebert.wasm); \
	  echo "squeezebert.wasm: $$bytes bytes, 400000 allowed"; test $$bytes -le 400000

check-import: dependencies
	@cmake -S . -B $(BUILD)/check $(TESTED) $(CMAKE_FLAGS)
	@cmake --build $(BUILD)/check -j $(JOBS) --target squeezebert_program squeezebert_full
	@if [ -f "$(PEERS)/env.sh" ]; then . "$(PEERS)/env.sh"; fi; \
	  if "$(PEERS)/bin/python" -c "import torch, transformers, sentence_transformers" \
	    2>/dev/null; then \
	    "$(PEERS)/bin/python" -B -W ignore tests/reference/import_compare.py \
	      --coverings 3 --jobs $(JOBS) \
	      $(BUILD)/check/squeezebert $(BUILD)/check/libsqueezebert-full.so; \
	  else echo "check-import: skipped: PEERS=VENV is to name a virtual environment with" \
	    "torch, transformers and sentence-transformers"; fi

check-clang: dependencies
	@cmake -S . -B $(BUILD)/clang $(TESTED) -DCMAKE_C_COMPILER=clang
	@cmake --build $(BUILD)/clang -j $(JOBS)
	@ctest --test-dir $(BUILD)/clang --output-on-failure

DATA ?= ../shared/data
ARGUMENTS ?=
bench-peers: all
	@test -x "$(PEERS)/bin/python" || { \
	  echo "PEERS=VENV is missing: a virtual environment with the other engines," \
	    "see bench/peers/README.md"; exit 1; }
	@if [ -f "$(PEERS)/env.sh" ]; then . "$(PEERS)/env.sh"; fi; \
	  "$(PEERS)/bin/python" -W ignore bench/peers/run.py --cache $(BUILD)/peers \
	    --data "$(DATA)" $(ARGUMENTS)

WORK ?= $(BUILD)/models-made
MODELS ?=
models: all
	@PROGRAM=$(BUILD)/squeezebert models/make.sh "$(DATA)" "$(WORK)" $(MODELS)

bench:
	@cmake -S . -B $(BUILD)/bench -DSQZ_BENCH=ON $(CMAKE_FLAGS)
	@cmake --build $(BUILD)/bench -j $(JOBS) --target bench_gemm
	@$(BUILD)/bench/bench/bench_gemm $(BENCH)

install: all
	@cmake --install $(BUILD)

uninstall:
	@test -f $(BUILD)/install_manifest.txt || { \
	  echo "$(BUILD)/install_manifest.txt is missing:" \
	    "it lists what make install installed"; exit 1; }
	@sed 's|^|$(DESTDIR)|' $(BUILD)/install_manifest.txt | xargs -d '\n' rm -f
	@sed 's|^|$(DESTDIR)|; s|/[^/]*$$||' $(BUILD)/install_manifest.txt | sort -u | \
	  sed -n '/\/squeezebert\(\/models\)\{0,1\}$$/p; s|/squeezebert/models$$|/squeezebert|p' | \
	  sort -ru | xargs -d '\n' rmdir
	@rm $(BUILD)/install_manifest.txt

clean:
	@rm -rf $(BUILD)

.PHONY: all configure dependencies demo demo-shipped demo-import check check-sanitize check-long \
  check-cross check-import check-clang bench bench-peers models install uninstall clean
