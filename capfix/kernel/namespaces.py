"""Network namespaces that exist: those with a name, those processes are in, and how to do something in one.

Source: network_namespaces(7), setns(2), ip-netns(8) for where names are.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from capfix.errors import CaptureError, PrivilegeError

_CLONE_NEWNET: Final = 0x40000000
_NAMES: Final = Path("/run/netns")
_libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12

T = TypeVar("T")


class Namespace(NamedTuple):
    """A network namespace: what to call it, and a path that stands for it while it is alive."""

    name: str
    path: Path


def find_namespace(name: str) -> Namespace:
    """Return the namespace of this name, as `ip netns` has it, of a process by its number, or at a path.

    Raises:
        CaptureError: there is none.
    """
    if name.isdecimal():
        found = Namespace(name, Path(f"/proc/{name}/ns/net"))
    else:
        found = Namespace(name, Path(name) if "/" in name else _NAMES / name)
    if not found.path.exists():
        known = ", ".join(sorted(_named())) or "none with a name"
        raise CaptureError(f"no network namespace {name}; there are: {known}, and those of processes by pid")
    return found


def all_namespaces() -> list[Namespace]:
    """Return every namespace that a name or a process leads to, this one first, less those it may not look at."""
    found: dict[int, Namespace] = {}
    own = Path("/proc/self/ns/net")
    names = [Namespace(name, _NAMES / name) for name in sorted(_named())]
    pids = sorted(int(entry) for entry in os.listdir("/proc") if entry.isdecimal())
    processes = [Namespace(f"of process {pid}", Path(f"/proc/{pid}/ns/net")) for pid in pids]
    for namespace in [Namespace("", own), *names, *processes]:
        try:
            found.setdefault(namespace.path.stat().st_ino, namespace)
        except OSError:  # another user's process, or one that has ended
            continue
    return list(found.values())


def run_in_namespace(namespace: Namespace, function: Callable[[], T]) -> T:
    """Return what `function` returns when a thread of its own calls it inside the namespace.

    Raises:
        PrivilegeError: entering takes CAP_SYS_ADMIN.
        CaptureError: the namespace is gone, or the path is no network namespace.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def inside() -> None:
        try:
            _enter(namespace)
            outcome.append(function())
        except BaseException as exc:  # raised again where somebody waits for it
            failure.append(exc)

    thread = threading.Thread(target=inside, name="namespace")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _enter(namespace: Namespace) -> None:
    try:
        fd = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(fd, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(fd)
    except PermissionError as exc:
        raise PrivilegeError(f"enter network namespace {namespace.name}", "CAP_SYS_ADMIN") from exc
    except OSError as exc:
        raise CaptureError(
            f"cannot enter network namespace {namespace.name}: {(exc.strerror or str(exc)).lower()}"
        ) from exc


def _named() -> list[str]:
    try:
        return [entry.name for entry in _NAMES.iterdir()]
    except OSError:
        return []
