"""What the service manager hears."""

import os
import socket

import pytest

from capfix.runtime.notify import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager's socket, and its name as $NOTIFY_SOCKET gives it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@capfix-test-{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(name.replace("@", "\0"))
    listener.settimeout(5)
    with listener:
        yield listener, name


def test_each_message_is_one_datagram(manager):
    """Ready, status, watchdog and stopping reach the socket as sd_notify(3) spells them."""
    listener, name = manager
    service = ServiceManager({"NOTIFY_SOCKET": name})
    service.ready("waiting for cipsec0")
    service.status("12 packets")
    service.alive()
    service.reloading()
    service.stopping()
    assert [listener.recv(200) for _ in range(5)] == [
        b"READY=1\nSTATUS=waiting for cipsec0",
        b"STATUS=12 packets",
        b"WATCHDOG=1",
        b"RELOADING=1",
        b"STOPPING=1",
    ]
    service.close()
    service.alive()


@pytest.mark.parametrize("name", ["", "relative", "/nonexistent/notify", "vsock:2:1"])
def test_nobody_listening_is_no_trouble(name):
    """Without a service manager, or with one that is gone, a capture goes on undisturbed."""
    service = ServiceManager({"NOTIFY_SOCKET": name} if name else {})
    service.ready("capturing")
    service.close()


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_watchdog_interval_is_for_this_process_only(environment, interval_s):
    """The interval counts when it is a number and meant for this process, and not for a parent of it."""
    assert ServiceManager(environment).watchdog_interval_s == interval_s
