"""Where a capture's packets go: section after section, file after file.

What is converted goes into buffers through here, so that every file gets its section header, its interface blocks and
its statistics, ends where the rules say, and comes back after a full disk.
"""

import contextlib
import errno
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from capfix.errors import SinkError
from capfix.rotation.closed_file import Reason
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules
from capfix.runtime.events import NOTICE, TROUBLE, EventKind
from capfix.runtime.loop import Loop
from capfix.runtime.report import Report
from capfix.session.output.blocks import LARGEST_OWN_BLOCKS, Blocks
from capfix.session.output.content import SectionContent
from capfix.session.output.crowding import Crowding
from capfix.session.output.current_file import CurrentFile
from capfix.session.output.phase import OUTPUT_TRANSITIONS, OutputPhase
from capfix.session.phase import Phases
from capfix.session.sources.source import Source
from capfix.sink.buffers import Buffer
from capfix.sink.closing import NO_ROOM
from capfix.sink.pipe import PipeTarget, ReaderWatch
from capfix.sink.writer import Target
from capfix.wire.pcapng import encode_comment

SURVIVABLE: Final = (*NO_ROOM, errno.EIO)  # a rotating capture goes on without a file, and tries again
STATISTICS_INTERVAL_S: Final = 60.0
REOPEN_INTERVAL_S: Final = 1.0  # how often a full disk is tried again
MAINTENANCE_INTERVAL_S: Final = 5.0  # how often retention looks at ages and free space
SHORTEST_WAIT_S: Final = 0.001  # a file that is due but waits for a buffer is not asked for without pause

DISK_FAILED: Final = EventKind(
    "disk-failed",
    TROUBLE,
    "{reason}; capturing goes on, and packets are lost and counted until there is room",
)
WRITING_AGAIN: Final = EventKind(
    "writing-again", TROUBLE, "writing again; {lost} packets could not be written"
)
CROWDED: Final = EventKind(
    "crowded-file",
    NOTICE,
    "{interfaces} interfaces in one file: some readers stop at 255",
)


class OutputRules(NamedTuple):
    """What ends a file and the output: `limits` of one file; whether another follows; at most `stop_files` in all.

    A `streaming` output has a reader who waits for what is written. With `skip_empty`, time does not end a file
    that has no packets yet.
    """

    limits: RotationRules
    rotates: bool = False
    stop_files: int | None = None
    streaming: bool = False
    skip_empty: bool = False


class OutputEvents(NamedTuple):
    """Whom an Output tells: `full`, there is no buffer; `room`, there is one again, or it was worth a look;
    `over`, nothing more can or shall be written; `finished`, all is written and closed.
    """

    full: Callable[[], None]
    room: Callable[[], None]
    over: Callable[[], None]
    finished: Callable[[], None]


