# Everything a newcomer needs. uv is used where it is installed, else fetched into .uv/ from PyPI.
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN = $(UV) run --frozen

.PHONY: setup demo dev test check fix docs lock

setup: $(UV) ## install everything into .venv
	@$(UV) sync --frozen --quiet

demo: setup ## the whole thing on this machine: Postgres, a local QuickBooks, a first sync, the UI
	@$(RUN) qbo demo

dev: setup ## run the pipeline against your own settings (.env)
	@$(RUN) qbo up

test: setup ## run the whole test suite
	@$(RUN) pytest -n 2

check: setup ## every gate: lint, format, types, layers, quick tests
	$(RUN) ruff check && $(RUN) ruff format --check && $(RUN) mypy && $(RUN) lint-imports && $(RUN) pytest -n 2 -m "not slow"

fix: setup ## mend what can be mended by itself
	$(RUN) ruff check --fix && $(RUN) ruff format

docs: setup ## write the generated parts of README.md and docs/ again
	$(RUN) python docs/generate.py

lock: $(UV) ## resolve the dependencies again
	$(UV) lock --upgrade

.uv/bin/uv:
	@python3 -m venv .uv || { echo "make needs Python's venv module (Debian: apt-get install python3-venv)"; exit 1; }
	@.uv/bin/pip install --quiet uv
