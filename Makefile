# Everything a newcomer needs. uv is used where it is installed, else fetched into .uv/ from PyPI.
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN = $(UV) run --frozen
# Trust whom the system trusts, where it says so: behind a company's proxy uv's own list of certificates is not enough.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt),)
export UV_SYSTEM_CERTS ?= true
export UV_NATIVE_TLS ?= true
endif

.PHONY: setup demo dev test soak bench check fix docs lock

setup: $(UV) ## install everything into .venv
	@$(UV) sync --frozen --quiet

demo: setup ## the whole thing on this machine: Postgres, a local QuickBooks, a first sync, the UI
	@$(RUN) qbo demo

dev: setup ## run the pipeline against your own settings (.env)
	@$(RUN) qbo up

test: setup ## run the whole test suite
	@$(RUN) pytest -n 4

soak: setup ## random schedules of trouble, kills and cuts, for an hour or so
	@$(RUN) python -m tests.soak

bench: setup ## what a load costs beside the cheapest there could be, and beside what one would write instead
	@$(RUN) python -m benchmarks

check: setup ## every gate: lint, format, types, layers, quick tests
	$(RUN) ruff check && $(RUN) ruff format --check && $(RUN) mypy && $(RUN) lint-imports && $(RUN) pytest -n 4 -m "not slow"

fix: setup ## mend what can be mended by itself
	$(RUN) ruff check --fix && $(RUN) ruff format

docs: setup ## write the generated parts of README.md and docs/ again
	$(RUN) python docs/generate.py && $(RUN) python docs/tables_reference.py

lock: $(UV) ## resolve the dependencies again
	$(UV) lock --upgrade

.uv/bin/uv:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "make needs Python 3.11 or newer as python3; here it is: $$(python3 --version 2>&1 | head -n 1)"; exit 1; }
	@python3 -m venv .uv >/dev/null || \
	  { rm -rf .uv; echo "make needs Python's venv module (Debian: apt-get install python3-venv)"; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv
