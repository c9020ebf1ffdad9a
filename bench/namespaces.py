"""Network namespaces that belong to this process and go when it goes, also by SIGKILL."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Namespace:
    """A network namespace held open by a descriptor only: it has no name and leaves no file.

    IPv6 is off in it, so that neither router solicitations nor neighbour discovery mix with a counted load.
    """

    def __init__(self) -> None:
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.unshare(_CLONE_NEWNET))
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            for scope in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")
        finally:
            _check(_libc.setns(home, _CLONE_NEWNET))
            os.close(home)

    def close(self) -> None:
        """Let the namespace go; the kernel takes its devices down with it."""
        os.close(self.fd)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread into the namespace for the length of the block."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(self.fd, _CLONE_NEWNET))
            yield
        finally:
            _check(_libc.setns(home, _CLONE_NEWNET))
            os.close(home)

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a command in the namespace; `options` as for subprocess.Popen.

        By setns and not by `ip netns exec`, which mounts a sysfs and would show up in the command's system time.
        """
        return subprocess.Popen(
            command, preexec_fn=lambda: _check(_libc.setns(self.fd, _CLONE_NEWNET)), **options
        )

    def run(self, command: str, pass_fds: Sequence[int] = ()) -> None:
        """Run one `ip` or `tc` command line, split at blanks, to its end."""
        process = self.start(command.split(), stderr=subprocess.PIPE, pass_fds=pass_fds)
        _, errors = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{command}: {errors.decode().strip()}")

    def packets(self, interface: str, direction: str) -> int:
        """Return a packet counter of /proc/net/dev: `direction` is "rx" or "tx" as the interface sees it."""
        with self.entered():
            lines = Path("/proc/self/net/dev").read_text().splitlines()
        fields = next(
            line.split(":")[1].split() for line in lines if line.strip().startswith(f"{interface}:")
        )
        return int(fields[1 if direction == "rx" else 9])
