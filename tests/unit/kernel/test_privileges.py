"""What is left of root's power, seen from processes that give it up."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from capfix.kernel import privileges
from tests.support.tools import NOBODY

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        len(Path("/proc/self/uid_map").read_text().split()) != 3
        or int(Path("/proc/self/uid_map").read_text().split()[2]) <= NOBODY,
        reason="needs other users to change to, which a user namespace does not have",
    ),
]


def in_process(code, *arguments, environment=None):
    """Run `code` with the module as `p` in a process of its own; return what it prints as JSON."""
    prelude = "import json, os, sys\nfrom pathlib import Path\nfrom capfix.kernel import privileges as p\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_is_kept_and_nothing_comes_back_by_execve():
    """Root without its capabilities has none in any set, and a program it starts has none either."""
    status = in_process(
        """
        import subprocess
        p.drop()
        def tell(path):
            fields = [line.split() for line in Path(path).read_text().splitlines()]
            return {field[0]: field[1] for field in fields if field[0].startswith(("Cap", "NoNew", "Uid"))}
        child = subprocess.check_output(["grep", "-E", "^Cap(Eff|Prm|Bnd)", "/proc/self/status"], text=True)
        print(json.dumps([tell("/proc/self/status"), child.split()[1::2]]))
        """
    )
    nothing = "0" * 16
    assert status[0] == {
        "Uid:": "0",
        "NoNewPrivs:": "1",
        **dict.fromkeys(("CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"), nothing),
    }
    assert status[1] == [nothing] * 3


def test_what_is_to_be_kept_survives_the_change_of_user():
    """After the change the user, the groups and exactly the kept capabilities are there, for good."""
    result = in_process(
        f"""
        p.drop(frozenset({{p.CAP_NET_RAW}}), p.Identity("nobody", {NOBODY}, {NOBODY}, ({NOBODY},)))
        try:
            os.setuid(0)
        except PermissionError:
            back = "refused"
        held = p.held()
        print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), held.effective, held.permitted, back]))
        """
    )
    mask = 1 << privileges.CAP_NET_RAW
    assert result == [[NOBODY] * 3, [NOBODY] * 3, [NOBODY], mask, mask, "refused"]


def test_a_capability_that_was_not_held_is_not_gained():
    """Keeping names an upper bound: what the process lacks stays lacking, without an error."""
    assert in_process(
        """
        p.drop(frozenset({p.CAP_NET_RAW}))
        p.drop(frozenset({p.CAP_NET_RAW, p.CAP_NET_ADMIN}))
        print(p.held().permitted)
        """
    ) == (1 << privileges.CAP_NET_RAW)


def test_a_thread_that_still_holds_something_is_an_error():
    """Capabilities belong to threads: one that was started earlier keeps its own, and that is not passed over."""
    message = in_process(
        """
        import threading
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        try:
            p.drop()
        except p.CaptureError as error:
            print(json.dumps(str(error)), flush=True)
        os._exit(0)
        """
    )
    assert "privileges could not be dropped: thread" in message


def test_an_open_packet_socket_survives():
    """A packet socket opened before can be bound to another interface and filtered afterwards."""
    assert (
        in_process(
            """
        import socket
        packet = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        p.drop()
        packet.bind(("lo", 3))
        try:
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except PermissionError:
            print(json.dumps(packet.getsockname()[0]))
        """
        )
        == "lo"
    )


WRITE_A_FILE = """
    from capfix.session.privilege_policy import plan
    chosen = plan(sys.argv[2] or None, [Path(sys.argv[1])])
    p.drop(chosen.keep, chosen.identity)
    later = Path(sys.argv[1], "later")
    later.touch()
    status = p.thread_capabilities(Path("/proc/self/status"))
    print(json.dumps([later.stat().st_uid, status.effective, chosen.remark]))
"""
SUDO = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
DAC_OVERRIDE = 1 << privileges.CAP_DAC_OVERRIDE


@pytest.mark.parametrize(
    ("directory", "user", "environment", "owner", "kept", "stays"),
    [
        ("nobody", "nobody", {}, NOBODY, 0, False),
        ("nobody", "", SUDO, NOBODY, 0, False),
        ("root", "", SUDO, 0, 0, True),
        ("root", "", {}, 0, 0, False),
        ("nobody", "", {}, 0, DAC_OVERRIDE, False),
    ],
)
def test_files_made_after_the_drop_work(outputs, directory, user, environment, owner, kept, stays):
    """Whoever is chosen can make files afterwards, holds no more than that takes, and it is said why root stayed."""
    without_sudo = {"SUDO_UID": "", "SUDO_GID": ""}
    found = in_process(WRITE_A_FILE, outputs / directory, user, environment={**without_sudo, **environment})
    assert found[:2] == [owner, kept]
    assert found[2] == (
        f"not changing to the user nobody, who cannot write {outputs / directory}" if stays else ""
    )


def test_a_directory_that_cannot_be_reached_is_not_writable(outputs):
    """A directory of the user's own counts for nothing below one that is closed to the user."""
    (outputs / "root").chmod(0o700)
    inner = outputs / "root" / "inner"
    inner.mkdir()
    os.chown(inner, NOBODY, NOBODY)
    nobody = privileges.user_identity("nobody")
    before = (privileges.held(), os.geteuid(), os.getegid(), os.getgroups())
    assert not privileges.can_write(inner, nobody)
    assert privileges.can_write(outputs / "nobody", nobody)
    assert (privileges.held(), os.geteuid(), os.getegid(), os.getgroups()) == before
