"""What the tests share: the rule for privileges."""

import os

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `root` are skipped without that privilege; in CI they fail, so that nobody takes it for a pass."""
    if item.get_closest_marker("root") is None or os.geteuid() == 0:
        return
    reason = "needs root"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
