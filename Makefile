# make help tells what there is.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --disable-pip-version-check --quiet
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo check test soak bench bench-store format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) ## make the virtual environment, with pinned versions

$(STAMP): pyproject.toml constraints.txt
	@.ci/need '$(PYTHON) -c "import ensurepip"' python3-venv
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --requirement constraints.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

demo: setup ## start the real process, send it real log lines, and show what to try
	$(BIN)/hoptrail demo $(ARGS)

check: setup ## format, lint, types, import laws
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup ## every test but the soak; installs HAProxy where it is missing and may be
	@.ci/need 'PATH=$$PATH:/usr/sbin haproxy -v' haproxy
	@.ci/need 'java -version && mvn -v' maven || echo 'without a JVM and Maven the Kafka tests run on Tansu'
	@.ci/unpacked 'ls /usr/sbin/rsyslogd /usr/lib/*/rsyslog/omkafka.so' $(VENV)/debian/rsyslog rsyslog rsyslog-kafka || true
	@.ci/unpacked 'ls /usr/sbin/syslog-ng /usr/lib/syslog-ng/*/libkafka.so' $(VENV)/debian/syslog-ng syslog-ng-core syslog-ng-mod-rdkafka || true
	$(BIN)/pytest -m 'not soak' $(ARGS)

soak: setup ## what is too long for `make test`
	@.ci/need 'PATH=$$PATH:/usr/sbin haproxy -v' haproxy
	@.ci/need 'java -version && mvn -v' maven || echo 'without a JVM and Maven the Kafka tests run on Tansu'
	$(BIN)/pytest -m soak --timeout 3600 $(ARGS)

bench: setup ## print what README and ARCHITECTURE claim about speed and memory
	@for bench in benchmarks/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

bench-store: setup ## questions to a store of ten million lineages while it is written to (ROWS=…)
	ROWS=$${ROWS:-10000000} $(BIN)/python benchmarks/bench_store.py

format: setup ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the environment and all caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
