"""Blocks on their way into the writer's buffers: those of packets, and those that are not packets."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from capfix.errors import ReaderGoneError, SinkError
from capfix.rotation.closed_file import Reason
from capfix.rotation.retention import RetentionRules
from capfix.runtime.loop import Loop
from capfix.session.output.current_file import CurrentFile
from capfix.sink.buffers import Buffer
from capfix.sink.writer import Target, Writer

FLUSH_INTERVAL_S: Final = 0.5  # a packet is in the file within a second: retire time, this, and the write
LARGEST_OWN_BLOCKS: Final = 4096  # room for the blocks that are not packets, for one interface


class Blocks:
    """Fills buffers and hands them to the writer. Queued blocks go before anything else.

    All but the writing runs in the event loop; `wake` is called there when the writer has something to say.
    """

    def __init__(self, loop: Loop, target: Target, file: CurrentFile, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._target = target
        self._file = file
        self._queued: deque[bytes] = deque()
        self.is_file_begun = False
        self._is_flush_due = False
        self._writer = Writer(target, lambda: loop.call_soon_threadsafe(wake))

    def queue(self, blocks: Iterable[bytes]) -> bool:
        """Have whole blocks written as soon as there are buffers; return whether they are in buffers already."""
        self._queued += blocks
        return self.write_queued()

    def write_queued(self) -> bool:
        """Move queued blocks into buffers; return whether that was all."""
        while self._queued:
            buffer = self._buffer(len(self._queued[0]))
            if buffer is None:
                return False
            self.put(buffer, self._queued.popleft())
        return True

    def drop_queued(self) -> None:
        """Forget them: their file is none any more."""
        self._queued.clear()

    def buffer(self, room: int) -> Buffer | None:
        """Return a buffer with so much room, once queued blocks are in theirs; None while there is none."""
        return self._buffer(room) if self.write_queued() else None

    def _buffer(self, room: int) -> Buffer | None:
        buffer = self._writer.buffer()
        if buffer is not None and buffer.room < room:
            self._writer.submit()
            buffer = self._writer.buffer()
        return buffer

    def put(self, buffer: Buffer, blocks: bytes) -> None:
        """Add blocks to a buffer that has room for them."""
        buffer.append(blocks)
        self._file.size_bytes += len(blocks)

    def begin_file(self, now_ns: int) -> bool:
        """Have the next buffer begin a file; False while there is none."""
        buffer = self._writer.buffer()
        if buffer is None:
            return False
        buffer.opened_ns = now_ns
        self._file.begin(now_ns)
        self.is_file_begun = True
        return True

    def end_file(self, reason: Reason) -> None:
        """Have the current buffer be the last of its file, which ends for `reason`."""
        self._writer.end_file(reason)
        self.is_file_begun = False

    def submit(self) -> None:
        """Have what is in the buffer written now."""
        self._writer.submit()

    def flush(self) -> None:
        """Have what is in the buffer written as soon as the writer has nothing else to write."""
        self._writer.flush()

    def flush_if_due(self) -> None:
        """Do that now if it had to wait for the writer."""
        if self._writer.is_flush_due:
            self._writer.flush()

    def flush_later(self) -> None:
        """See to it that what a buffer holds is soon in the file, also when no more packets come to fill it."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_later(FLUSH_INTERVAL_S, self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        self.flush()

    def maintain(self) -> None:
        """Let the target do what is due also while nothing is written."""
        self._writer.maintain()

    def keep(self, rules: RetentionRules) -> None:
        """Go by these rules of retention from now on, where files rotate."""
        from capfix.sink.series import FileSeries

        if isinstance(self._target, FileSeries):
            self._target.rules = rules

    def close(self) -> None:
        """Write what is left and close the output."""
        self._writer.close()

    def abandon(self) -> None:
        """Give up what is not written yet, and count it as lost."""
        self._writer.abandon()

    # What the writer says

    @property
    def is_finished(self) -> bool:
        """Whether all is written and closed."""
        return self._writer.is_finished

    @property
    def error(self) -> SinkError | None:
        """Why the output failed; a reader who went is no failure."""
        return None if self.has_lost_its_reader else self._writer.error

    @property
    def has_lost_its_reader(self) -> bool:
        """Whether writing failed for want of a reader."""
        return isinstance(self._writer.error, ReaderGoneError)

    @property
    def has_answered(self) -> bool:
        """Whether the writer has dealt with the first buffer of the file begun last."""
        return self._writer.files_begun == self._file.begun

    @property
    def has_failed(self) -> bool:
        """Whether writing failed at any time; a reader who went is no failure."""
        return self._writer.has_failed and not self.has_lost_its_reader

    @property
    def lost_packets(self) -> int:
        """How many packets were converted and did not reach the output."""
        return self._writer.lost_packets

    def raise_exception(self) -> None:
        """Raise what ended the writer's thread, if it was something that nobody expected."""
        if self._writer.exception is not None:
            raise self._writer.exception
