# The daily commands. `make` alone lists them.
#
#   make setup STACK=classic PYTHON=python3.10 VENV=.venv-classic
#   make check ARGS='-k loss -x'

SHELL := /bin/bash
VENV ?= .venv
STACK ?= default
PYTHON ?=
ARGS ?=
export VENV STACK PYTHON
# No test or demo needs a display.
export MPLBACKEND ?= Agg

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup check test demo pictures bench docs lint format clean-env

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup:  ## Make the environment (STACK, PYTHON, VENV; about 20 minutes the first time)
	@bash tools/setup_env.sh

check: setup  ## Run the fast tests
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test: setup  ## Run all tests
	$(BIN)/python -m pytest $(ARGS)

demo: setup  ## Show the method at work on small pictures
	$(BIN)/python tools/demo.py $(ARGS)

pictures: setup  ## Make the pictures of README and docs (those of the demo after it)
	$(BIN)/python tools/make_pictures.py $(ARGS)

bench: setup  ## Measure the training step beside stock parts (ARGS: see the tool)
	$(BIN)/python tools/benchmark.py $(or $(ARGS),step)

docs: setup  ## Check the links between the documents, and build the site
	$(BIN)/python tools/check_links.py
	$(BIN)/python -W ignore tools/build_docs.py $(ARGS)

lint: setup  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup  ## Put the code in format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean-env:  ## Remove the environment (the mmcv wheel built stays in the cache)
	@if [ ! -e "$(VENV)" ]; then echo "clean-env: there is no $(VENV)"; \
	elif [ -e "$(VENV)/pyvenv.cfg" ] || [ -d "$(VENV)/.cmae_mm" ]; then \
	    rm -rf "$(VENV)" && echo "clean-env: removed $(VENV)"; \
	else echo "clean-env: $(VENV) is no environment; left alone" >&2; exit 2; fi
