# Gleaner: what there is to do here. `make` alone lists it.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ROUNDS := 100
SEED := 1
STORE := folder

.DEFAULT_GOAL := help

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) servers ## the virtual environment in .venv, the packages, and Mosquitto

$(READY): pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" deploy/setup/python.sh $(VENV)
	@touch $(READY)

servers: ## Mosquitto from the system's packages; MinIO too, where Go is (MINIO=1)
	@deploy/setup/servers.sh

demo: setup ## watch the whole loop run, about 75 seconds (ARGS="--json --seed 3")
	@$(BIN)/gleaner demo $(ARGS)

test: setup ## every test (ARGS="-k name" for some)
	@$(BIN)/pytest $(ARGS)

faults: setup ## break everything, lose nothing (ROUNDS=100 SEED=1 STORE=folder|minio ARGS="--no-mutants")
	@$(BIN)/python -m tests.faults --rounds $(ROUNDS) --seed $(SEED) --store $(STORE) $(ARGS)

lint: $(READY) ## style, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## put the code in the house's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## throughput of dataflow and ingest, and latency, as JSON lines (ARGS="--quick")
	@$(BIN)/python -m benchmarks.throughput $(ARGS)
	@$(BIN)/python -m benchmarks.ingest $(filter --quick,$(ARGS))
	@$(BIN)/python -m benchmarks.latency $(filter --quick,$(ARGS))

bench-drift: setup ## drift detection against other libraries: docs/benchmarks/drift.md (SEED=1 CLAIMS=D1,D3 QUICK=1)
	@$(BIN)/python -m benchmarks.drift --seed $(SEED) $(if $(CLAIMS),--claims $(CLAIMS)) $(if $(QUICK),--quick)

proto: $(READY) ## generate schemas/wire_pb2.py from schemas/wire.proto
	@$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. schemas/wire.proto

constraints: $(READY) ## pin the newest versions that fit, with hashes
	@$(BIN)/python -m piptools compile --quiet --all-extras --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-options --no-header --no-annotate --output-file constraints.new pyproject.toml
	@sed -e '/^# WARNING/d' -e '/^# Consider/d' -e '/^gleaner-edge @/d' constraints.new > constraints.txt && rm constraints.new

clean: ## remove what was built, not what was measured
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info

.PHONY: help setup servers demo test faults lint format bench bench-drift proto constraints clean
