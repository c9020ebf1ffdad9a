"""A pipe, or anything else that cannot be written at an offset."""

import contextlib
import fcntl
import os
import select
from typing import Final

from capfix.errors import ReaderGoneError, SinkError
from capfix.sink.buffers import Buffer

STDOUT: Final = 1
PIPE_SIZE: Final = 1 << 20  # what an unprivileged process may ask for: pipe(7), pipe-max-size


class ReaderWatch:
    """Becomes readable when the reader of `fd` goes, though nothing is written.

    An error or hang-up on the writing end says that. Whether the descriptor itself is readable does not: stdout under
    sshd is a socket, on which the user's keystrokes come in too.

    Raises:
        OSError: the descriptor is of a kind that nobody can leave, a file or a device.
    """

    def __init__(self, fd: int) -> None:
        self._epoll = select.epoll()
        try:
            self._epoll.register(fd, 0)  # errors and hang-ups are told unasked
        except OSError:
            self._epoll.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._epoll.fileno()


class PipeTarget:
    """Writes in order to a descriptor that is open already, and never closes stdout."""

    buffer_size = 1 << 20
    buffer_count = 4
    keeps_tail = False
    lost_packets = 0

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        with contextlib.suppress(OSError):  # no pipe, or its user has too many: it works as it is
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)

    @classmethod
    def open(cls, path: str) -> "PipeTarget":
        """Open a FIFO or a device; a FIFO waits for its reader.

        Raises:
            SinkError: it cannot be opened for writing.
        """
        try:
            return cls(os.open(path, os.O_WRONLY | os.O_CLOEXEC), path)
        except OSError as exc:
            raise SinkError.from_os(f"cannot write {path}", exc) from exc

    def write(self, buffer: Buffer) -> None:
        """Write a buffer, waiting for the reader as long as that takes.

        Raises:
            ReaderGoneError: nobody reads any more.
            SinkError: writing failed for another reason.
        """
        written = 0
        try:
            while written < buffer.used:
                try:
                    written += os.write(self.fd, buffer.view[written : buffer.used])
                except BlockingIOError:  # whoever shares the descriptor with us may have made it non-blocking
                    self._wait_for_room()
        except BrokenPipeError as exc:
            raise ReaderGoneError(f"the reader of {self.name} has gone", written) from exc
        except OSError as exc:
            raise SinkError.from_os(f"cannot write {self.name}", exc, written) from exc

    def _wait_for_room(self) -> None:
        room = select.poll()
        room.register(self.fd, select.POLLOUT)
        room.poll()

    def maintain(self) -> None:
        """Nothing is due between writes."""

    def close(self) -> None:
        """Close the descriptor, unless it is stdout, which belongs to whoever started us.

        Raises:
            SinkError: the system says only now that something did not arrive.
        """
        if self.fd == STDOUT:
            return
        try:
            os.close(self.fd)
        except OSError as exc:
            raise SinkError.from_os(f"cannot finish {self.name}", exc) from exc
