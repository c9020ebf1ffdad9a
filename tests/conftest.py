"""What the tests share: the rule for privileges, the patience of property tests, and the lab."""

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from capfix.errors import PrivilegeError
from capfix.lab import HeaderlessVpn, NetworkNamespace, can_make_namespaces, enter_user_namespace
from tests.support.capturing import Waiting
from tests.support.tools import NOBODY

# A slow machine says nothing about what is tested
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_refusal = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Become root in a user namespace where this process is not root: here, because it must be done before any thread
    is started."""
    if not can_make_namespaces():
        try:
            enter_user_namespace()
        except PrivilegeError as error:
            config.stash[_refusal] = str(error)
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        config.stash[_refusal] = "cannot open /dev/net/tun"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `root` that lack that privilege. In CI they fail, so that nobody takes a skip for a pass."""
    refusal = item.config.stash.get(_refusal, None)
    if refusal is None or item.get_closest_marker("root") is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(refusal, pytrace=False)
    pytest.skip(refusal)


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    """A network namespace of the test's own, in which nothing is sent that the test does not send. IPv6 is off."""
    with NetworkNamespace() as namespace:
        yield namespace


@pytest.fixture
def namespace6() -> Iterator[NetworkNamespace]:
    """The same with IPv6."""
    with NetworkNamespace(ipv6=True) as namespace:
        yield namespace


@pytest.fixture
def vpn(namespace: NetworkNamespace) -> Iterator[HeaderlessVpn]:
    """In `namespace`: the interface cipsec0, whose inbound packets have no Ethernet header."""
    with HeaderlessVpn(namespace) as vpn:
        yield vpn


@pytest.fixture
def vpn6(namespace6: NetworkNamespace) -> Iterator[HeaderlessVpn]:
    """The same in `namespace6`, with an IPv6 address."""
    with HeaderlessVpn(namespace6) as vpn:
        yield vpn


@pytest.fixture(scope="session")
def mount_namespace() -> None:
    """Move the tests into a mount namespace of their own, so that what they mount is theirs and goes with them."""
    clone_newns = 0x00020000  # linux/sched.h
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(clone_newns) == 0, os.strerror(ctypes.get_errno())
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@pytest.fixture
def small_tmpfs(tmp_path: Path, mount_namespace: None) -> Iterator[Path]:
    """A filesystem of one mebibyte, for tests marked `root`."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "capfix-test", str(mounted)], check=True)
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


@pytest.fixture
def outputs() -> Iterator[Path]:
    """Directories that others can reach: `root` and `nobody`, each of who it is called after.

    Not below pytest's own directory, which every run of pytest closes to others.
    """
    with tempfile.TemporaryDirectory(prefix="capfix-test-", dir="/var/tmp") as top:
        Path(top).chmod(0o755)
        for name, owner in (("root", 0), ("nobody", NOBODY)):
            Path(top, name).mkdir()
            os.chown(Path(top, name), owner, owner)
        yield Path(top)


@pytest.fixture
def capture(namespace: NetworkNamespace) -> Iterator[Callable[..., Waiting]]:
    """Start captures in the namespace; they are gone in the end."""
    running = []

    def start(*arguments: object) -> Waiting:
        running.append(Waiting(namespace, *arguments))
        return running[-1]

    yield start
    for each in running:
        each.kill()
