"""A capture file on a disk.

Whole pages go through a descriptor with O_DIRECT, past the page cache: at high rates that is faster and leaves
everybody else's cache alone. The bytes behind the last whole page go through a second, ordinary descriptor, so that
the file ends at a whole block after each write; the next write covers that page again.

Where direct I/O is refused, at opening or by the first write, whole pages are written ordinarily and pushed out of the
page cache soon after.
"""

import contextlib
import ctypes
import errno
import os
from pathlib import Path
from typing import Final

from capfix.errors import SinkError
from capfix.sink.buffers import Buffer
from capfix.sink.ending import end_early
from capfix.sink.writer import PAGE

BUFFER_SIZE: Final = 4 << 20
BUFFER_COUNT: Final = 4
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)  # what a full disk says
FILE_MODE: Final = 0o640  # captures are not for everybody
SYNC_FILE_RANGE_WRITE: Final = 2
SYNC_FILE_RANGE_WAIT_BEFORE_WRITE_AFTER: Final = 7
CACHE_BEHIND: Final = 16 << 20  # how much may be on its way to the disk before we wait for it


class DirectFile:
    """One file, written from its beginning through `fd`, which is open for reading too and belongs to it now.

    `name` is the file's in errors.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self._at = 0  # where the next buffer begins in the file, a whole page
        self._reached = 0  # how much of the buffer being written has arrived
        self._direct = _open_direct(fd)
        self._sync_file_range = (
            ctypes.CDLL(None, use_errno=True).sync_file_range if self._direct is None else None
        )

    def write(self, buffer: Buffer) -> None:
        """Write a buffer at its place. After a failure it can be written again.

        Raises:
            SinkError: it does not fit. The file then ends at the last whole block that did.
        """
        whole_pages = buffer.used - buffer.used % PAGE
        self._reached = 0
        try:
            self._write_pages(buffer, whole_pages)
            while self._reached < buffer.used:
                tail = buffer.view[self._reached : buffer.used]
                self._reached += os.pwrite(self.fd, tail, self._at + self._reached)
        except OSError as exc:
            whole = buffer.whole_blocks(max(self._reached, buffer.carried))
            with contextlib.suppress(
                OSError
            ):  # a failing disk may refuse this too; the first error tells more
                os.ftruncate(self.fd, self._at + whole)
            raise SinkError.from_os(f"cannot write {self.name}", exc, whole) from exc
        self._at += whole_pages

    def _write_pages(self, buffer: Buffer, end: int) -> None:
        """Write the first `end` bytes of the buffer, a number of whole pages, or as many of them as will fit."""
        while self._reached < end:
            pages = buffer.view[self._reached : end]
            if self._direct is None:
                self._reached += os.pwrite(self.fd, pages, self._at + self._reached)
                continue
            try:
                self._reached += os.pwrite(self._direct, pages, self._at + self._reached)
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                os.close(self._direct)
                self._direct = None
                self._sync_file_range = ctypes.CDLL(None, use_errno=True).sync_file_range
            if self._reached % PAGE:  # a limit within a page: what follows, written ordinarily, tells which
                return
        if self._direct is None and end:
            self._push_out(end)

    def _push_out(self, length: int) -> None:
        """Start writing to the disk what was just written, and take from the page cache what is there already."""
        assert self._sync_file_range is not None
        self._sync_file_range(
            self.fd, ctypes.c_int64(self._at), ctypes.c_int64(length), SYNC_FILE_RANGE_WRITE
        )
        behind = self._at - CACHE_BEHIND
        if behind > 0:
            self._sync_file_range(
                self.fd,
                ctypes.c_int64(behind),
                ctypes.c_int64(length),
                SYNC_FILE_RANGE_WAIT_BEFORE_WRITE_AFTER,
            )
            os.posix_fadvise(self.fd, 0, behind + length, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file.

        Raises:
            SinkError: the system says only now that something did not arrive.
        """
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None
        try:
            os.close(self.fd)
        except OSError as exc:
            raise SinkError.from_os(f"cannot finish {self.name}", exc) from exc


class FileTarget:
    """The one file of a capture. An existing file is replaced."""

    buffer_size = BUFFER_SIZE
    buffer_count = BUFFER_COUNT
    keeps_tail = True

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            SinkError: it cannot be made there.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            self._file = DirectFile(os.open(path, flags, FILE_MODE), str(path))
        except OSError as exc:
            raise SinkError.from_os(f"cannot write {path}", exc) from exc

    def write(self, buffer: Buffer) -> None:
        """Write a buffer at its place.

        Raises:
            SinkError: it does not fit. The file then ends at the last whole block that did, and with statistics that
                say why if there is room for them.
        """
        try:
            self._file.write(buffer)
        except SinkError as error:
            with contextlib.suppress(OSError):  # as on a failing disk: the first error tells more
                end_early(self._file.fd, f"capfix ended this file early: {error}")
            raise

    def tend(self) -> None:
        """Nothing is due between writes."""

    def close(self) -> None:
        """Close the file.

        Raises:
            SinkError: the system says only now that something did not arrive.
        """
        self._file.close()


def _open_direct(file: int) -> int | None:
    """Return a second descriptor of the same file that bypasses the page cache; None where that is refused."""
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None
