# Every target does its own set-up: `tools/setup` makes .venv, builds capfix into it, and is quick when nothing changed.

.PHONY: demo test lint clean

demo:
	@tools/setup
	@.venv/bin/python -m capfix demo

test:
	@tools/setup
	@.venv/bin/python -m pytest

lint:
	@tools/setup lint
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict capfix
	.venv/bin/lint-imports

clean:
	rm -rf .venv build dist capfix-demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find capfix tests -name '__pycache__' -prune -exec rm -rf {} +
	find capfix -name '*.so' -delete
