# Commands for newcomers, developers and CI. `make` alone lists them.

LOCAL := sh promotions/local/start.sh
PYTHON_OF_VENV := .venv/bin/python
MANAGE := $(PYTHON_OF_VENV) manage.py
SERVICES := $(LOCAL) services
SECRET := $(PYTHON_OF_VENV) -c 'import secrets; print(secrets.token_urlsafe(50))'

SKIPPED := .venv .venv-next benchmarks node_modules tests var

ARGS ?=
# Date and time at which a test run starts, in Paris or with an offset: AT=2028-02-29T23:50
AT ?=
CLOCK = $(if $(AT),$(LOCAL) at "$(AT)" --)
PYTEST := -m pytest -n auto --maxprocesses 4 --dist loadgroup
PORT ?= 8000
# Not read from the environment: some shells export HOST as the machine's name.
HOST := 127.0.0.1
FRESH :=
DATA :=

# Tests and demos start many Python processes. Without compiled files each of them compiles the product again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-fast test-dates run check bench faults screenshots messages openapi requirements setup test-next setup-tests setup-browser setup-uv setup-compiler setup-bench lint types contracts \
	migrations openapi-check deploy-check deploy-kit deploy-build docs docs-check

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: setup ## Replay a simulated day of phones through the real product and print the funnel
	@echo "A simulated day: starting PostgreSQL and Redis under var/demo …"
	@$(SERVICES) --name demo -- sh -c 'echo "Both run. Loading the product …"; exec "$$@"' demo \
		$(MANAGE) demo --day var/demo-day.dump $(ARGS)

test: setup-browser ## Run the whole test suite (ARGS= passes options to pytest; AT=2028-02-29T23:50 sets the date)
	@$(CLOCK) $(SERVICES) --name test --disposable -- $(PYTHON_OF_VENV) $(PYTEST) $(ARGS)

test-fast: setup-compiler ## Run all tests but those that kill or start servers and programs or drive a browser
	@$(CLOCK) $(SERVICES) --name test --disposable -- $(PYTHON_OF_VENV) $(PYTEST) -m "not (faults or stories or browser)" $(ARGS)

# New Year's Eve, a leap day, and both nights of a clock change: the hour left out, and the hour that comes twice.
DATES := 2026-12-31T23:55 2028-02-29T23:55 2027-03-28T01:55 2027-10-31T02:55+02:00 2027-10-31T02:30+01:00

test-dates: ## Run the whole suite at dates that often break programs
	@for at in $(DATES); do echo "== $$at"; $(MAKE) --no-print-directory test AT=$$at || exit 1; done

# A deprecation is listed at the end instead of failing its test.
test-next: ## Run the suite on the next Django and list deprecations (needs Python 3.12 or newer)
	@$(LOCAL) setup --next --with-chromium --with-npm
	@$(SERVICES) --name test-next --disposable -- .venv-next/bin/python $(PYTEST) \
		-W default::DeprecationWarning -W default::PendingDeprecationWarning $(ARGS)

run: setup ## Serve the demo brand or the last demo day until Ctrl-C (PORT=8000 HOST=127.0.0.1 FRESH=1)
	@$(SERVICES) --name run --keep -- $(PYTHON_OF_VENV) -m promotions.local serve --host "$(HOST)" --port "$(PORT)" \
		$(if $(FRESH),--fresh) $(if $(DATA),--data "$(DATA)")

check: setup-tests lint types contracts migrations openapi-check deploy-check docs-check ## Run all checks of CI
	@$(MAKE) --no-print-directory test

bench: setup-bench ## Measure the fix lane, matching, the pipeline, unlocks and the whole path (ARGS=--quick: short run)
	@$(SERVICES) --name bench -- $(PYTHON_OF_VENV) -m benchmarks $(ARGS)

faults: setup-tests ## Kill and freeze processes and test that nothing is lost (minutes; the suite runs a short form)
	@FAULTS=full $(SERVICES) --name faults -- $(PYTHON_OF_VENV) -m pytest tests/faults $(ARGS)

screenshots: setup-browser ## Take the pictures in docs/img from the running product
	@$(SERVICES) --name screenshots -- $(MANAGE) screenshots $(ARGS)

