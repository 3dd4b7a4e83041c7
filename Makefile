# make train | test | test-full | check | format | doctor | fusion-study; only Python 3.11 is needed beforehand
PYTHON ?= python3.11
BIN := .venv/bin
BUNDLE ?= lung_ct_resnet3d
STUDY ?= bundles/brain_fusion_emfusion/output/study
# two files at a time; a test's own processes share a core with it
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
CODE := common tests benchmarks $(wildcard bundles/*/scripts)

.PHONY: train test test-full check format doctor fusion-study

train: .venv/ready
	$(BIN)/python -m monai.bundle run --config_file bundles/$(BUNDLE)/configs/train.json

test: .venv/ready-dev
	$(PYTEST) -m "not slow"

test-full: .venv/ready-dev
	$(PYTEST)

check: .venv/ready-dev
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy common
	for bundle in bundles/*/; do (cd $$bundle && ../../$(BIN)/mypy --config-file ../../pyproject.toml scripts) || exit 1; done

format: .venv/ready-dev
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

doctor: .venv/ready
	$(BIN)/python -m common doctor

fusion-study: .venv/ready
	$(if $(AANLIB),,$(error AANLIB is empty: make fusion-study AANLIB=folder of CT-MRI, PET-MRI and SPECT-MRI))
	$(BIN)/python -m benchmarks.fusion_study "$(AANLIB)" "$(STUDY)" --write

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/ready: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	touch $@

.venv/ready-dev: requirements-dev.txt requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements-dev.txt
	touch .venv/ready $@
