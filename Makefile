# make demo and make test are all a newcomer needs; each makes its own virtual environment when there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint slow parity docs bench audit locked clean

demo: $(VENV)/demo.stamp
	$(BIN)/python examples/demo.py --out demo-out

# a process for each core, each computing on one thread; a file's tests stay together, for they share what is slow to make;
# when a process dies the run ends and says during which test
PARALLEL := -n auto --dist loadfile --max-worker-restart 0

test: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m slow

parity: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m parity

# the documentation, into site/; a warning is an error. Look at it with: python -m http.server -d site
docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# speed of the network by each backend and of the whole pipeline, beside the field's way; writes benchmarks/results/
bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/backends.py
	$(BIN)/python benchmarks/pipeline.py

# licences of all that is installed, versions against our security floors, known holes (needs the network)
audit: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python .ci/audit.py

# the tests with the very files of .ci/locked.txt (made by .ci/lock.py for one Python and platform), sums checked
locked:
	$(PYTHON) -m venv .venv-locked
	.venv-locked/bin/python -m pip install --quiet "$$(sed -n 's/^# torch/torch/p' .ci/locked.txt)"
	.venv-locked/bin/python -m pip install --quiet --require-hashes --no-deps -r .ci/locked.txt
	.venv-locked/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	OMP_NUM_THREADS=1 .venv-locked/bin/python -m pytest $(PARALLEL)

# pip, not uv: plain pip respects the upper bound on torch that keeps the CUDA packages away from CPU machines
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/docs.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) .venv-locked demo-out site .mypy_cache .ruff_cache .pytest_cache
