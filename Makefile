# Everything sets itself up in .venv. What a target needs besides Python, git and make is said where it is.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
ARGS ?=

.PHONY: help demo test test-fast soak check format bench bench-detect bench-correlate bench-normalize bench-peers servers clean

help:            ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 16

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/installed     ## the whole pipeline on shipped samples
	$(BIN)/samlog demo

test: .venv/installed-dev ## all tests that this machine can run; with Java and Maven also on real servers
	$(PYTEST) -m "not soak" $(ARGS)

test-fast: .venv/installed-dev ## seconds; no servers
	$(PYTEST) -m "not soak and not slow and not kafka and not elasticsearch" -x -q $(ARGS)

soak: .venv/installed-dev ## the long fault and fuzz runs (hours)
	SAMLOG_FUZZ=1000000 SAMLOG_TEST_PAIRS=500000 SAMLOG_TEST_ONE_MANY_EVENTS=100000 $(PYTEST) --timeout 36000 -m "soak or fuzz" $(ARGS)
	SAMLOG_TEST_EVENTS=50233 SAMLOG_TEST_RULES=. $(PYTEST) tests/e2e/test_whole_path.py tests/e2e/test_on_servers.py $(ARGS)
	SAMLOG_ROUNDS=20 SAMLOG_SERVER_ROUNDS=10 $(PYTEST) tests/e2e/test_kill.py $(ARGS)

check: .venv/installed-dev ## style, types, repeated blocks, generated references fresh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/check_repetition.py
	$(BIN)/python tools/references.py --check

format: .venv/installed-dev ## ruff format, and references written anew
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python tools/references.py

bench: .venv/installed-dev ## events/s of every stage and of the whole path, with ratios
	$(BIN)/python -m benchmarks $(ARGS)

bench-detect: .venv/installed-dev .venv-peers/installed ## the Sigma engine beside rsigma (if on the PATH) and zargunlite
	$(BIN)/python -m benchmarks.detect_peers --zargunlite .venv-peers/bin/python $(ARGS)

bench-correlate: .venv/installed-dev ## matches/s of every type of correlation
	$(BIN)/python -m benchmarks.correlate $(ARGS)

bench-normalize: .venv/installed-dev ## events/s of the parsers beside the floor of reading and writing JSON
	$(BIN)/python -m benchmarks.normalize $(ARGS)

bench-peers: .venv/installed-dev .venv-peers-logprep/installed ## normalize and detect beside Logprep on a Kafka (Java, Maven, Linux)
	$(BIN)/python -m benchmarks.peers --logprep .venv-peers-logprep/bin/python $(ARGS)

.venv-peers/installed:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet zargunlite==0.1.3 pySigma-backend-sqlite==2.1.1
	touch $@

.venv-peers-logprep/installed:
	$(PYTHON) -m venv .venv-peers-logprep
	.venv-peers-logprep/bin/pip install --quiet logprep==21.1.0
	touch $@

servers: .venv/installed ## a Kafka and an Elasticsearch to try things on (Java and Maven)
	$(BIN)/python -m samlog.servers

clean:           ## removes the virtual environment and caches
	rm -rf .venv .venv-peers .venv-peers-logprep .mypy_cache .ruff_cache .pytest_cache .hypothesis
