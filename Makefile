# Everything a developer types. Settings of the tools: pyproject.toml; the environment: .ci/setup.

ARGS ?=
IN_VENV := . .venv/env.sh &&
RESULTS := .venv/test-results.xml
# Real graphs in real time that mostly wait: two at once. LIVE: one after the other, with the machine to themselves.
LIVE := test/nodes/test_live_load.py test/cli/test_demo.py
GRAPHS := test/nodes test/launch
# Each part of a whole run takes five minutes; after twenty a test hangs where its own time limit is not heard.
WITHIN := timeout --signal=INT --kill-after=20
BOUNDED := $(if $(ARGS),,$(WITHIN) 1200)
RUN := $(IN_VENV) $(BOUNDED) .venv/bin/python -m pytest --junit-xml=$(RESULTS)
IN_PAIRS := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: clean demo help lint lock setup test test-audio

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

setup: ## Prepare .venv: ROS 2, the pinned packages and the generated messages
	@.ci/setup

demo: setup ## Talk with the robot on this machine; ARGS="..." goes to tml demo
	@$(IN_VENV) .venv/bin/tml demo $(ARGS)

lint: setup ## Check style and types
	$(IN_VENV) .venv/bin/ruff check .
	$(IN_VENV) .venv/bin/mypy

test: lint ## Check style and types, then run every test; ARGS="..." goes to pytest
ifeq ($(ARGS),)
	$(RUN) $(IN_PAIRS) $(LIVE:%=--ignore=%) $(GRAPHS:%=--ignore=%) --ignore=test/audio
	@.venv/bin/python .ci/executed.py $(RESULTS)
	$(RUN) $(IN_PAIRS) $(LIVE:%=--ignore=%) $(GRAPHS)
	@.venv/bin/python .ci/executed.py $(RESULTS)
	$(RUN) $(LIVE)
else
	$(RUN) $(ARGS)
endif
	@.venv/bin/python .ci/executed.py $(RESULTS)

# How much `make test-audio` measures; each has its share of the time after which it is ended.
TRIALS ?= 4
MINUTES ?= 0.3
HOURS ?= 0
AUDIO_LIMIT_S = $(shell awk 'BEGIN { print int(150 + 20 * $(TRIALS) + 80 * $(MINUTES) + 4000 * $(HOURS)) }')
AUDIO_RESULTS := .venv/test-audio-results.xml

test-audio: export SOUND_SERVER := 1
test-audio: setup ## Talk over a robot, through a sound server; TRIALS=30 MINUTES=3 HOURS=0.5: all of it; KEEP=DIR: the sound
	$(IN_VENV) TRIALS=$(TRIALS) MINUTES=$(MINUTES) HOURS=$(HOURS) $(WITHIN) $(AUDIO_LIMIT_S) \
		.venv/bin/python -m pytest -s --timeout=$(AUDIO_LIMIT_S) --junit-xml=$(AUDIO_RESULTS) test/audio $(ARGS)
	@.venv/bin/python .ci/executed.py $(AUDIO_RESULTS)

lock: setup ## Write the versions in .venv to requirements-lock.txt
	@.venv/bin/python .ci/lock.py > requirements-lock.txt

clean: ## Remove .venv and everything that was built
	rm -rf .venv build dist install log *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
