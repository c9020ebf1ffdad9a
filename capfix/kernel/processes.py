"""Which process has a socket open, as far as /proc lets this user look: every process for root, else one's own."""

import os
import pwd
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process. `command` is its command line in one string, `unit` the systemd unit or cgroup, "" where unknown."""

    pid: int
    command: str
    unit: str


def socket_holders(inodes: Collection[int]) -> dict[int, list[Process]]:
    """Return the processes that have each of the sockets `inodes` open, the oldest pid first.

    A socket whose holder may not be looked at, or is in another pid namespace, is left out.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, list[Process]] = {}
    if not wanted:
        return found
    for pid in _pids():
        held = {wanted[target] for target in _descriptors(pid) if target in wanted}
        for inode in held:
            found.setdefault(inode, []).append(_describe(pid))
    return found


def user_name(uid: int) -> str:
    """Return the name of a user, or the number where nobody has it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _pids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def _descriptors(pid: int) -> Iterator[str]:
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            try:
                yield os.readlink(entry.path)
            except OSError:  # closed since
                continue
    except OSError:  # ended, or another user's
        return


def _describe(pid: int) -> Process:
    return Process(pid, _command(pid), _unit(pid))


def _command(pid: int) -> str:
    arguments = _read(pid, "cmdline").rstrip("\0").split("\0")
    # A kernel thread and a zombie have no command line
    return " ".join(arguments).strip() or _read(pid, "comm").strip()


def _unit(pid: int) -> str:
    """The last part of the cgroup that is a unit's, else the whole path. cgroups(7)."""
    lines = [line.split(":", 2) for line in _read(pid, "cgroup").splitlines() if line.count(":") >= 2]
    path = next((path for _, controllers, path in lines if controllers in ("", "name=systemd")), "/")
    units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
    return units[-1] if units else path.strip("/")


def _read(pid: int, name: str) -> str:
    try:
        return Path("/proc", str(pid), name).read_text(errors="replace")
    except OSError:
        return ""
