"""The way of blocks into the output: buffer after buffer, section after section, file after file.

What is converted goes into the writer's buffers through here, so that every file gets its section header, its
interface blocks and its statistics, ends where the rules say, and comes back after a full disk.
"""

import contextlib
import errno
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from capfix.errors import ReaderGoneError, SinkError
from capfix.options.run import RunOptions
from capfix.rotation.retention import RetentionRules
from capfix.runtime.loop import Loop
from capfix.runtime.report import Report
from capfix.session.output.current_file import CurrentFile
from capfix.session.output.section import MANY_INTERFACES, Section
from capfix.session.sources.packet import PacketSource
from capfix.sink.buffers import Buffer
from capfix.sink.file import NO_ROOM, FileTarget
from capfix.sink.pipe import PipeTarget, ReaderWatch
from capfix.sink.writer import Writer
from capfix.wire.pcapng import encode_comment

if TYPE_CHECKING:
    from capfix.sink.series import FileSeries

FLUSH_INTERVAL_S: Final = 0.5  # a packet is in the file within a second: retire time, this, and the write
SURVIVABLE: Final = (*NO_ROOM, errno.EIO)  # a rotating capture goes on without a file, and tries again
STATISTICS_INTERVAL_S: Final = 60.0
REOPEN_INTERVAL_S: Final = 1.0  # how often a full disk is tried again
TEND_INTERVAL_S: Final = 5.0  # how often retention looks at ages and free space
SHORTEST_WAIT_S: Final = 0.001  # a file that is due but waits for a buffer is not asked for without pause
LARGEST_OWN_BLOCKS: Final = 4096  # room for the blocks that are not packets, for one interface


class OutputEvents(NamedTuple):
    """Whom an Output tells: `full`, there is no buffer; `room`, there is one again, or it was worth a look;
    `over`, nothing more can or shall be written; `finished`, all is written and closed.
    """

    full: Callable[[], None]
    room: Callable[[], None]
    over: Callable[[], None]
    finished: Callable[[], None]