messages: setup ## Collect the texts to translate in promotions/locale and compile them (needs gettext)
	@DEBUG=1 $(MANAGE) makemessages --locale fr --no-location --no-obsolete --no-wrap $(SKIPPED:%=--ignore '%/*')
	@DEBUG=1 $(MANAGE) compilemessages --locale fr $(SKIPPED:%=--ignore '%/*')

openapi: setup ## Write docs/openapi.yaml from the code
	@DEBUG=1 $(MANAGE) spectacular --validate --fail-on-warn --file docs/openapi.yaml

# For Python 3.11, the oldest supported version, so that packages only it needs are listed; a test checks that later ones need no more.
COMPILE := .venv/bin/uv pip compile --quiet --generate-hashes --no-strip-extras --custom-compile-command 'make requirements'
LISTS := base demo telemetry test

requirements: setup-uv ## Compile requirements/*.txt from the .in files, with the same versions (ARGS=--upgrade: the newest)
	@$(COMPILE) --python-version 3.11 $(ARGS) --output-file requirements/lock.txt requirements/lock.in
	@earlier=; for name in $(LISTS); do \
		$(COMPILE) --python-version 3.11 $(ARGS) $$earlier --output-file requirements/$$name.txt requirements/$$name.in || exit 1; \
		earlier="$$earlier --constraints requirements/$$name.txt"; done
	@cat $(LISTS:%=requirements/%.txt) >var/next.txt
	@$(COMPILE) --python-version 3.12 --overrides requirements/next.in --output-file var/next.txt $(LISTS:%=requirements/%.in)
	@mv var/next.txt requirements/next.txt

setup: ## Install missing software and prepare .venv
	@$(LOCAL) setup

setup-tests:
	@$(LOCAL) setup --with-tests

setup-browser:
	@$(LOCAL) setup --with-tests --with-chromium --with-npm --with-compiler

setup-uv:
	@$(LOCAL) setup --with-uv

setup-compiler:
	@$(LOCAL) setup --with-tests --with-compiler

setup-bench:
	@$(LOCAL) setup --with-tests --with-wrk

lint: setup-tests ## Check style, format and spelling
	@$(PYTHON_OF_VENV) -m ruff check .
	@$(PYTHON_OF_VENV) -m ruff format --check .
	@.venv/bin/typos

types: setup-tests ## Check types with mypy (strict)
	@DEBUG=1 $(PYTHON_OF_VENV) -m mypy

contracts: setup-tests ## Check the import contracts
	@DEBUG=1 .venv/bin/lint-imports

migrations: setup-tests ## Check that migrations match the models and block no queries
	@$(SERVICES) --name check -- sh -c '$(MANAGE) makemigrations --check --dry-run && $(MANAGE) migrate --verbosity 0 && $(PYTHON_OF_VENV) -m tests.upgrades'

openapi-check: setup
	@mkdir -p var
	@DEBUG=1 $(MANAGE) spectacular --validate --fail-on-warn --file var/openapi.yaml
	@diff -u docs/openapi.yaml var/openapi.yaml || { echo "docs/openapi.yaml is out of date: run 'make openapi'." >&2; exit 1; }

deploy-check: setup
	@DEBUG=0 ALLOWED_HOSTS=doorstep.example PUBLIC_BASE_URL=https://doorstep.example TRUSTED_PROXIES=1 SECRET_KEY="$$($(SECRET))" DEVICE_TOKEN_SECRET="$$($(SECRET))" \
		CODE_SECRET="$$($(SECRET))" $(SERVICES) --name check -- \
		sh -c '$(MANAGE) migrate --verbosity 0 && $(MANAGE) check --deploy --fail-level WARNING --database default'

deploy-kit: setup-tests ## Test nginx, Caddy and systemd with the files of deploy/ (installs them; a minute or two)
	@$(LOCAL) setup --with-tests --with-proxies
	@$(SERVICES) --name kit --disposable -- $(PYTHON_OF_VENV) -m pytest tests/deploy/check_*.py $(ARGS)

deploy-build: setup ## Run deploy/Dockerfile's steps and processes in a bare Debian tree (needs root and debootstrap; minutes)
	@$(SERVICES) --name build -- deploy/test-build

docs: setup ## Write the generated parts of docs/ from the code
	@DEBUG=1 $(MANAGE) write_docs

docs-check: setup
	@DEBUG=1 $(MANAGE) write_docs --check
