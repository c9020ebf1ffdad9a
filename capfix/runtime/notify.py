"""Telling the service manager how the capture is doing: the sd_notify protocol.

One datagram of `KEY=value` lines to the socket that $NOTIFY_SOCKET names. Without that variable, in a shell that is,
nothing is sent, so callers need not ask who started them.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import contextlib
import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """The service manager that started this process, or nobody.

    What is sent must never stop a capture: a service manager that is busy or gone is passed over in silence.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _socket_address(environment.get("NOTIFY_SOCKET", ""))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self.watchdog_interval_s = _watchdog_interval(environment, os.getpid())

    @property
    def is_there(self) -> bool:
        """Whether anybody listens."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """Say that the service does its work from here on, and how it stands."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        self._send("RELOADING=1")

    def status(self, status: str) -> None:
        """Say in one line how the service stands: what `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """Answer the watchdog. To be called by the loop that does the work, twice in each interval."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service has begun to stop."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Close the socket; later calls send nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, lines: str) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.sendto(lines.encode(errors="backslashreplace"), self._address)


def _socket_address(name: str) -> str:
    """Return the address of the socket `name`: `@` stands for the NUL of an abstract one, other forms are not ours."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else ""


def _watchdog_interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds within which the watchdog wants to hear from `pid`, None when nobody watches it."""
    interval_us = environment.get("WATCHDOG_USEC", "")
    if not interval_us.isdecimal() or environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(interval_us) / 1e6 or None
