# make demo | make test | make check | make test-slow | make check-floors | make generate | make accept-contracts | make lock
SHELL  := bash
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
BIN    := .venv/bin
PROTOS := $(shell find protos -name '*.proto')
MANIFESTS := $(filter-out %/kustomization.yaml %.patch.yaml,$(wildcard deploy/kubernetes/*/*.yaml))
# What the client's own tests need beside the base of both distributions.
CLIENT_TESTS = $(addprefix tests/ratchet/,cli client decisions statistics transparency test_errors.py test_names.py)
CLIENT_TEST_NEEDS = hypothesis pymerkle pytest pytest-rerunfailures pytest-timeout pytest-xdist scikit-learn scipy
EVERYTHING := '.[lstm,report,dev]' './services[trainer,dask,postgres]'
GENERATED = find ratchet -name '*_pb2*' -not -path '*/__pycache__/*'

# One thread each, as in the workers of the trainer. A test of real processes that failed is run once more, and the
# summary says so: R.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadscope --reruns 1 -r R

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-store soak fuzz bench bench-check bench-gate bench-knowledge bench-learning bench-log bench-patterns bench-peer bench-real bench-reference bench-session check check-floors client-tests generate accept-contracts lock wheel clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

setup: .venv/installed ## create .venv with everything, pinned

.venv/installed: pyproject.toml services/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt $(patsubst %,--editable %,$(EVERYTHING))
	touch $@

demo: setup ## start the services, train on AAPL, show what was learned
	$(BIN)/ratchet demo

test: setup ## every test but the slow ones
	$(PYTEST) -m 'not slow'

test-slow: setup ## the long tests
	$(PYTEST) -m slow --timeout=1500

soak: setup ## load and faults for SOAK_SECONDS (600) from SOAK_SEED (1), and then what the log must be
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak --table docs/reliability/soak.md

fuzz: setup ## FUZZ_REQUESTS (100000) from FUZZ_SEED to every method, and then what must still hold; some minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --table docs/reliability/fuzz.md

test-store: setup ## the artifact store's tests, on RATCHET_TEST_S3='s3://bucket?endpoint=…' if that is set
	$(BIN)/python -m pytest tests/services/platform/artifacts

bench: setup ## what a user waits for or pays for, beside the bare limits: docs/performance.md; some ten minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.speed --write

bench-check: setup ## the ratios and counts of make bench that must hold on any machine
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.speed --check

bench-gate: setup ## the promotion policies by simulation; some minutes
	$(BIN)/python -m bench.gate

bench-knowledge: setup ## the rebuild of knowledge from 100,000 pattern facts; two minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.knowledge --table bench/results/knowledge.md

bench-learning: setup ## whole lineages on series with planted rules and without; under an hour, resumes
	$(BIN)/python -m bench.learning --table bench/results/learning.md

bench-patterns: setup ## the miner: planted rules recovered, noise kept, CPU; some minutes
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m bench.patterns --table bench/results/patterns.md

bench-peer: setup .venv-mlflow/installed ## MLflow, in an environment of its own, beside the registry at the same work
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.speed --only peer

.venv-mlflow/installed: bench/peers/mlflow.txt
	$(PYTHON) -m venv .venv-mlflow
	.venv-mlflow/bin/pip install --quiet --requirement bench/peers/mlflow.txt
	touch $@

bench-real: setup ## lineages on real series beside the baselines; an hour, resumes; RATCHET_DEV_DATA for more series
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.real --table bench/results/real.md

bench-reference: setup ## models, verdicts and forecasts of seeded sessions against a kept table; two minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.reference

bench-session: setup ## a session's CPU against the library fits, study and features in it
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.session --table bench/results/session.md

bench-log: setup ## a log of a million events, and lineages of 10,000 versions; some ten minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.log --table bench/results/log.md

check: setup ## style, types, contracts, generated code, import rules, deployment files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/buf breaking --against protos/accepted.binpb
	$(BIN)/hadolint --failure-threshold style deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/kubernetes-validate --strict --quiet --kubernetes-version 1.37 $(MANIFESTS)
	$(MAKE) --no-print-directory generate OUT=.generated
	@status=0; for file in $$( { $(GENERATED); cd .generated && $(GENERATED); } | sort -u); do \
	    cmp .generated/$$file $$file || status=1; done; rm -rf .generated; \
	    test $$status = 0 || { echo 'generated code is not that of protos/: run make generate'; exit 1; }

OUT := .
generate: .venv-gen/installed ## Python code from protos/, for the oldest supported protobuf and grpcio
	@mkdir -p $(OUT)
	@PATH="$(CURDIR)/.venv-gen/bin:$$PATH" .venv-gen/bin/python -m grpc_tools.protoc -I protos \
	    --python_out=$(OUT) --grpc_python_out=$(OUT) --mypy_out=quiet:$(OUT) --mypy_grpc_out=quiet:$(OUT) $(PROTOS)

.venv-gen/installed: protos/generator.txt
	$(PYTHON) -m venv .venv-gen
	.venv-gen/bin/pip install --quiet --requirement protos/generator.txt
	touch $@

check-floors: ## the client's tests on the oldest versions that pyproject.toml allows, and on the newest; some minutes
	$(MAKE) --no-print-directory client-tests ENVIRONMENT=.venv-floors CONSTRAINT='--constraint floors.txt'
	$(MAKE) --no-print-directory client-tests ENVIRONMENT=.venv-newest

client-tests:
	rm -rf $(ENVIRONMENT) && $(PYTHON) -m venv $(ENVIRONMENT)
	$(ENVIRONMENT)/bin/pip install --quiet $(CONSTRAINT) --editable . --editable ./services $(CLIENT_TEST_NEEDS)
	OMP_NUM_THREADS=1 $(ENVIRONMENT)/bin/python -m pytest -n 4 --reruns 1 -r R -m 'not slow' $(CLIENT_TESTS)

accept-contracts: setup ## protos/accepted.binpb from protos/; a breaking change needs BREAKING=1
	@test -n "$(BREAKING)" || test ! -f protos/accepted.binpb || $(BIN)/buf breaking --against protos/accepted.binpb \
	    || { echo 'this breaks the accepted contract; if that is meant: make accept-contracts BREAKING=1'; exit 1; }
	$(BIN)/buf build --exclude-source-info -o protos/accepted.binpb

lock: ## constraints.txt from the newest versions that both pyproject.toml allow
	rm -rf .lock && $(PYTHON) -m venv .lock
	.lock/bin/pip install --quiet $(EVERYTHING)
	.lock/bin/pip freeze --exclude ratchet-models --exclude ratchet-models-server > constraints.txt
	rm -rf .lock

wheel: setup ## dist/ratchet_models-*.whl and dist/ratchet_models_server-*.whl
	$(BIN)/python -m build --wheel --outdir dist .
	$(BIN)/python -m build --wheel --outdir dist services

clean: ## what make made
	rm -rf .venv .venv-floors .venv-gen .venv-mlflow .venv-newest .generated build dist *.egg-info
