# make run         train on the bundled shop data, show the report, then search and recommend from a live server
# make test        every test
# make test-quick  every test but those marked slow
# make check       lint, format and types, as the tests' machine checks them
# make env         only the virtual environment
# make lock        the lock files anew, from requirements/*.in
# make soak        ten minutes of load, new versions, faults and malformed requests against one server (SECONDS=600)
# make bench       latency and throughput of the last run's model, of larger catalogues and of a peer
# make shots       screenshots of the page of `tandem web`, into build/screenshots
# make clean       remove what the set-up and the runs made
#
# DATASET=path/to/folder  runs on other data.   PYTHON=/usr/bin/python3.12  chooses the Python.

DATASET ?= samples/online_retail
WORKDIR ?= runs/$(notdir $(DATASET:%/=%))
VENV ?= .venv
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& echo $$python && break; done)

BIN = $(VENV)/bin

.PHONY: run test test-quick check env lock soak bench shots clean

run: env
	$(BIN)/tandem run $(DATASET) --workdir $(WORKDIR)
	$(BIN)/tandem demo $(DATASET) --workdir $(WORKDIR)

test: env
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-quick: env
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

check: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

env:
	@test -n "$(PYTHON)" || { echo "Tandem needs Python 3.11 or 3.12, and neither is on the PATH; name one, as in: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) bootstrap/setup_env.py --venv $(VENV)
	@$(BIN)/python -m models.pretrained

# A later glibc than the project needs: two wheels are tagged so, and the set-up repairs them where it must.
lock: env
	for python in 3.11 3.12; do \
		$(BIN)/uv pip compile --quiet --generate-hashes --custom-compile-command "make lock" \
			--python-version $$python --python-platform x86_64-manylinux_2_40 \
			--output-file requirements/lock-$$python.txt requirements/requirements.in requirements/dev.in || exit 1; \
	done
	$(BIN)/uv pip compile --quiet --generate-hashes --custom-compile-command "make lock" --universal \
		--output-file requirements/bootstrap.txt requirements/bootstrap.in
	$(BIN)/uv pip compile --quiet --generate-hashes --custom-compile-command "make lock" --universal \
		--constraint requirements/lock-3.11.txt --output-file requirements/benchmarks.txt requirements/benchmarks.in
	$(BIN)/uv pip compile --quiet --no-annotate --generate-hashes --custom-compile-command "make lock" \
		--python-version 3.11 --python-platform x86_64-manylinux_2_40 \
		--output-file deploy/gateway/requirements.txt deploy/gateway/requirements.in

soak: env
	$(BIN)/python -m benchmarks.soak $(WORKDIR)/serving/tandem --seconds $(or $(SECONDS),600)

# The peer's requirements go into an environment of their own, which sees the project's.
bench: env
	test -x build/bench/bin/python || { $(BIN)/uv venv --quiet --python $(BIN)/python build/bench \
		&& $(BIN)/uv pip install --quiet --python build/bench/bin/python -r requirements/benchmarks.txt \
		&& echo "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
			> "$$(build/bench/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tandem.pth"; }
	build/bench/bin/python -m benchmarks.serving $(WORKDIR)/serving/tandem $(BENCH_ARGS)

shots: env
	$(BIN)/python -m tests.serving.web.screenshots build/screenshots

clean:
	rm -rf $(VENV) runs build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
