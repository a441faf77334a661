# Everything a newcomer needs: `make demo` runs the main job, `make test` runs the tests, `make help` lists the rest.
# Environments are made once and renewed when their lock file changes (a stamp file in each says which was installed).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BLENDERS ?= 4.2 4.5 5.0
# Blender 5.1 and later need Python 3.13: where there is none, `make test-blender-5.2` says so loudly and passes.
# Every place is tried by running it: a shim of pyenv is there without its Python, and bpy has no free-threaded build.
PLACES313 = python3.13 $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.13*/bin/python3.13 \
	$(HOME)/.local/bin/python3.13 $(HOME)/.local/share/uv/python/cpython-3.13*/bin/python3.13 \
	/usr/local/bin/python3.13 /usr/bin/python3.13 /opt/python/*/bin/python3.13 /opt/homebrew/bin/python3.13 \
	/Library/Frameworks/Python.framework/Versions/3.13/bin/python3.13)
IS_313 := import sys, sysconfig; \
	sys.exit(sys.version_info[:2] != (3, 13) or bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
PYTHON313 ?= $(shell for python in $(PLACES313); do \
	"$$python" -c '$(IS_313)' 2>/dev/null && echo "$$python" && break; done)
DEMO_BLENDER ?= 4.5
CLIP ?=
RIG ?=
DIST ?= dist

VENV := .venv
RUN := $(VENV)/bin/python
# The locks are complete, so pip resolves nothing: an older pip takes a newer release than the lock for a package that
# is asked for with an extra, and then refuses it because it has no hash.
PIP_FLAGS := --quiet --disable-pip-version-check --require-hashes --no-deps
BLENDER_VENVS := $(BLENDERS:%=.venv-bpy-%)

.PHONY: help demo test test-backend test-blender test-wheel coverage mutation lint types arrows extension extension-install \
	wheel sbom docs gui-check windows-check \
	docs-serve benchmarks venv dev-venv blender-venvs system check clean distclean
.SECONDARY:

help:  ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# ------------------------------------------------------------------------------------------------ environments
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "Python 3.11 or newer is needed; name it with PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# Runtime only: what solve, serve and the demo need. No torch.
$(VENV)/.core: requirements/core.txt | $(VENV)/bin/python
	$(RUN) -m pip install $(PIP_FLAGS) -r requirements/core.txt
	@touch $@

# Tests, lint, docs, training. The CPU build of torch comes last and may be absent (tests then skip with the reason).
$(VENV)/.dev: requirements/dev.txt requirements/train.txt requirements/torch-cpu.txt $(VENV)/.core
	$(RUN) -m pip install $(PIP_FLAGS) -r requirements/dev.txt
	$(RUN) -m pip install $(PIP_FLAGS) -r requirements/train.txt
	@$(RUN) -c 'import torch' 2>/dev/null || $(RUN) -m pip install $(PIP_FLAGS) -r requirements/torch-cpu.txt \
		|| echo "NOTE: no CPU build of torch 2.13.0 is at hand (PIP_FIND_LINKS names no folder with it): tests that train are skipped"
	@touch $@

.venv-bpy-5.2/bin/python:
	$(PYTHON313) -m venv .venv-bpy-5.2

.venv-bpy-%/bin/python:
	$(PYTHON) -m venv .venv-bpy-$*

.venv-bpy-%/.ready: requirements/blender-%.txt | .venv-bpy-%/bin/python
	.venv-bpy-$*/bin/python -m pip install $(PIP_FLAGS) -r requirements/blender-$*.txt
	@touch $@

venv: $(VENV)/.core  ## the runtime environment, .venv
dev-venv: $(VENV)/.dev  ## the same with tests, lint, docs and training
blender-venvs: $(BLENDERS:%=.venv-bpy-%/.ready)  ## one environment per Blender version, .venv-bpy-*
system:  ## the system libraries of headless rendering (installs them as root, else says what is missing)
	@tools/system_libraries.sh

# ---------------------------------------------------------------------------------------------------- main job
demo: system $(VENV)/.core .venv-bpy-$(DEMO_BLENDER)/.ready  ## a real clip to a baked character; CLIP=video RIG=file.blend for yours
	@$(RUN) -m tools.demo --blender-python .venv-bpy-$(DEMO_BLENDER)/bin/python $(if $(CLIP),--clip "$(CLIP)") $(if $(RIG),--character "$(RIG)")

