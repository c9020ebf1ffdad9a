"""The thread that writes, and the buffers that go to and fro between it and the capture loop."""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from queue import SimpleQueue
from typing import Final, Protocol

from capfix.errors import SinkError
from capfix.rotation.closed_file import Reason
from capfix.sink.buffers import Buffer

PAGE: Final = 4096


class Target(Protocol):
    """Where a Writer writes. Called from its thread only, once opened."""

    buffer_size: int
    buffer_count: int
    keeps_tail: bool  # wants the bytes after the last whole page again at the start of the next buffer

    @property
    def lost_packets(self) -> int:
        """How many packets of buffers that were written are in no file any more."""

    def write(self, buffer: Buffer) -> None:
        """Write a buffer; raise SinkError when it could not be written whole."""

    def maintain(self) -> None:
        """Do what is due even while nothing is written. Called now and then."""

    def close(self) -> None:
        """Finish the output."""


class _Job(Enum):
    """What the thread does beside writing buffers."""

    MAINTAIN = 1
    CLOSE = 2


class Writer:
    """Writes buffers to a target from a thread of its own.

    `wake` is called from that thread: when a buffer is free again after `buffer` had none, when nothing is left to
    write and `is_flush_due`, when writing failed, when the first buffer of a file was dealt with, and when the thread
    ends, as `is_finished` says: all is written and closed, or `exception` is what it did not expect. After a failure
    nothing is written until a buffer begins a new file: `error` is that failure, and `lost_packets` counts what did not
    arrive, over all failures. `has_failed` stays true after the first one. `files_begun` counts the files begun, with
    success or without.
    """

    def __init__(self, target: Target, wake: Callable[[], None]) -> None:
        self.error: SinkError | None = None
        self.exception: Exception | None = None
        self.has_failed = False
        self.files_begun = 0
        self.is_finished = False
        self.is_flush_due = False
        self._target = target
        self._wake = wake
        self._unwritten_packets = 0
        self._jobs: SimpleQueue[Buffer | _Job] = SimpleQueue()
        self._free = deque(Buffer(target.buffer_size) for _ in range(target.buffer_count))
        self._submitted: deque[Buffer] = deque()
        self._current: Buffer | None = None
        self._carry = b""
        self._is_waited_for = False
        self._thread = threading.Thread(target=self._run, name="capfix-writer", daemon=True)
        self._thread.start()

    @property
    def lost_packets(self) -> int:
        """How many packets were submitted and are in no file."""
        return self._unwritten_packets + self._target.lost_packets

    def buffer(self) -> Buffer | None:
        """Return the buffer to fill, or None while all of them are being written."""
        if self._current is None:
            self._is_waited_for = True  # before looking: the thread may free one just after
            if not self._free:
                return None
            self._is_waited_for = False
            self._current = self._free.pop()  # the one used last: the others may never be touched
            self._current.restart(self._carry)
        return self._current

    def submit(self) -> None:
        """Hand the current buffer to the thread, if there is anything in it."""
        self.is_flush_due = False
        buffer = self._current
        if buffer is None or buffer.is_empty:
            return
        if self._target.keeps_tail:
            self._carry = bytes(buffer.view[buffer.used - buffer.used % PAGE : buffer.used])
        self._current = None
        self._submitted.append(buffer)
        self._jobs.put(buffer)

    def flush(self) -> None:
        """Hand the current buffer to the thread if that has nothing else to write; else flush again when woken.

        Meanwhile the buffer goes on filling. So a slow output uses buffers up by the bytes that come, not by the time.
        """
        self.is_flush_due = True  # before looking: the thread may finish just after
        if not self._submitted:
            self.submit()

    def end_file(self, reason: Reason) -> None:
        """Hand over the current buffer as the last of its file, ended for `reason`; the next one begins another."""
        buffer = self._current
        if buffer is not None:
            buffer.ends_file = reason
            self._current = None
            self._submitted.append(buffer)
            self._jobs.put(buffer)
        self._carry = b""

    def maintain(self) -> None:
        """Let the target do what is due even while nothing is written."""
        self._jobs.put(_Job.MAINTAIN)

    def close(self) -> None:
        """Write what is left and close the output, in the thread as everything. Nothing may be submitted after."""
        self.submit()
        self._jobs.put(_Job.CLOSE)

    def abandon(self) -> None:
        """Count as lost what was submitted and is not written yet; the thread may hang in it for good."""
        self._unwritten_packets += sum(
            buffer.packets_from(buffer.carried) for buffer in tuple(self._submitted)
        )

    def _run(self) -> None:
        try:
            self._write_all()
        except Exception as exc:  # for whoever waits: in a thread nobody else would hear of it
            self.exception = exc
        finally:
            self.is_finished = True
            self._wake()

    def _write_all(self) -> None:
        while (job := self._jobs.get()) is not _Job.CLOSE:
            if isinstance(job, Buffer):
                self._write(job)
            else:
                self._target.maintain()
        try:
            self._target.close()
        except SinkError as error:
            self._fail(error)

    def _write(self, buffer: Buffer) -> None:
        begins_file = buffer.opened_ns is not None
        try:
            if self.error is None or begins_file:
                self._target.write(buffer)
                self.error = None
            else:
                self._unwritten_packets += buffer.packets_from(buffer.carried)
        except SinkError as error:
            self._unwritten_packets += buffer.packets_from(buffer.whole_blocks(error.written))
            self._fail(error)
        self.files_begun += begins_file
        self._submitted.popleft()
        self._free.append(buffer)
        if self._is_waited_for or begins_file or (self.is_flush_due and not self._submitted):
            self._wake()

    def _fail(self, error: SinkError) -> None:
        self.error = error
        self.has_failed = True
        self._wake()
