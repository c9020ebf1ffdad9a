"""A capture file on a disk.

Whole pages go through a descriptor with O_DIRECT, past the page cache: at high rates that is faster and leaves
everybody else's cache alone. The bytes behind the last whole page go through a second, ordinary descriptor, so that
the file ends at a whole block after each write; the next write covers that page again.

Where direct I/O is refused, at opening or by the first write, whole pages are written ordinarily and pushed out of the
page cache soon after.
"""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

from capfix.errors import SinkError
from capfix.sink.buffers import Buffer
from capfix.sink.writer import PAGE

FILE_MODE: Final = 0o640  # captures are not for everybody
SYNC_FILE_RANGE_WRITE: Final = 2
SYNC_FILE_RANGE_WAIT_BEFORE_WRITE_AFTER: Final = 7
CACHE_BEHIND: Final = 16 << 20  # how much may be on its way to the disk before we wait for it


class FileTarget:
    """One file, written from its beginning. An existing file is replaced."""

    buffer_size = 4 << 20
    buffer_count = 4
    keeps_tail = True

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            SinkError: it cannot be made there.
        """
        self.path = path
        self._at = 0  # where the next buffer begins in the file, a whole page
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags, FILE_MODE)
        except OSError as exc:
            raise SinkError.from_os(f"cannot write {path}", exc) from exc
        self._direct = _open_direct(self._file)
        self._sync_file_range = (
            ctypes.CDLL(None, use_errno=True).sync_file_range if self._direct is None else None
        )

    def write(self, buffer: Buffer) -> None:
        """Write a buffer at its place.

        Raises:
            SinkError: it does not fit. The file then ends at the last whole block that did.
        """
        whole_pages = buffer.used - buffer.used % PAGE
        written = buffer.carried
        try:
            written = self._write_pages(buffer, whole_pages)
            while written < buffer.used:
                written += os.pwrite(self._file, buffer.view[written : buffer.used], self._at + written)
        except OSError as exc:
            whole = buffer.whole_blocks(max(written, buffer.carried))
            os.ftruncate(self._file, self._at + whole)
            raise SinkError.from_os(f"cannot write {self.path}", exc, whole) from exc
        self._at += whole_pages

    def _write_pages(self, buffer: Buffer, end: int) -> int:
        """Write the first `end` bytes of the buffer, a number of whole pages; return how many were written."""
        written = 0
        while written < end:
            if self._direct is None:
                written += os.pwrite(self._file, buffer.view[written:end], self._at + written)
                continue
            try:
                written += os.pwrite(self._direct, buffer.view[written:end], self._at + written)
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                os.close(self._direct)
                self._direct = None
                self._sync_file_range = ctypes.CDLL(None, use_errno=True).sync_file_range
            if (
                written % PAGE
            ):  # a short write is followed by another, which says why; not from the middle of a page
                written -= written % PAGE
        if self._direct is None and end:
            self._push_out(end)
        return written

    def _push_out(self, length: int) -> None:
        """Start writing to the disk what was just written, and take from the page cache what is there already."""
        assert self._sync_file_range is not None
        self._sync_file_range(
            self._file, ctypes.c_int64(self._at), ctypes.c_int64(length), SYNC_FILE_RANGE_WRITE
        )
        behind = self._at - CACHE_BEHIND
        if behind > 0:
            self._sync_file_range(
                self._file,
                ctypes.c_int64(behind),
                ctypes.c_int64(length),
                SYNC_FILE_RANGE_WAIT_BEFORE_WRITE_AFTER,
            )
            os.posix_fadvise(self._file, 0, behind + length, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file.

        Raises:
            SinkError: the system says only now that something did not arrive.
        """
        if self._direct is not None:
            os.close(self._direct)
        try:
            os.close(self._file)
        except OSError as exc:
            raise SinkError.from_os(f"cannot finish {self.path}", exc) from exc


def _open_direct(file: int) -> int | None:
    """Return a second descriptor of the same file that bypasses the page cache; None where that is refused."""
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None
