"""The one way by which a file leaves the capture.

Single files, rotated ones, those that a full disk ended and those that a crash left behind all pass `close_file`, which
calls `closed` once for each.
"""

import errno
import os
from collections.abc import Callable
from typing import Final

from capfix.errors import SinkError
from capfix.rotation.closed_file import ClosedFile, Reason
from capfix.sink.buffers import Buffer
from capfix.sink.ending import Ending

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)  # what a full disk says

#: Called from the thread that writes, with each file once it is whole, synced and named; must not raise.
OnClosed = Callable[[ClosedFile], None]


class Tally:
    """What the file being written holds so far. Time stamps are None before the first packet."""

    def __init__(self) -> None:
        self.packets = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def add(self, buffer: Buffer) -> None:
        """Count a buffer that was written."""
        if not buffer.packets:
            return
        self.packets += buffer.packets
        if self.first_ns is None:
            self.first_ns = buffer.maybe_first_timestamp_ns()
        last_ns = buffer.maybe_last_timestamp_ns()
        self.last_ns = self.last_ns if last_ns is None else last_ns

    def replace(self, ending: Ending) -> None:
        """Go by what a walk over the file found instead of what was meant to be in it."""
        self.packets, self.first_ns, self.last_ns = ending.packets, ending.first_ns, ending.last_ns


def close_file(fd: int, finish: Callable[[], str], tally: Tally, reason: Reason, closed: OnClosed) -> None:
    """Sync the file of `fd`, have it named by `finish`, which returns its path, and report it. Leaves `fd` open.

    Raises:
        OSError: the file could not be synced or named. It was not reported then.
    """
    os.fsync(fd)
    path = finish()
    size_bytes = os.fstat(fd).st_size
    closed(ClosedFile(path, reason, tally.packets, tally.first_ns, tally.last_ns, size_bytes))


def reason_for(error: SinkError) -> Reason:
    """Return the reason for closing a file to which nothing more could be written."""
    return Reason.FULL_DISK if error.errno in NO_ROOM else Reason.OUTPUT_FAILED
