"""What tests need from the system: programs that judge, and a user who may nothing."""

import os
import shutil

import pytest

NOBODY = 65534  # the user's and the group's id


def need(program: str) -> str:
    """Return where the program is. Without it the test is skipped, and fails in CI: nobody takes that for a pass."""
    path = shutil.which(program)
    if path is not None:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed", pytrace=False)
    pytest.skip(f"{program} is not installed")
