# Everything a developer types. Settings of the tools: pyproject.toml; the environment: .ci/setup.

ARGS ?=
IN_VENV := . .venv/env.sh &&
RESULTS := .venv/test-results.xml

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
	$(IN_VENV) .venv/bin/python -m pytest --junit-xml=$(RESULTS) $(ARGS)
	@.venv/bin/python .ci/executed.py $(RESULTS)

lock: setup ## Write the versions in .venv to requirements-lock.txt
	@.venv/bin/python .ci/lock.py > requirements-lock.txt

clean: ## Remove .venv and everything that was built
	rm -rf .venv build dist install log *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