# ------------------------------------------------------------------------------------------------------- tests
test: system test-backend test-blender  ## all tests: backend, then each Blender

test-backend: $(VENV)/.dev  ## the tests that need no Blender
	$(RUN) -m pytest tests --ignore tests/blender

# Two at a time: each suite keeps one core busy.
test-blender:  ## the tests under each Blender of BLENDERS (and of ALSO)
	@$(MAKE) --no-print-directory -j2 --output-sync=target $(addprefix test-blender-,$(BLENDERS) $(ALSO))

# Not in BLENDERS: a plain `make test` must not need a second Python.
test-blender-5.2:  ## the same under Blender 5.2, where Python 3.13 is at hand
	@if [ -x .venv-bpy-5.2/bin/python ] || "$(PYTHON313)" -c '$(IS_313)' 2>/dev/null; then \
		$(MAKE) .venv-bpy-5.2/.ready && echo "== Blender 5.2" && \
		.venv-bpy-5.2/bin/python tools/blender_pytest.py tests/blender; \
	else \
		echo "======================================================================================"; \
		echo "SKIPPED: BLENDER 5.2 WAS NOT TESTED, because there is no Python 3.13 (name it: PYTHON313=)"; \
		echo "======================================================================================"; \
	fi

test-blender-%: .venv-bpy-%/.ready
	@echo "== Blender $*"
	.venv-bpy-$*/bin/python tools/blender_pytest.py tests/blender

coverage: $(VENV)/.dev .venv-bpy-5.0/.ready  ## lines run by the tests, backend and Blender together
	tools/measure_coverage.sh .venv-bpy-5.0

mutation: $(VENV)/.dev  ## break the code in known ways; a named test must go red each time
	$(RUN) tools/mutation_checks.py

# ------------------------------------------------------------------------------------------------------ checks
check: lint types arrows extension docs  ## everything CI runs beside the tests

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.dev
	$(RUN) -m mypy

arrows: $(VENV)/.dev  ## which room may import which
	$(VENV)/bin/lint-imports --no-cache

extension: $(VENV)/.dev $(BLENDERS:%=.venv-bpy-%/.ready)  ## the extension's zips and repository index, into dist/
	$(RUN) tools/build_extension.py --output-dir $(DIST)

extension-install: $(BLENDERS:%=extension-install-%) extension-demo-$(DEMO_BLENDER)  ## install the built zip into each Blender's empty profile; the whole demo in one

# Set Up Backend with no field filled in, then capture to exports, all by the installed extension's own operators; any
# version by name
# (`make extension-demo-5.0`), in CI one: it takes longer than all installations together.
extension-demo-%: .venv-bpy-%/.ready
	.venv-bpy-$*/bin/python tools/check_extension_demo.py $(DIST)/marionet-*.zip

extension-install-%: .venv-bpy-%/.ready
	.venv-bpy-$*/bin/python tools/check_extension_install.py $(DIST)/marionet-*.zip

wheel: $(VENV)/.dev  ## the Python wheel and source distribution, into dist/, after trying them out
	$(RUN) tools/check_wheel.py --output-dir $(DIST)

test-wheel: $(VENV)/.dev  ## build the wheel, install and run it elsewhere, remove it
	$(RUN) tools/check_wheel.py

sbom: $(VENV)/.core  ## the software bill of materials, into dist/
	$(RUN) tools/write_sbom.py $(DIST)/marionet.cdx.json

# 77 is "cannot run here": said loudly, and no failure.
gui-check: $(VENV)/.core .venv-bpy-$(DEMO_BLENDER)/.ready  ## a real Blender window from zip to bake (root, mmdebstrap)
	@$(RUN) tools/gui_check.py || [ $$? -eq 77 ]

# 77 is "cannot run here": said loudly, and no failure.
windows-check: $(VENV)/.core extension  ## Marionet on Windows: its Python and Blender for Windows under wine (root, Debian)
	@$(RUN) tools/windows_check.py $(DIST)/marionet-*.zip || [ $$? -eq 77 ]

docs: $(VENV)/.dev  ## the documentation site, into site/
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

docs-serve: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs serve

benchmarks: $(VENV)/.dev  ## print the tables of docs/performance.md again
	$(RUN) benchmarks/run_all.py

# ---------------------------------------------------------------------------------------------------- clean-up
clean:  ## what was built, not the environments
	rm -rf build dist site demo_output htmlcov *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache

distclean: clean  ## the environments too
	rm -rf .venv .venv-bpy-*