class Output:
    """Takes blocks in order and sees to the files they go into. Everything but the writing runs in the event loop."""

    def __init__(
        self,
        loop: Loop,
        target: "FileTarget | FileSeries | PipeTarget",
        section: Section,
        sources: Sequence[PacketSource],
        options: RunOptions,
        report: Report,
        streaming: bool,
    ) -> None:
        self.section = section
        self.file = CurrentFile(options.file_limits)
        self.owed = b""  # an interface block that the packet converted next needs before it
        self.note = b""  # options for the next packet written, from whichever source
        self.is_down = False  # what is converted is lost, and counted
        self.reader_is_gone = False
        self._loop = loop
        self._target = target
        self._sources = sources
        self._report = report
        self._streaming = streaming
        self._rotates = bool(options.rotation)
        self._stop_files = options.stop_files
        self._has_file = False  # its section is begun
        self._is_change_due = False
        self._is_reopening = False
        self._is_flush_due = False
        self._is_over = False
        self._lost_told = 0
        self._events: OutputEvents | None = None
        self._writer = Writer(target, self._wake_from_writer)

    def start(self, events: OutputEvents) -> None:
        """Begin the first file, and with it the timers that go by the clock. Called in the running loop."""
        self._events = events
        self.begin_file()
        if self._streaming or self._rotates:
            self._writer.submit()
        if isinstance(self._target, PipeTarget):
            self._watch_reader(self._target.fd)
        self._loop.call_later(STATISTICS_INTERVAL_S, self._write_statistics_again)
        if self._rotates:
            self._watch_clock()
            self._loop.call_later(TEND_INTERVAL_S, self._tend)

    @property
    def error(self) -> SinkError | None:
        """Why the output failed; a reader who went is no failure."""
        return None if isinstance(self._writer.error, ReaderGoneError) else self._writer.error

    @property
    def lost_packets(self) -> int:
        """How many packets were converted and did not reach the output."""
        return self._writer.lost_packets

    # Blocks

    def buffer(self, room: int = LARGEST_OWN_BLOCKS) -> Buffer | None:
        """Return a buffer of the current file with that much room, None while there is none: `full` is told then."""
        if self._is_reopening or not (self._has_file or self.begin_file()):
            return None
        buffer = self._writer.buffer()
        if buffer is not None and buffer.room < room:
            self._writer.submit()
            buffer = self._writer.buffer()
        if buffer is None:
            self._tell_full()
        return buffer

    def append(self, blocks: bytes) -> bool:
        """Add blocks that are not packets; False, and nothing is added, while the output holds all buffers."""
        buffer = self.buffer(len(blocks)) if self._has_file else None
        if buffer is None:
            return False
        self.put(buffer, blocks)
        return True

    def put(self, buffer: Buffer, blocks: bytes) -> None:
        """Add blocks to a buffer that has room for them."""
        buffer.append(blocks)
        self.file.size_bytes += len(blocks)

    def announce(self, source: PacketSource, ifindex: int) -> None:
        """Have the interface block that is due before the first packet of `ifindex`, if one is, come next."""
        self.owed = source.announce(self.section, ifindex)
        if self.owed and self.section.interface_count == MANY_INTERFACES:
            self._report.say(
                f"{MANY_INTERFACES} interfaces in one file: some readers stop at 255; with --rotate-size, -every or "
                "-packets the next file begins before that"
            )

    def submit(self) -> None:
        """Have what is in the buffer written now."""
        self._writer.submit()

    def flush(self) -> None:
        """Have what is in the buffer written as soon as the writer has nothing else to write."""
        self._writer.flush()

    def flush_later(self) -> None:
        """See to it that what a buffer holds is soon in the file, also when no more packets come to fill it."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_later(FLUSH_INTERVAL_S, self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        self.flush()

    def _write_statistics_again(self) -> None:
        if self.append(self._statistics()):  # a stalled output goes without
            self.flush_later()
        self._loop.call_later(STATISTICS_INTERVAL_S, self._write_statistics_again)

    def _statistics(self, closing: bool = False) -> bytes:
        """Return statistics of all sources; `closing` ones are the last of a file that another follows."""
        now_ns = time.time_ns()
        return b"".join(source.statistics(now_ns, closing) for source in self._sources)

    # Files

    def begin_file(self) -> bool:
        """Begin a section, and with it a file; False while there is no buffer for it."""
        buffer = self._writer.buffer()
        if buffer is None:
            self._tell_full()
            return False
        now_ns = time.time_ns()
        buffer.opened_ns = now_ns
        self.file.begin(now_ns)
        self.owed = b""
        self.put(buffer, self.section.header())
        for source in self._sources:
            self.put(buffer, source.begin_section(self.section, now_ns))
        self._has_file = True
        self.flush_later()
        return True

    def change_file(self) -> bool:
        """End this file and begin the next; False when that has to wait for a buffer, or it was the last."""
        if self.is_down:  # there is no file; the next begins when there is room
            self.file.restart_clock(time.time_ns())
            return True
        if self._is_over:
            return False
        self._is_change_due = not self.append(self._statistics(closing=True))
        if self._is_change_due:
            return False
        self._writer.end_file()
        self._has_file = False
        if not self._rotates or self.file.begun == self._stop_files:
            self._tell_over()
            return False
        return self.begin_file()

    def catch_up(self) -> None:
        """Do what waited for a buffer, now that there is one."""
        if self._is_change_due:
            self.change_file()
        elif not self._has_file:
            self.begin_file()

    def _watch_clock(self) -> None:
        if self.file.is_over():
            self.change_file()
        wait_s = self.file.maybe_wait_s()
        if wait_s is not None:
            self._loop.call_later(max(wait_s, SHORTEST_WAIT_S), self._watch_clock)

    def keep(self, rules: RetentionRules) -> None:
        """Go by these rules of retention from now on, where files rotate."""
        if not self._rotates:
            return
        from capfix.sink.series import FileSeries

        if isinstance(self._target, FileSeries):
            self._target.rules = rules

    def _tend(self) -> None:
        self._writer.tend()
        self._loop.call_later(TEND_INTERVAL_S, self._tend)

    # The end

    def close(self) -> None:
        """Write the last statistics, once there is a buffer for them, and close; called again until then."""
        self._is_over = True
        self._is_reopening = False
        if not self._has_file or self.append(self._statistics()):
            self._writer.close()

    def abandon(self) -> None:
        """Give up what is not written yet, and count it as lost."""
        self._writer.abandon()

    # A reader that goes

    def _watch_reader(self, fd: int) -> None:
        """Learn at once when the pipe's reader goes, not only at the next write."""
        with contextlib.suppress(OSError):  # a file or a device has no reader who could go
            watch = ReaderWatch(fd)
            self._loop.add_reader(watch.fileno(), partial(self._on_reader_gone, watch))

    def _on_reader_gone(self, watch: ReaderWatch) -> None:
        self._loop.remove_reader(watch.fileno())
        self.reader_is_gone = True
        self._tell_over()

    # The writer's thread, and a disk that is full

    def _wake_from_writer(self) -> None:
        """Called from the writer's thread."""
        self._loop.call_soon_threadsafe(self._on_writer)

    def _on_writer(self) -> None:
        assert self._events is not None
        if self._writer.is_flush_due:
            self.flush()
        if self._writer.is_finished:
            self.reader_is_gone |= isinstance(self._writer.error, ReaderGoneError)
            self._events.finished()
            if self._writer.mistake is not None:
                raise self._writer.mistake
        elif self._is_reopening:
            if not self._has_file:
                if self.begin_file():
                    self._writer.submit()
            elif self._writer.files_begun == self.file.begun:
                self._on_reopened()
        else:
            self._look_for_loss()
            self._events.room()

    def _look_for_loss(self) -> None:
        """Find out whether the writer failed, and whether the capture can go on without it for a while."""
        error = self._writer.error
        if self.is_down or self._is_over:
            return
        if error is None:
            if self._writer.lost_packets > self._lost_told:  # the file behind the failed one could be begun
                self._on_working_again()
        elif self._rotates and error.errno in SURVIVABLE:
            self.is_down = True
            self._report.say(
                f"{error}; capturing goes on, and packets are lost and counted until there is room"
            )
            self._loop.call_later(REOPEN_INTERVAL_S, self._reopen)
        else:
            self._tell_over()

    def _reopen(self) -> None:
        """Try to begin a file. The rings wait for the answer, so that the packets lost before it can be told in it."""
        if self._is_over:
            return
        if self._writer.error is None:  # a file that was due at the same time could be begun
            self._on_working_again()
            return
        self._writer.end_file()
        self._has_file = False
        self._is_reopening = True
        self._tell_full()
        if self.begin_file():
            self._writer.submit()

    def _on_reopened(self) -> None:
        assert self._events is not None
        self._is_reopening = False
        if self._writer.error is not None:
            self._loop.call_later(REOPEN_INTERVAL_S, self._reopen)
        else:
            self._on_working_again()
        self._events.room()

    def _on_working_again(self) -> None:
        """Tell what was lost to the disk, to the reader of the file too."""
        self.is_down = False
        lost = self._writer.lost_packets - self._lost_told
        self._lost_told += lost
        self.note = encode_comment(
            f"{lost} packets before this one could not be written: the disk was full or failed"
        )
        self._report.say(f"writing again; {lost} packets could not be written")

    def _tell_full(self) -> None:
        assert self._events is not None
        self._events.full()

    def _tell_over(self) -> None:
        assert self._events is not None
        self._events.over()
