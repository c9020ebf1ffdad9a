"""A pipe, or anything else that cannot be written at an offset."""

import os
from pathlib import Path
from typing import Final

from capfix.errors import ReaderGoneError, SinkError
from capfix.sink.buffers import Buffer

STDOUT: Final = 1


class PipeTarget:
    """Writes in order to a descriptor that is open already, and never closes stdout."""

    buffer_size = 1 << 20
    buffer_count = 4
    keeps_tail = False

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    @classmethod
    def open(cls, path: Path) -> "PipeTarget":
        """Open a FIFO or a device; a FIFO waits for its reader.

        Raises:
            SinkError: it cannot be opened for writing.
        """
        try:
            return cls(os.open(path, os.O_WRONLY | os.O_CLOEXEC), str(path))
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
                written += os.write(self.fd, buffer.view[written : buffer.used])
        except BrokenPipeError as exc:
            raise ReaderGoneError(f"the reader of {self.name} has gone", written) from exc
        except OSError as exc:
            raise SinkError.from_os(f"cannot write {self.name}", exc, written) from exc

    def close(self) -> None:
        """Close the descriptor, unless it is stdout, which belongs to whoever started us."""
        if self.fd != STDOUT:
            os.close(self.fd)
