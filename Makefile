# `make serve` and `make test` need only Python 3.11 or newer and access to a package index.
PYTHON ?= python3
SET := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU && echo gpu || echo cpu)
SERVE_ENV := .venv
TRAIN_ENV := .venv-training
CLIENTS_ENV := .venv-clients
RAY_ENV := .venv-ray
# `make check-python` tests the service on another version of Python; the image has 3.13.
CHECK_PYTHON ?= python3.13
CHECK_ENV := .venv-$(notdir $(CHECK_PYTHON))
# One process more than cores, because many tests wait for a server; at most 4. The tests of a file run in the same
# one, because they share fixtures.
PROCESSES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null | awk '{ print ($$1 < 4) ? $$1 + 1 : 4 }')
# Every process has one thread for torch and numpy: more would wait for each other at every operation.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(TRAIN_ENV)/bin/pytest -n $(or $(PROCESSES),2) --dist loadfile --no-loadscope-reorder --durations 15
LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header $(LOCK_OPTIONS)

.PHONY: help serve setup setup-training test test-quick campaign lint format lock docs check-clients check-python check-ray check-deploy image clean
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

serve: setup ## Install the service into .venv and start it on FER_HOST:FER_PORT (127.0.0.1:8000; also PORT=9000)
	@exec $(if $(PORT),env FER_PORT=$(PORT)) $(SERVE_ENV)/bin/fer-service serve

setup: $(SERVE_ENV)/.installed-$(SET) $(SERVE_ENV)/.detector-tried ## Install the service into .venv

setup-training: $(TRAIN_ENV)/.installed ## Install training and test dependencies into .venv-training

test: setup-training ## Run all tests (COVERAGE=--cov also checks the coverage threshold, and takes a quarter longer)
	$(PYTEST) $(COVERAGE)

test-quick: setup-training ## Run only the unit tests that train no network
	$(PYTEST) -m "(service or training or docker or tools) and not trains"

campaign: setup-training ## Attack a service for fifteen minutes: damaged requests and videos, abuse, shutdown (CAMPAIGN="--rows idle")
	$(TRAIN_ENV)/bin/python -m tests.campaign $(CAMPAIGN)

lint: setup-training ## Check style, types and imports between packages
	$(TRAIN_ENV)/bin/ruff check
	$(TRAIN_ENV)/bin/ruff format --check
	$(TRAIN_ENV)/bin/mypy
	$(TRAIN_ENV)/bin/lint-imports

format: setup-training ## Fix style
	$(TRAIN_ENV)/bin/ruff check --fix
	$(TRAIN_ENV)/bin/ruff format

lock: ## Compile requirements/*.txt (needs uv; LOCK_OPTIONS=--upgrade updates versions)
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) pyproject.toml --extra otel --extra video -o requirements/cpu.txt
	$(LOCK) pyproject.toml --extra otel --extra video --extra gpu --override requirements/gpu-overrides.txt -o requirements/gpu.txt
	$(LOCK) pyproject.toml --extra otel --extra training --extra video --extra parquet --group test -o requirements/test.txt
	$(LOCK) pyproject.toml --extra otel --extra video --extra parquet --group service-test --constraint requirements/test.txt -o requirements/service-test.txt
	$(LOCK) pyproject.toml --extra otel --extra ray --extra video --constraint requirements/cpu.txt -o requirements/ray.txt
	$(LOCK) pyproject.toml --extra otel --extra ray --extra video --group ray-test -o requirements/ray-test.txt
	$(LOCK) --group pyproject.toml:clients -o requirements/clients.txt
	$(LOCK) pyproject.toml --extra training --constraint requirements/test.txt -o requirements/training.txt

check-clients: setup-training $(CLIENTS_ENV)/.installed ## Call a server with clients generated from the OpenAPI schema (npm for TypeScript) and with KServe's
	PATH="$(CURDIR)/$(CLIENTS_ENV)/bin:$(CURDIR)/$(CLIENTS_ENV)/node_modules/.bin:$$PATH" $(TRAIN_ENV)/bin/pytest -ra tests/clients

