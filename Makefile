# Every target sets up what it needs; a second call finds it done.
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup run test check fix configs models bench clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

setup:  ## everything `make run` needs: Python packages, Triton, the demo family's models
	@tools/setup.sh run

run: setup  ## serve on 127.0.0.1 until Ctrl-C
	@$(PYTHON) -m triptych up $(ARGS)

test-setup:
	@tools/setup.sh test

test: test-setup  ## all tests but the slow ones
	@$(PYTHON) -m pytest -m "not slow" $(ARGS)

check: test-setup  ## format, lint, types, import rules, drift of generated files
	@tools/check.sh

fix: test-setup  ## format, and mend what the linter can
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix .

configs: test-setup  ## write every generated file again
	@$(PYTHON) -m modelcore.repository
	@$(PYTHON) -m orchestrator.settings --write

models: setup  ## export the demo family into model_repository/
	@$(PYTHON) -m triptych export demo

bench: test-setup  ## measured comparisons, as ratios within one run
	@$(PYTHON) -m bench

clean:  ## remove what setup and runs have made; sources stay
	rm -rf .venv .triptych *.egg-info
	find model_repository -name model.onnx* -o -name manifest.json -o -name tokenizer.json -o -name preprocess.json | xargs -r rm -f
