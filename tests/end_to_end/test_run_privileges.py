"""Who `capfix run` is, and what it may do, once its sockets are open."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from capfix.lab import HeaderlessVpn, NetworkNamespace
from tests.end_to_end.test_hotplug import deliver, texts
from tests.support.capturing import Waiting
from tests.support.tools import NOBODY

NOBODY_CALLED_SUDO = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
DAC_OVERRIDE = 1 << 1

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        int(Path("/proc/self/uid_map").read_text().split()[2]) <= NOBODY,
        reason="needs other users to change to, which a user namespace does not have",
    ),
]


@pytest.fixture(autouse=True)
def without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever called the tests by sudo is not to be changed to."""
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)


def identity(running: Waiting) -> tuple[int, int, int]:
    """Return the user of a process, its effective capabilities, and those that a program it starts could have."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines)
    assert fields["NoNewPrivs"] == "1"
    return int(fields["Uid"].split()[0]), int(fields["CapEff"], 16), int(fields["CapBnd"], 16)


@pytest.mark.parametrize(
    ("directory", "arguments", "environment", "expected"),
    [
        ("nobody", ["--user", "nobody"], {}, (NOBODY, 0, 0)),
        ("nobody", [], NOBODY_CALLED_SUDO, (NOBODY, 0, 0)),
        ("root", [], {}, (0, 0, 0)),
        ("root", [], NOBODY_CALLED_SUDO, (0, 0, 0)),
        ("nobody", [], {}, (0, DAC_OVERRIDE, DAC_OVERRIDE)),
    ],
    ids=["user", "sudo", "root", "sudo-not-writable", "root-elsewhere"],
)
def test_no_more_is_held_than_needed_and_every_file_has_one_owner(
    vpn: HeaderlessVpn,
    capture: Callable[..., Waiting],
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
    directory: str,
    arguments: list[str],
    environment: dict[str, str],
    expected: tuple[int, int, int],
) -> None:
    """The user is the wanted one where it can write, capabilities are gone, and later files belong to who it is."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    output = outputs / directory / "out.pcapng"
    running = capture("-i", "cipsec0", "-o", output, "--rotate-packets", 1, *arguments)
    assert identity(running) == expected
    deliver(vpn, "1", "2", "3")
    time.sleep(0.3)
    assert running.stop() == 0
    files = sorted(output.parent.glob("out_*.pcapng"))
    assert len(files) >= 3
    assert {file.stat().st_uid for file in files} == {expected[0]}
    assert ("not changing to the user nobody" in running.stderr) == (
        directory == "root" and environment == NOBODY_CALLED_SUDO
    )


@pytest.mark.parametrize("wanted", ["cipsec0", "cipsec*"])
def test_following_interfaces_takes_no_privilege(
    namespace: NetworkNamespace, capture: Callable[..., Waiting], outputs: Path, wanted: str
) -> None:
    """An interface that comes when all privileges are gone is captured, by name and by pattern."""
    output = outputs / "nobody" / "out.pcapng"
    with HeaderlessVpn(namespace):
        running = capture("-i", wanted, "-o", output, "--wait", "--user", "nobody")
    running.wait_for("cipsec0 has gone")
    assert identity(running) == (NOBODY, 0, 0)
    with HeaderlessVpn(namespace) as vpn:
        running.wait_for("cipsec0 is there")
        deliver(vpn, "1", "2")
        time.sleep(0.3)
        assert running.stop() == 0
    assert texts(output) == ["1", "2"]
