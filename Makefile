# Every target does its own set-up: `tools/setup` makes .venv, builds capfix into it, and is quick when nothing changed.

PURE = capfix/errors.py,capfix/units.py,capfix/wire/*,capfix/filters/*,capfix/framing*,capfix/rotation/*,capfix/transcode/*

.PHONY: demo test coverage test-service soak lint bench clean

demo:
	@tools/setup
	@.venv/bin/python -m capfix demo

test:
	@tools/setup
	@.venv/bin/python -m pytest

# The unit tests, and what they reach, branches included; the pure rooms must be reached
coverage:
	@tools/setup
	@.venv/bin/python -m coverage run -m pytest -q tests/unit
	@.venv/bin/python -m coverage report
	@.venv/bin/python -m coverage report --include='$(PURE)' --fail-under=95 | tail -n 1

test-service:
	@tools/test-service

# As root, for MINUTES; then the tests that have a long form
soak:
	@tools/setup
	@.venv/bin/python -m tests.end_to_end.soak --minutes $(or $(MINUTES),10)
	@CAPFIX_SOAK=1 .venv/bin/python -m pytest tests/end_to_end/test_hotplug.py tests/end_to_end/test_rotation.py

lint:
	@tools/setup lint
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict capfix
	.venv/bin/lint-imports
	tools/architecture --check

# As root; BENCH holds further arguments, such as BENCH="--cases small-disk --rounds 3"
bench:
	@tools/setup bench
	@.venv/bin/python -m bench run $(BENCH)
	@.venv/bin/python -m bench startup
	@.venv/bin/python -m bench delay
	@.venv/bin/python -m bench idle

clean:
	rm -rf .venv build dist capfix-demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find capfix tests -name '__pycache__' -prune -exec rm -rf {} +
	find capfix -name '*.so' -delete
