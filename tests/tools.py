"""The outside judges that tests call: programs, not libraries."""

import os
import shutil

import pytest


def need(program: str) -> str:
    """Return where the program is. Without it the test is skipped, and fails in CI: nobody takes that for a pass."""
    path = shutil.which(program)
    if path is not None:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed", pytrace=False)
    pytest.skip(f"{program} is not installed")