check-python: setup-training ## Test the service on another version of Python (CHECK_PYTHON=python3.13)
	test -x $(CHECK_ENV)/bin/python || $(TRAIN_ENV)/bin/uv venv --quiet --python "$$(command -v $(CHECK_PYTHON))" $(CHECK_ENV)
	$(TRAIN_ENV)/bin/uv pip install --quiet --python $(CHECK_ENV)/bin/python --require-hashes -r requirements/service-test.txt -r requirements/build.txt
	$(TRAIN_ENV)/bin/uv pip install --quiet --python $(CHECK_ENV)/bin/python --no-deps --no-build-isolation --editable .
	$(subst $(TRAIN_ENV),$(CHECK_ENV),$(PYTEST)) tests/service

check-ray: $(RAY_ENV)/.installed ## Test Ray on two real nodes, and Triton's client (some minutes)
	$(RAY_ENV)/bin/python -m pytest -ra tests/ray tests/docker/test_ray.py tests/service/cli/test_model.py tests/e2e/test_inference_clients.py

check-deploy: setup-training ## Check docker/ with kubernetes-validate and, if installed, promtool, kustomize and docker-compose
	$(TRAIN_ENV)/bin/uv pip install --quiet --python $(TRAIN_ENV)/bin/python --group deploy
	$(TRAIN_ENV)/bin/pytest -ra -m docker

image: ## Build the container image (SET=cpu or gpu; default: gpu if the host has an NVIDIA GPU)
	docker build --target $(SET) -t fer-service:$(SET) \
	  --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' service/fer_service/__init__.py) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	  --build-arg CREATED=$$(date -u +%Y-%m-%dT%H:%M:%SZ) $(BUILD_OPTIONS) .

docs: setup-training ## Update the generated tables in README.md and docs/
	$(TRAIN_ENV)/bin/python -m tools.reference_tables README.md docs/api.md docs/operations.md

clean: ## Remove environments and caches
	rm -rf $(SERVE_ENV) $(TRAIN_ENV) $(CLIENTS_ENV) $(RAY_ENV) $(CHECK_ENV) .mypy_cache .ruff_cache .pytest_cache .coverage

$(SERVE_ENV)/.installed-$(SET): requirements/$(SET).txt requirements/build.txt pyproject.toml
	$(call install,$(SERVE_ENV),requirements/$(SET).txt)

$(TRAIN_ENV)/.installed: requirements/test.txt requirements/build.txt pyproject.toml
	$(call install,$(TRAIN_ENV),requirements/test.txt)

$(RAY_ENV)/.installed: requirements/ray-test.txt requirements/build.txt pyproject.toml
	$(call install,$(RAY_ENV),requirements/ray-test.txt)

# Without npm the TypeScript client is not checked.
$(CLIENTS_ENV)/.installed: requirements/clients.txt requirements/build.txt
	@test -x $(CLIENTS_ENV)/bin/python || $(PYTHON) -m venv $(CLIENTS_ENV)
	$(TRAIN_ENV)/bin/uv pip install --quiet --python $(CLIENTS_ENV)/bin/python --require-hashes -r requirements/clients.txt
	npm install --silent --no-save --prefix $(CLIENTS_ENV) openapi-typescript@7 typescript@5 || echo "no npm: the TypeScript client is not checked"
	@touch $@

# One attempt; the setup succeeds without YuNet's weights, because the built-in detector needs no download.
$(SERVE_ENV)/.detector-tried: | $(SERVE_ENV)/.installed-$(SET)
	@$(SERVE_ENV)/bin/fer-service detector pull || echo "YuNet's weights could not be downloaded; the service uses its built-in detector. To retry: $(SERVE_ENV)/bin/fer-service detector pull"
	@touch $@

# $(1): environment folder; $(2): locked requirements file.
define install
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is required, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --require-hashes --compile-bytecode -r $(2)
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@
endef
