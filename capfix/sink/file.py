"""A capture file on a disk.

Whole pages go through a descriptor with O_DIRECT, past the page cache: at high rates that is faster and leaves
everybody else's cache alone. The bytes after the last whole page go through a second, ordinary descriptor, so that
the file ends at a whole block after each write; the next write covers that page again.

Where direct I/O is refused, at opening or by the first write, whole pages are written ordinarily and pushed out of the
page cache soon after.
"""

import contextlib
import ctypes
import errno
import os
from typing import Final

from capfix.errors import SinkError
from capfix.rotation.closed_file import Reason
from capfix.sink.buffers import Buffer
from capfix.sink.closing import OnClosed, Tally, close_file, reason_for
from capfix.sink.ending import end_early
from capfix.sink.replacing import directory_of, open_replacing
from capfix.sink.syncer import Syncer
from capfix.sink.writer import PAGE

BUFFER_SIZE: Final = 4 << 20
BUFFER_COUNT: Final = 4
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
    """The one file of a capture. An existing file is replaced, as `replacing` says."""

    buffer_size = BUFFER_SIZE
    buffer_count = BUFFER_COUNT
    keeps_tail = True

    def __init__(self, path: str, closed: OnClosed = lambda _: None) -> None:
        """Open the file; `closed` is called once it is whole.

        Raises:
            SinkError: it cannot be made there, or another capture is writing it.
        """
        self.lost_packets = 0
        self._path = path
        self._closed = closed
        self._tally = Tally()
        self._reason = Reason.STOP
        self._syncer = Syncer()
        try:
            self._directory_fd = os.open(directory_of(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._file = DirectFile(open_replacing(self._directory_fd, path), path)
            except BaseException:
                os.close(self._directory_fd)
                raise
        except OSError as exc:
            raise SinkError.from_os(f"cannot write {path}", exc) from exc
        self._syncer.begin(self._file.fd, self._directory_fd)

    def write(self, buffer: Buffer) -> None:
        """Write a buffer at its place.

        Raises:
            SinkError: it does not fit; the file then ends at the last whole block that did, and with statistics that
                say why if there is room for them. Or the file has been removed, and all its packets with it.
        """
        self._check_presence()
        try:
            self._file.write(buffer)
            self._syncer.wrote()
        except SinkError as error:
            self._end_early(error)
            raise
        except OSError as exc:
            failure = SinkError.from_os(f"cannot sync {self._path}", exc)
            self._end_early(failure)
            raise failure from exc
        self._tally.add(buffer)
        self._reason = buffer.ends_file or self._reason

    def _check_presence(self) -> None:
        if is_removed(self._file.fd):
            self.lost_packets, self._tally = self.lost_packets + self._tally.packets, Tally()
            raise SinkError(f"{self._path} was removed while it was written", errno=errno.ENOENT)

    def _end_early(self, error: SinkError) -> None:
        self._reason = reason_for(error)
        with contextlib.suppress(OSError):  # as on a failing disk: the first error tells more
            self._tally.replace(end_early(self._file.fd, f"capfix ended this file early: {error}"))

    def maintain(self) -> None:
        """Nothing is due between writes."""

    def close(self) -> None:
        """Sync and close the file.

        Raises:
            SinkError: the file has been removed, or the system says only now that something did not arrive.
        """
        try:
            self._syncer.end()
            self._check_presence()
            close_file(self._file.fd, lambda: str(self._path), self._tally, self._reason, self._closed)
        except OSError as exc:
            raise SinkError.from_os(f"cannot finish {self._path}", exc) from exc
        finally:
            self._syncer.close()
            os.close(self._directory_fd)
            self._file.close()


def is_removed(fd: int) -> bool:
    """Whether an open file has no name any more, and will be gone when it is closed."""
    with contextlib.suppress(OSError):  # nobody can say: then it will show when the file is closed
        return os.fstat(fd).st_nlink == 0
    return False


def _open_direct(file: int) -> int | None:
    """Return a second descriptor of the same file that bypasses the page cache; None where that is refused."""
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None
