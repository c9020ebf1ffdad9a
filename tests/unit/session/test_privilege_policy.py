"""Who a capture runs as once its sockets are open."""

import os
from pathlib import Path

import pytest

from capfix.errors import CaptureError, UsageError
from capfix.kernel.privileges import Identity
from capfix.session import privilege_policy

pytestmark = pytest.mark.root


def test_sudo_by_root_changes_nobody():
    """Root that calls sudo, and a root without sudo, stay root; a user without an entry has the main group alone."""
    assert privilege_policy.sudo_identity({"SUDO_UID": "0", "SUDO_GID": "0"}) is None
    assert privilege_policy.sudo_identity({}) is None
    assert privilege_policy.sudo_identity({"SUDO_UID": "54321", "SUDO_GID": "54320"}) == Identity(
        "54321", 54321, 54320, (54320,)
    )


def test_a_user_that_does_not_exist_is_wrong_usage():
    """An unknown user is refused by name before anything is given up."""
    with pytest.raises(UsageError, match="there is no user no-such-user"):
        privilege_policy.plan("no-such-user", [])


def test_a_user_that_cannot_write_the_output_is_an_error(outputs: Path) -> None:
    """Who asked for a user does not get a capture by root in its place."""
    with pytest.raises(CaptureError, match=r"cannot capture as the user nobody, who cannot write .*root"):
        privilege_policy.plan("nobody", [outputs / "root"])
    assert privilege_policy.plan("nobody", [outputs / "nobody"]).identity is not None


def test_who_called_sudo_is_passed_over_with_a_remark(outputs: Path) -> None:
    """Nobody asked for that user by name."""
    sudo = {"SUDO_UID": "65534", "SUDO_GID": "65534"}
    plan = privilege_policy.plan(None, [outputs / "root"], sudo)
    assert plan.identity is None
    assert "not changing to the user nobody, who cannot write" in plan.remark


def test_the_user_that_it_is_already_needs_no_change(tmp_path: Path) -> None:
    """As root in a user namespace, where no other group could be had either."""
    assert privilege_policy.plan(str(os.geteuid()), [tmp_path]).identity is None
