"""Giving up privileges once the sockets are open.

A capture needs CAP_NET_RAW to open a packet socket, and nothing to read it, to filter it or to bind it to another
interface. So what a shell gave (root, by sudo or otherwise) goes before the first file is made: files then belong to
whom the process runs as, from the first to the last.

Capabilities and the bounding set belong to threads, not to processes (capabilities(7)): `drop` acts on the calling
thread, what it starts later inherits, and it refuses to call the work done while another thread kept something.
"""

import ctypes
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from capfix.errors import CaptureError, UsageError

# linux/capability.h
CAP_DAC_OVERRIDE = 1
CAP_SETPCAP = 8
CAP_NET_ADMIN = 12
CAP_NET_RAW = 13
_CAPABILITY_VERSION_3 = 0x20080522

# linux/prctl.h
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_libc = ctypes.CDLL(None, use_errno=True)


class Identity(NamedTuple):
    """A user to run as: the user's id, the main group and all groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


class Held(NamedTuple):
    """What one thread holds: three sets of capabilities, each a mask with bit n for capability n."""

    effective: int
    permitted: int
    inheritable: int


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def held() -> Held:
    """Return the capabilities of the calling thread."""
    low, high = data = (_Data * 2)()
    _check(_libc.capget(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), data), "read the capabilities")
    return Held(
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def set_held(wanted: Held) -> None:
    """Give the calling thread exactly the capabilities `wanted`, which must be among those it has.

    Raises:
        CaptureError: the kernel refused.
    """
    masks = (wanted.effective, wanted.permitted, wanted.inheritable)
    data = (_Data * 2)(*(_Data(*(mask >> shift & 0xFFFFFFFF for mask in masks)) for shift in (0, 32)))
    _check(_libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), data), "set the capabilities")


def user_identity(name: str) -> Identity:
    """Return the identity of the user called `name`, or of that number.

    Raises:
        UsageError: there is no such user.
    """
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError as exc:
        raise UsageError(f"there is no user {name}") from exc
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(groups))


def can_write(place: str | os.PathLike[str], identity: Identity | None) -> bool:
    """Return whether `identity` without any capability could write the file `place`, or in the directory `place`.

    None stands for the user that the process already is. The kernel is asked in that user's place, so that access
    lists, read-only mounts and network file systems count; the process is as before afterwards. Must be called while
    no other thread runs, as the effective user changes for all of them.
    """
    mode = os.W_OK | os.X_OK if os.path.isdir(place) else os.W_OK
    with _acting_as(identity):
        return os.access(place, mode, effective_ids=True)


@contextmanager
def _acting_as(identity: Identity | None) -> Iterator[None]:
    before, groups = held(), os.getgroups()
    uid, gid = os.geteuid(), os.getegid()
    try:
        if identity is not None:
            os.setgroups(identity.groups)
            os.setegid(identity.gid)
            os.seteuid(identity.uid)
        set_held(Held(0, before.permitted, before.inheritable))
        yield
    finally:
        set_held(before)  # first, for the capability to change the user back
        if identity is not None:
            os.seteuid(uid)
            os.setegid(gid)
            os.setgroups(groups)
            set_held(before)


def drop(keep: frozenset[int] = frozenset(), identity: Identity | None = None) -> None:
    """Keep no capability but `keep`, change to `identity` unless it is None, and forbid gaining anything by execve.

    The effective and permitted sets become `keep`, as far as it was held; the inheritable and ambient sets become
    empty; where CAP_SETPCAP is held the bounding set is cut to `keep` too, so that a program started by uid 0 has no
    more. Not to be undone. Call it before other threads start.

    Raises:
        CaptureError: the kernel refused, or something was still held afterwards, by this thread or another.
    """
    before = held()
    kept = sum(1 << number for number in keep) & before.permitted
    if before.effective & 1 << CAP_SETPCAP:
        _cut_bounding_set(keep)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if identity is not None:
        _prctl(_PR_SET_KEEPCAPS, 1)  # else leaving uid 0 empties the permitted set, `keep` with it
        _become(identity)
        _prctl(_PR_SET_KEEPCAPS, 0)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    set_held(Held(kept, kept, 0))
    _verify(kept, identity)


def _cut_bounding_set(keep: frozenset[int]) -> None:
    number = 0
    while _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:  # fails beyond the last one the kernel knows
        if number not in keep:
            _prctl(_PR_CAPBSET_DROP, number)
        number += 1


def _become(identity: Identity) -> None:
    calls: tuple[tuple[str, Callable[[], None]], ...] = (
        ("setgroups", lambda: os.setgroups(identity.groups)),
        ("setresgid", lambda: os.setresgid(identity.gid, identity.gid, identity.gid)),
        ("setresuid", lambda: os.setresuid(identity.uid, identity.uid, identity.uid)),
    )
    for name, call in calls:
        try:
            call()
        except OSError as exc:
            reason = (exc.strerror or str(exc)).lower()
            raise CaptureError(f"cannot change to the user {identity.name}: {name}: {reason}") from exc


def _verify(kept: int, identity: Identity | None) -> None:
    if identity is not None and os.getresuid() != (identity.uid,) * 3:
        raise CaptureError(f"the change to the user {identity.name} had no effect")
    for thread in os.listdir("/proc/self/task"):
        found = thread_capabilities(f"/proc/self/task/{thread}/status")
        if found != Held(kept, kept, 0):
            raise CaptureError(f"privileges could not be dropped: thread {thread} still holds {found}")


def thread_capabilities(status: str | os.PathLike[str]) -> Held:
    """Return the capabilities that a status file of /proc (proc(5)) tells of its thread or process."""
    with open(status) as lines:
        fields = dict(line.split(":\t", 1) for line in lines if line.startswith("Cap"))
    return Held(*(int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapInh")))


def _prctl(option: int, argument: int) -> None:
    _check(_libc.prctl(option, argument, 0, 0, 0), f"drop privileges (prctl {option})")


def _check(result: int, what: str) -> None:
    if result != 0:
        raise CaptureError(f"cannot {what}: {os.strerror(ctypes.get_errno())}")
