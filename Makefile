# make demo and make test are all a newcomer needs; each makes its own virtual environment when there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint slow parity clean

demo: $(VENV)/demo.stamp
	$(BIN)/python examples/demo.py --out demo-out

# a process for each core, each computing on one thread; a file's tests stay together, for they share what is slow to make
test: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m slow

parity: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m parity

# pip, not uv: plain pip respects the upper bound on torch that keeps the CUDA packages away from CPU machines
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo-out .mypy_cache .ruff_cache .pytest_cache
