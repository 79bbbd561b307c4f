# Everything happens in .venv: delete that folder to start afresh.
#   make run TORCH=cpu     the small torch without CUDA libraries (said when .venv is made)
#   make run PYTHON=python3.12
#   make ui PORT=5001

PYTHON ?= python3
TORCH ?=
PORT ?= 5000
WORKERS ?= 2

ifneq ($(filter-out cpu,$(TORCH)),)
$(error TORCH=$(TORCH) is not known: say TORCH=cpu, or leave it out)
endif

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# Asked for before .venv/bin comes first on PATH: a half-made .venv must not make itself.
SYSTEM_PYTHON := $(shell command -v $(PYTHON))
# The stages of dvc.yaml say `python`: DVC takes the first on PATH.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
export DVC_NO_ANALYTICS := true
export DO_NOT_TRACK := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Left behind by another environment's activate, or set by git for its hooks: neither is about this folder.
unexport VIRTUAL_ENV PYTHONHOME GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE GIT_PREFIX
# Set in many containers; here every stage would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run paper test test-fast mutation bench bench-peers check audit format ui doctor docs
.DELETE_ON_ERROR:

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: .venv/installed  ## set up, compare the models that params.yaml lists, record them in MLflow
	@mlproject run register
	@echo
	@mlproject table
	@echo
	@echo "The table is in reports/comparison.md, pictures are in reports/categories. Next:"
	@echo "  make ui                                             these runs and models in MLflow"
	@category=$$(sed -nE 's/^categories: \[([^],]*).*/\1/p' params.yaml); \
	  echo "  .venv/bin/mlproject promote $${category:-CATEGORY} --model patch_kde   check a model, make it champion"
	@echo "  make paper                                          all of the paper's models, the studies, the paper's report"

paper: .venv/installed  ## all of the paper's models, its studies and its report
	@mlproject preset full
	@mlproject run
	@echo
	@mlproject table
	@echo
	@echo "Report:   reports/paper.html (the paper's tables and figures beside these), reports/paper.md"
	@echo "params.yaml now lists these models and studies; mlproject preset quick takes them out again."

test: .venv/installed  ## all tests
	@pytest -n $(WORKERS)

test-fast: .venv/installed  ## the tests that take seconds
	@pytest -n $(WORKERS) -m "not slow"

mutation: .venv/installed  ## break the modules that decide, one line at a time: does a test fail? 15 minutes
	@mutmut run --max-children $(WORKERS)
	@python benchmarks/mutation_score.py

bench: .venv/installed  ## speed and memory against what a user would pick instead: writes docs/speed.md; 15 minutes
	@python -m benchmarks.speed

bench-peers: .peers/installed  ## install Keras and anomalib beside, in .peers (1.7 GB), and run make bench with them
	@python -m benchmarks.speed

check: .venv/installed  ## formatting, lint and types: ruff and mypy
	ruff check .
	ruff format --check .
	mypy

# In an environment of their own: what they depend on is not what is audited.
audit: .venv/installed  ## known vulnerabilities of the pinned packages (needs the internet), and a bill of materials
	@python -m venv .venv/audit
	@.venv/audit/bin/pip install --quiet 'pip-audit>=2.9' 'cyclonedx-bom>=7'
	@mkdir -p reports
	.venv/audit/bin/cyclonedx-py environment .venv/bin/python --of JSON -o reports/sbom.json
	.venv/audit/bin/pip-audit -r constraints.txt --no-deps --disable-pip

format: .venv/installed  ## let ruff fix and format the code
	ruff check --fix .
	ruff format .

ui: .venv/installed  ## MLflow's pages, on this machine only; prints links that compare the models
	@mlproject ui --port $(PORT)

docs: .venv/installed  ## the documents as a site in site/; a dead link is an error
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "site/index.html"

doctor: .venv/installed  ## what could be wrong with this machine
	@mlproject doctor

# A virtual environment holds absolute paths, so one whose folder was moved or copied is made anew.
ifneq ($(shell cat .venv/made-for 2>/dev/null),$(CURDIR))
.PHONY: .venv/made-for
endif

.venv/made-for:
	@[ -n "$(SYSTEM_PYTHON)" ] || { echo "error: $(PYTHON) is not installed" >&2; exit 2; }
	@"$(SYSTEM_PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed, $(SYSTEM_PYTHON) is $$("$(SYSTEM_PYTHON)" --version)." >&2; \
	  echo "Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@[ ! -L .venv ] || { echo "error: .venv is a link to $$(readlink .venv), an environment that another folder uses." >&2; \
	  echo "Remove the link: a new environment is made here." >&2; exit 2; }
	"$(SYSTEM_PYTHON)" -m venv --clear .venv
	@printf '%s' '$(CURDIR)' > $@

# The stamp is written last. An install that was killed leaves packages without RECORD, which pip would
# take for whole: they are forgotten first, and come from pip's cache. Of 20,000 files only what the stages
# import is compiled.
.venv/installed: .venv/made-for pyproject.toml constraints.txt
	@for info in .venv/lib/python*/site-packages/*.dist-info; do \
	  [ ! -d "$$info" ] || [ -e "$$info/RECORD" ] || rm -rf "$$info"; done
ifeq ($(TORCH),cpu)
	python -m pip install --no-compile -c constraints.txt --index-url https://download.pytorch.org/whl/cpu \
	  torch torchvision
endif
	python -m pip install --no-compile -c constraints.txt --editable '.[dev,inspect,onnx,docs,services]'
	@python -c 'import dvc.repo, matplotlib.figure, mlflow.pyfunc, pandas, sklearn.metrics, torch'
	@touch $@

# What make bench compares with: its own packages here, torch and all else that both sides need from .venv.
.peers/installed: .venv/installed benchmarks/peers.txt
	python -m venv --clear .peers
	@python -c 'import site; print(site.getsitepackages()[0])' > "$$(echo .peers/lib/python*/site-packages)/venv.pth"
	.peers/bin/python -m pip install --no-compile -r benchmarks/peers.txt
	@touch $@