class Output:
    """Takes blocks in order and sees to the files they go into.

    `pending_interface`, an interface block, and `pending_options`, encoded options, go before and with the next packet.
    """

    def __init__(
        self, loop: Loop, target: Target, content: SectionContent, rules: OutputRules, report: Report
    ) -> None:
        self.pending_interface = b""
        self.pending_options = b""
        self.reader_is_gone = False
        self.file = CurrentFile(rules.limits)
        self._loop = loop
        self._content = content
        self._rules = rules
        self._report = report
        self._phases = Phases(OutputPhase.BEGINNING, OUTPUT_TRANSITIONS)
        self._crowding = Crowding(rules.rotates)
        self._ends_for = Reason.STOP
        self._lost_told = 0
        self._blocks = Blocks(loop, target, self.file, self._on_writer)
        self._events: OutputEvents | None = None
        self._watch = partial(self._watch_reader, target)

    def start(self, events: OutputEvents) -> None:
        """Begin the first file, and with it the timers that go by the clock. Called in the running loop."""
        self._events = events
        self._begin_file()
        if self._rules.streaming or self._rules.rotates:
            self._blocks.submit()
        self._watch()
        self._loop.call_later(STATISTICS_INTERVAL_S, self._write_statistics)
        if self._rules.rotates:
            self._watch_clock()
            self._loop.call_later(MAINTENANCE_INTERVAL_S, self._maintain)

    @property
    def is_streaming(self) -> bool:
        """Whether a reader waits for what is written."""
        return self._rules.streaming

    @property
    def phase(self) -> OutputPhase:
        """Where the output stands."""
        return self._phases.now

    @property
    def error(self) -> SinkError | None:
        """Why the output failed; a reader who went is no failure."""
        return self._blocks.error

    @property
    def has_failed(self) -> bool:
        """Whether writing failed at any time, even if it went on later."""
        return self._blocks.has_failed

    @property
    def lost_packets(self) -> int:
        """How many packets were converted and did not reach the output."""
        return self._blocks.lost_packets

    # Blocks

    def buffer(self) -> Buffer | None:
        """Return a buffer of the current file for packets, None while there is none: `full` is told then."""
        if self.phase not in (OutputPhase.WRITING, OutputPhase.DOWN):
            self._catch_up()
        buffer = None
        if self.phase in (OutputPhase.WRITING, OutputPhase.DOWN):
            buffer = self._blocks.buffer(len(self.pending_interface) + LARGEST_OWN_BLOCKS)
        if buffer is None:
            self._tell_full()
            return None
        self._blocks.put(buffer, self.pending_interface)
        self.pending_interface = b""
        return buffer

    def room(self) -> tuple[int | None, int | None]:
        """Return how many bytes and packets the current file may still get; None where nothing limits them."""
        if self.phase is OutputPhase.DOWN:  # there is no file
            return None, None
        return self.file.room(self._content.section.interface_count)

    def append(self, blocks: Iterable[bytes]) -> bool:
        """Add blocks that are not packets to the current file; False, and nothing is added, while there is none."""
        return self.phase is OutputPhase.WRITING and self._blocks.queue(blocks)

    def announce(self, source: Source) -> bool:
        """Have the interface block that `source` needs before its next packet come next; False when that has to wait.

        A new file begins before one has more interfaces than every reader can take, where that is any use.
        """
        section = self._content.section
        if self.phase is OutputPhase.WRITING and self._crowding.wants_new_file(section.interface_count):
            return self.change_file(Reason.INTERFACES)
        self.pending_interface += source.announce(section)
        if self._crowding.is_news(section.interface_count):
            self._report.tell(CROWDED(interfaces=section.interface_count))
        return True

    def submit(self) -> None:
        """Have what is in the buffer written now."""
        self._blocks.submit()

    def flush(self) -> None:
        """Have what is in the buffer written as soon as the writer has nothing else to write."""
        self._blocks.flush()

    def flush_later(self) -> None:
        """See to it that what a buffer holds is soon in the file."""
        self._blocks.flush_later()

    def _write_statistics(self) -> None:
        if self.append(self._content.statistics()):  # a stalled output goes without
            self.flush_later()
        self._loop.call_later(STATISTICS_INTERVAL_S, self._write_statistics)

    # Files

    def _begin_file(self) -> None:
        """Begin a section, and with it a file, as far as there are buffers."""
        now_ns = time.time_ns()
        if not self._blocks.begin_file(now_ns):
            return
        self._crowding.begin()
        self.pending_interface = b""
        self._blocks.drop_queued()
        self._blocks.queue(self._content.begin(now_ns))
        if self.phase is OutputPhase.BEGINNING:
            self._phases.go(OutputPhase.WRITING)
        self.flush_later()

    def change_file(self, reason: Reason) -> bool:
        """End this file for `reason` and begin the next; False when that has to wait, or it was the last."""
        if self.phase is OutputPhase.DOWN:  # there is no file; the next begins when there is room
            self.file.restart_clock(time.time_ns())
            return True
        if self.phase is not OutputPhase.WRITING:
            return False
        self._phases.go(OutputPhase.ENDING)
        self._ends_for = reason
        self._blocks.queue(self._content.statistics(closing=True))
        self._catch_up()
        return self.phase is OutputPhase.WRITING

    def _catch_up(self) -> None:
        """Go on with what waits for buffers, as far as there are some."""
        if self.phase is OutputPhase.ENDING and self._blocks.write_queued():
            self._blocks.end_file(self._ends_for)
            self._phases.go(OutputPhase.BEGINNING)
            if not self._rules.rotates or self.file.begun == self._rules.stop_files:
                self._tell_over()
        if self.phase is OutputPhase.BEGINNING:
            self._begin_file()
        if self.phase is OutputPhase.CLOSING and self._blocks.write_queued():
            self._phases.go(OutputPhase.CLOSED)
            self._blocks.close()

    def _watch_clock(self) -> None:
        if self.file.is_over():
            if self._rules.skip_empty and not self.file.packets:
                self.file.restart_clock(time.time_ns())
            else:
                self.change_file(Reason.TIME)
        wait_s = self.file.maybe_wait_s()
        if wait_s is not None:
            self._loop.call_later(max(wait_s, SHORTEST_WAIT_S), self._watch_clock)

    def keep(self, rules: RetentionRules) -> None:
        """Go by these rules of retention from now on, where files rotate."""
        if self._rules.rotates:
            self._blocks.keep(rules)

    def _maintain(self) -> None:
        self._blocks.maintain()
        self._loop.call_later(MAINTENANCE_INTERVAL_S, self._maintain)

    # The end

    def close(self) -> None:
        """Write the last statistics, once there are buffers for them, and close."""
        if self.phase in (OutputPhase.CLOSING, OutputPhase.CLOSED):
            return
        has_statistics = self.phase is OutputPhase.ENDING
        self._phases.go(OutputPhase.CLOSING)
        if self._blocks.is_file_begun and not has_statistics:
            self._blocks.queue(self._content.statistics())
        self._catch_up()

    def abandon(self) -> None:
        """Give up what is not written yet, and count it as lost."""
        self._blocks.abandon()

    # A reader that goes

    def _watch_reader(self, target: Target) -> None:
        """Learn at once when the pipe's reader goes, not only at the next write."""
        if isinstance(target, PipeTarget):
            with contextlib.suppress(OSError):  # a file or a device has no reader who could go
                watch = ReaderWatch(target.fd)
                self._loop.add_reader(watch.fileno(), partial(self._on_reader_gone, watch))

    def _on_reader_gone(self, watch: ReaderWatch) -> None:
        self._loop.remove_reader(watch.fileno())
        self.reader_is_gone = True
        self._tell_over()

    # The writer's thread, and a disk that is full

    def _on_writer(self) -> None:
        assert self._events is not None
        self._blocks.flush_if_due()
        if self._blocks.is_finished:
            self.reader_is_gone |= self._blocks.has_lost_its_reader
            self._events.finished()
            self._blocks.raise_exception()
            return
        if self.phase is OutputPhase.REOPENING:
            self._look_for_answer()
        else:
            self._look_for_loss()
            self._catch_up()
        if self.phase is not OutputPhase.REOPENING:
            self._events.room()

    def _look_for_loss(self) -> None:
        """Find out whether the writer failed, and whether the capture can go on without it for a while."""
        error = self._blocks.error
        if self.phase in (OutputPhase.DOWN, OutputPhase.CLOSING, OutputPhase.CLOSED):
            return
        if self._blocks.has_lost_its_reader:
            self._tell_over()
        elif error is None:
            if self.lost_packets > self._lost_told:  # the file after the failed one could be begun
                self._tell_working_again()
        elif self._rules.rotates and error.errno in SURVIVABLE:
            self._phases.go(OutputPhase.DOWN)
            self._report.tell(DISK_FAILED(reason=str(error)))
            self._loop.call_later(REOPEN_INTERVAL_S, self._reopen)
        else:
            self._tell_over()

    def _reopen(self) -> None:
        """Try to begin a file. The rings wait for the answer, so that the packets lost before it can be told in it."""
        if self.phase is not OutputPhase.DOWN:
            return
        if self._blocks.error is None:  # a file that was due at the same time could be begun
            self._phases.go(OutputPhase.WRITING)
            self._tell_working_again()
            return
        self._blocks.end_file(Reason.OUTPUT_FAILED)
        self._phases.go(OutputPhase.REOPENING)
        self._tell_full()
        self._look_for_answer()

    def _look_for_answer(self) -> None:
        """Begin the file that is being tried, or find out what became of it."""
        if self._blocks.is_file_begun:
            if self._blocks.has_answered:
                self._on_answer()
            return
        self._begin_file()
        self._blocks.submit()

    def _on_answer(self) -> None:
        if self._blocks.error is None:
            self._phases.go(OutputPhase.WRITING)
            self._tell_working_again()
        else:
            self._phases.go(OutputPhase.DOWN)
            self._loop.call_later(REOPEN_INTERVAL_S, self._reopen)

    def _tell_working_again(self) -> None:
        """Tell what was lost to the disk, to the reader of the file too."""
        lost = self.lost_packets - self._lost_told
        self._lost_told += lost
        self.pending_options += encode_comment(
            f"{lost} packets before this one could not be written: the disk was full or failed"
        )
        self._report.tell(WRITING_AGAIN(lost=lost))

    def _tell_full(self) -> None:
        assert self._events is not None
        self._events.full()

    def _tell_over(self) -> None:
        assert self._events is not None
        self._events.over()
