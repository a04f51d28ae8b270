# The front door. `make` lists what it can do.
PRESET ?= dev
JOBS   ?= $(shell nproc)
FOR    ?= 1m
FUZZ_SECONDS ?= 60
CTEST_ARGS ?=
export GANTRY_TEST_DATA ?= $(abspath $(CURDIR)/../shared/data)

.DEFAULT_GOAL := help
.PHONY: help setup build demo test release format format-check tidy asan tsan fuzz soak docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: ## Install what is missing (apt as root or through sudo, OpenVINO into .deps/)
	@tools/setup test

build: ## Build the gantry program (build/dev/gantry)
	@tools/setup build
	cmake --preset $(PRESET) -DGANTRY_ENABLE_TESTS=OFF
	cmake --build --preset $(PRESET) -j $(JOBS)

demo: build ## Watch a simulated junction with four cameras (FOR=30s ends it then)
	build/$(PRESET)/gantry demo --for $(FOR)

test: setup ## Install, build and run every test this machine can run
	cmake --preset $(PRESET) -DGANTRY_ENABLE_TESTS=ON
	cmake --build --preset $(PRESET) -j $(JOBS)
	ctest --preset $(PRESET) -j $(JOBS) $(CTEST_ARGS)

release: setup ## Build the release preset, warnings as errors
	cmake --preset release
	cmake --build --preset release -j $(JOBS)

asan: setup ## Run the tests under AddressSanitizer and UBSan
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS)
	ctest --preset asan -j $(JOBS) $(CTEST_ARGS)

tsan: setup ## Run the tests under ThreadSanitizer
	cmake --preset tsan
	cmake --build --preset tsan -j $(JOBS)
	ctest --preset tsan -j $(JOBS) $(CTEST_ARGS)

fuzz: ## Run every libFuzzer target for FUZZ_SECONDS (60); what it learns stays in build/fuzz/corpus
	@tools/setup fuzz
	cmake --preset fuzz
	cmake --build --preset fuzz -j $(JOBS) --target fuzz/all
	@set -e; for target in build/fuzz/fuzz/*/fuzz_*; do \
	  [ -f $$target ] || continue; \
	  corpus=build/fuzz/corpus/$${target##*/}; mkdir -p $$corpus; \
	  echo "$$target for $(FUZZ_SECONDS) s"; \
	  $$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -verbosity=0 -print_funcs=0 -artifact_prefix=$$corpus- $$corpus; \
	done

soak: setup ## Run the long forms: live cameras for five minutes, 10,000 s of simulated traffic
	cmake --preset $(PRESET) -DGANTRY_ENABLE_TESTS=ON
	cmake --build --preset $(PRESET) -j $(JOBS)
	tools/soak 300 build/$(PRESET)
	tools/server-soak 1000 100 build/$(PRESET)
	tools/load-server build/$(PRESET)/gantry 30 2000 50
	python3 tests/server/security_test.py build/$(PRESET)/gantry 10000
	GANTRY_SCENE_SECONDS=10000 ctest --preset $(PRESET) -R NoTwoSolidVehiclesOverlap --timeout 3600
	GANTRY_PROPERTY_EVENTS=1000000 ctest --preset $(PRESET) -R PolicyProperty --timeout 3600

docs: build ## Write the generated pages anew (configuration, example, metrics)
	build/$(PRESET)/gantry config reference > docs/configuration.md
	build/$(PRESET)/gantry config example > examples/gantry.yaml
	build/$(PRESET)/gantry metrics > docs/metrics.md

format: ## Format every C++ and CUDA file
	@git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs clang-format -i

format-check: ## Fail if a file is not formatted
	@git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs clang-format --dry-run --Werror

tidy: ## Run clang-tidy over the dev build
	@git ls-files 'src/*.cpp' | xargs -P $(JOBS) -n 4 clang-tidy -p build/dev --quiet

clean: ## Remove the build folders (dependencies stay)
	rm -rf build
