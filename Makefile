# make serve and make test do everything on a fresh machine that has Python 3.11 or newer and a package index.
PYTHON ?= python3
SET := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU && echo gpu || echo cpu)
SERVE_ENV := .venv
TRAIN_ENV := .venv-training
# Up to 4 processes; tests that share what was made for them run in the same one (tests/conftest.py).
PYTEST := $(TRAIN_ENV)/bin/pytest -n logical --maxprocesses 4 --dist loadgroup --no-loadscope-reorder --durations 15
LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header $(LOCK_OPTIONS)

.PHONY: help serve setup setup-training test test-quick lint format lock docs check-deploy image clean
help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

serve: setup ## install what serving needs, and serve on FER_HOST:FER_PORT (127.0.0.1:8000)
	@exec $(SERVE_ENV)/bin/fer-service serve

setup: $(SERVE_ENV)/.installed-$(SET) $(SERVE_ENV)/.detector-tried ## only install what serving needs

setup-training: $(TRAIN_ENV)/.installed ## only install what training and the tests need

test: setup-training ## run every test, with the coverage gate
	$(PYTEST) --cov --cov-report=term

test-quick: setup-training ## run the unit tests that train no network
	$(PYTEST) -m "(service or training or docker or tools) and not trains"

lint: setup-training ## check style, types and the packages' imports
	$(TRAIN_ENV)/bin/ruff check
	$(TRAIN_ENV)/bin/ruff format --check
	$(TRAIN_ENV)/bin/mypy
	$(TRAIN_ENV)/bin/lint-imports

format: setup-training ## fix style
	$(TRAIN_ENV)/bin/ruff check --fix
	$(TRAIN_ENV)/bin/ruff format

lock: ## compile requirements/*.txt anew (needs uv; LOCK_OPTIONS=--upgrade takes newer versions)
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) pyproject.toml --extra otel --override requirements/cpu-overrides.txt -o requirements/cpu.txt
	$(LOCK) pyproject.toml --extra otel --extra cuda -o requirements/gpu.txt
	$(LOCK) pyproject.toml --extra otel --extra training --extra video --group test --override requirements/cpu-overrides.txt -o requirements/test.txt
	$(LOCK) pyproject.toml --extra training --override requirements/cpu-overrides.txt --constraint requirements/test.txt -o requirements/training.txt

check-deploy: setup-training ## check docker/ with kubernetes-validate, and promtool, kustomize and docker-compose where there
	$(TRAIN_ENV)/bin/uv pip install --quiet --python $(TRAIN_ENV)/bin/python --group deploy
	$(TRAIN_ENV)/bin/pytest -ra -m docker

image: ## build the container image of this host (SET=cpu or gpu; BUILD_OPTIONS=--build-arg DETECTOR=own)
	docker build --target $(SET) -t fer-service:$(SET) \
	  --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' service/fer_service/__init__.py) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	  --build-arg CREATED=$$(date -u +%Y-%m-%dT%H:%M:%SZ) $(BUILD_OPTIONS) .

docs: setup-training ## write the tables of docs/operations.md anew
	$(TRAIN_ENV)/bin/python -m tools.reference_tables docs/operations.md

clean: ## remove the environments and caches
	rm -rf $(SERVE_ENV) $(TRAIN_ENV) .mypy_cache .ruff_cache .pytest_cache .coverage

$(SERVE_ENV)/.installed-$(SET): requirements/$(SET).txt requirements/build.txt pyproject.toml
	$(call install,$(SERVE_ENV),requirements/$(SET).txt)

$(TRAIN_ENV)/.installed: requirements/test.txt requirements/build.txt pyproject.toml
	$(call install,$(TRAIN_ENV),requirements/test.txt)

# Once, and whatever comes of it: without YuNet's weights our own detector finds the faces, fewer of them.
$(SERVE_ENV)/.detector-tried: | $(SERVE_ENV)/.installed-$(SET)
	@$(SERVE_ENV)/bin/fer-service detector pull || echo "going on without YuNet's weights"
	@touch $@

# $(1): the environment; $(2): its locked requirements.
define install
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --require-hashes --compile-bytecode -r $(2)
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@
endef
