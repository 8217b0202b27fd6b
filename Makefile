# Everything a developer types. Settings of the tools: pyproject.toml; the environment: .ci/setup.

ARGS ?=
IN_VENV := . .venv/env.sh &&
RESULTS := .venv/test-results.xml
# Real graphs in real time: one after the other, with the machine to themselves. All others share it.
REAL_TIME := test/nodes test/launch test/cli/test_demo.py

.DEFAULT_GOAL := help
.PHONY: clean demo help lint lock setup test

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

setup: ## Prepare .venv: ROS 2, the pinned packages and the generated messages
	@.ci/setup

demo: setup ## Talk with the robot on this machine; ARGS="..." goes to tml demo
	@$(IN_VENV) .venv/bin/tml demo $(ARGS)

lint: setup ## Check style and types
	$(IN_VENV) .venv/bin/ruff check .
	$(IN_VENV) .venv/bin/mypy

test: lint ## Check style and types, then run every test; ARGS="..." goes to pytest
ifeq ($(ARGS),)
	$(IN_VENV) .venv/bin/python -m pytest -n 2 --dist loadfile --junit-xml=$(RESULTS) $(REAL_TIME:%=--ignore=%)
	@.venv/bin/python .ci/executed.py $(RESULTS)
	$(IN_VENV) .venv/bin/python -m pytest --junit-xml=$(RESULTS) $(REAL_TIME)
else
	$(IN_VENV) .venv/bin/python -m pytest --junit-xml=$(RESULTS) $(ARGS)
endif
	@.venv/bin/python .ci/executed.py $(RESULTS)

lock: setup ## Write the versions in .venv to requirements-lock.txt
	@.venv/bin/python .ci/lock.py > requirements-lock.txt

clean: ## Remove .venv and everything that was built
	rm -rf .venv build dist install log *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
