# Every target sets up what it needs; a second call finds it done.
# PYTHON chooses the Python that the environment is made with; VENV is the one inside it.
VENV := .venv/bin/python
export PYTHON
.DEFAULT_GOAL := help
.PHONY: help setup run test test-faults check fix configs models bench clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

setup:  ## everything `make run` needs: Python packages, Triton, the demo family's models
	@tools/setup.sh run

run: setup  ## serve on 127.0.0.1 until Ctrl-C
	@$(VENV) -m triptych up $(ARGS)

test-setup:
	@tools/setup.sh test

test: test-setup  ## all tests but the slow ones
	@$(VENV) -m pytest -m "not slow" $(ARGS)

test-faults: test-setup  ## the long storms: kill -9 on everything, a thousand jobs, none lost; half an hour
	@$(VENV) -m pytest -m slow -s tests/faults $(ARGS)

check: test-setup  ## format, lint, types, import rules, drift of generated files
	@tools/check.sh

fix: test-setup  ## format, and mend what the linter can
	@$(VENV) -m ruff format .
	@$(VENV) -m ruff check --fix .

configs: test-setup  ## write every generated file again: model configurations, docs/settings.md, docs/openapi.json
	@$(VENV) -m modelcore.repository
	@$(VENV) -m orchestrator.documents --write

models: setup  ## export the demo family into model_repository/
	@$(VENV) -m triptych export demo

bench: test-setup  ## measured comparisons, as ratios within one run
	@$(VENV) -m bench

clean:  ## remove what setup and runs have made; sources stay
	rm -rf .venv .triptych .setup.lock *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find model_repository -name model.onnx* -o -name manifest.json -o -name tokenizer.json -o -name preprocess.json -o -name pipeline.json -o -name scheduler_config.json -o -path '*/1/family.toml' -o -name segment.json | xargs -r rm -f
