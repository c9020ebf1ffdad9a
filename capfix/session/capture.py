"""The event loop of a running capture."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from capfix.attachment import LinkEvent, is_pattern
from capfix.errors import CapfixError, CaptureError, ReaderGoneError, SinkError
from capfix.kernel.links import read_link
from capfix.session.current_file import CurrentFile
from capfix.session.notify import ServiceManager
from capfix.session.options import CHANGEABLE, RunOptions, option_name
from capfix.session.order import Order
from capfix.session.report import Counts, Report
from capfix.session.section import Section
from capfix.session.source import PacketSource
from capfix.sink.buffers import Buffer
from capfix.sink.file import FileTarget
from capfix.sink.output import STDOUT_NAME
from capfix.sink.pipe import PipeTarget, ReaderWatch
from capfix.sink.series import SURVIVABLE, FileSeries
from capfix.sink.writer import Writer
from capfix.transcode import NO_LIMIT, Stop
from capfix.wire.pcapng import encode_comment

STATISTICS_INTERVAL_S: Final = 60.0
FLUSH_INTERVAL_S: Final = 0.5  # a packet is in the file within a second: retire time, this, and the write
LIVE_INTERVAL_S: Final = 1.0
SERVICE_STATUS_INTERVAL_S: Final = 5.0
BLOCKS_AT_ONCE: Final = 32  # ring blocks converted before the loop looks at signals and timers again
STALLED_READER_S: Final = 1.0  # how long a pipe's reader is waited for once somebody wants us to end
HOLD_INTERVAL_S: Final = 0.02  # how often packets that wait for another source's are looked at
REOPEN_INTERVAL_S: Final = 1.0  # how often a full disk is tried again
TEND_INTERVAL_S: Final = 5.0  # how often retention looks at ages and free space
SHORTEST_WAIT_S: Final = 0.001  # a file that is due but waits for a buffer is not asked for without pause
GONE_INTERVAL_S: Final = 1.0  # how often an interface that is down is looked for
LARGEST_OWN_BLOCKS: Final = 4096  # room for the blocks that are not packets, for one interface


class Capture:
    """One capture, from its first packet to the end of its file. `run` is called once."""

    def __init__(
        self,
        options: RunOptions,
        sources: list[PacketSource],
        order: Order,
        target: FileTarget | FileSeries | PipeTarget,
        section: Section,
        report: Report,
        service: ServiceManager,
        reread: Callable[[], RunOptions] | None,
        retire_timeout_ms: int,
        streaming: bool,
    ) -> None:
        self._options = options
        self._sources = sources
        self._order = order
        self._section = section
        self._report = report
        self._service = service
        self._reread = reread
        self._retire_timeout_ms = retire_timeout_ms
        self._streaming = streaming
        self._target = target
        self._output_name = "stdout" if options.output == STDOUT_NAME else options.output
        self._status = 0
        self._owed = b""  # an interface block that the packet converted next needs before it
        self._note = b""  # options for the next packet written, from whichever source
        self._file = CurrentFile(options.file_limits)
        self._has_file = False  # its section is begun
        self._is_change_due = False
        self._is_output_down = False  # what is converted is lost, and counted
        self._is_reopening = False
        self._lost_told = 0
        self._is_paused = False
        self._is_holding = False
        self._is_stopping = False
        self._is_draining = False
        self._is_ended = False
        self._is_flush_due = False
        self._is_abandoned = False
        self._reader_watch: ReaderWatch | None = None
        self._reader_is_gone = False
        self._failure: BaseException | None = None
        self._following: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._finished = asyncio.Event()
        self._writer = Writer(target, self._wake_from_writer)

    def run(self) -> int:
        """Capture until something ends it, and return the exit status."""
        try:
            self._loop.run_until_complete(self._capture())
        finally:
            self._loop.close()
        return self._tell_end()

    async def _capture(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._interrupt)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        self._begin_file()
        if self._streaming or self._options.rotation:
            self._writer.submit()
        self._loop.add_signal_handler(signal.SIGUSR1, self._tell_counts)
        if isinstance(self._target, PipeTarget):
            self._watch_reader(self._target.fd)
        for source in self._sources:
            source.open()
            self._look_for_error(source)
        self._listen()
        self._report.say(f"{self._doing()} to {self._output_name}")
        followed = [
            source
            for source in self._sources
            if source.is_followed and (self._options.wait or is_pattern(source.name))
        ]
        if followed:
            self._follow(followed)
        else:
            self._ready()
        if self._options.duration is not None:
            self._loop.call_later(self._options.duration, self._stop)
        self._loop.call_later(STATISTICS_INTERVAL_S, self._write_statistics_again)
        if self._options.rotation:
            self._watch_clock()
            self._loop.call_later(TEND_INTERVAL_S, self._tend)
        if self._report.is_live:
            self._loop.call_later(LIVE_INTERVAL_S, self._renew_live_line)
        await self._finished.wait()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    # The packets

    def _listen(self) -> None:
        for source in self._sources:
            self._loop.add_reader(source.ring.fileno(), self._on_packets)

    def _stop_listening(self) -> None:
        for source in self._sources:
            self._loop.remove_reader(source.ring.fileno())

    def _on_packets(self) -> None:
        """Convert what is ready, up to a measure; the ring stays readable while more is there."""
        converted = 0
        while converted < BLOCKS_AT_ONCE and not self._is_ended:
            source = self._next_source()
            if source is None:
                break
            if not self._convert_block(source):
                return
            converted += 1
        if self._order.is_holding:
            self._hold()
        elif any(source.is_converting for source in self._sources):  # more is there than wakes us
            self._loop.call_soon(self._on_packets)
        if converted or self._order.is_holding:
            self._flush_later()
        else:  # readable for another reason
            for source in self._sources:
                self._look_for_error(source)

    def _next_source(self) -> PacketSource | None:
        return self._order.next(time.time_ns(), time.monotonic_ns())

    def _hold(self) -> None:
        """Leave the sources alone for a moment: packets that wait for another source's keep them readable."""
        self._stop_listening()
        if not self._is_holding:
            self._is_holding = True
            self._loop.call_later(HOLD_INTERVAL_S, self._look_again)

    def _look_again(self) -> None:
        self._is_holding = False
        if not self._is_paused and not self._is_stopping and not self._is_ended:
            self._listen()
            self._on_packets()

    def _convert_block(self, source: PacketSource) -> bool:
        """Convert one ring block and give it back, or what of it is due; False when that has to wait or all is over."""
        block = source.ring.ready()
        assert block is not None
        if not source.is_converting:
            source.start(block)
        while True:
            if not self._has_file and not self._begin_file():
                return False
            buffer = self._buffer()
            if buffer is None:
                return False
            is_limited_by_file = self._convert(source, block, buffer)
            match source.transcoder.stopped_for:
                case Stop.DONE | Stop.LATER as stop:
                    if stop == Stop.DONE:
                        source.finish()
                    if self._streaming:
                        self._writer.submit()
                    if self._packets_left() == 0:  # known only now if the last packet ends its ring block
                        self._end()
                        return False
                    return True
                case Stop.UNKNOWN_INTERFACE if self._options.rotation and self._section.is_crowded:
                    if not self._change_file():
                        return False
                case Stop.UNKNOWN_INTERFACE:
                    self._owed = source.announce(self._section, source.transcoder.unknown_ifindex)
                case Stop.OUTPUT_FULL if not is_limited_by_file:
                    self._writer.submit()
                case Stop.LIMIT_REACHED if self._packets_left() <= 0:
                    self._end()
                    return False
                case Stop.LIMIT_REACHED if not self._file.has_all_packets:
                    pass  # the first packet of a file was let in without regard to its size
                case Stop.OUTPUT_FULL | Stop.LIMIT_REACHED:
                    if not self._change_file():
                        return False

    def _convert(self, source: PacketSource, block: memoryview, buffer: Buffer) -> bool:
        """Convert packets as long as buffer and file have room; return whether the file has less than the buffer."""
        self._put(buffer, self._owed)
        self._owed = b""
        interfaces = self._section.interface_count
        room_bytes, room_packets = (None, None) if self._is_output_down else self._file.room(interfaces)
        end = len(buffer.view) if room_bytes is None else min(len(buffer.view), buffer.used + room_bytes)
        limit = self._packets_left() if room_packets is None else min(self._packets_left(), room_packets)
        transcoder = source.transcoder
        written, used = transcoder.written, buffer.used
        buffer.used = transcoder.convert(block, buffer.view[:end], used, limit, source.options + self._note)
        if transcoder.written > written:
            source.options = self._note = b""
            self._file.packets += transcoder.written - written
            self._file.size_bytes += buffer.used - used
        return end < len(buffer.view)

    def _buffer(self, room: int = LARGEST_OWN_BLOCKS) -> Buffer | None:
        """Return the buffer to fill. While there is none the rings are left alone, and the writer wakes us."""
        if self._is_reopening:
            return None
        buffer = self._writer.buffer()
        if buffer is not None and buffer.room < room:
            self._writer.submit()
            buffer = self._writer.buffer()
        if buffer is None:
            self._pause()
        return buffer

    def _pause(self) -> None:
        """Leave the packets in the rings until the writer wakes us."""
        if not self._is_paused:
            self._is_paused = True
            self._stop_listening()

    def _append(self, blocks: bytes) -> bool:
        """Add blocks that are not packets; False, and nothing is added, while the output holds all buffers."""
        buffer = self._buffer(len(blocks)) if self._has_file else None
        if buffer is None:
            return False
        self._put(buffer, blocks)
        return True

    def _put(self, buffer: Buffer, blocks: bytes) -> None:
        buffer.append(blocks)
        self._file.size_bytes += len(blocks)

    def _packets_left(self) -> int:
        count = self._options.count
        return (
            NO_LIMIT if count is None else count - sum(source.transcoder.written for source in self._sources)
        )

    def _flush_later(self) -> None:
        """See to it that what a buffer holds is soon in the file, also when no more packets come to fill it."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_later(FLUSH_INTERVAL_S, self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        self._writer.submit()

    # The files

    def _begin_file(self) -> bool:
        """Begin a section, and with it a file; False while there is no buffer for it."""
        buffer = self._writer.buffer()
        if buffer is None:
            self._pause()
            return False
        now_ns = time.time_ns()
        buffer.opened_ns = now_ns
        self._file.begin(now_ns)
        self._owed = b""
        self._put(buffer, self._section.header())
        for source in self._sources:
            self._put(buffer, source.begin_section(self._section, now_ns))
        self._has_file = True
        self._flush_later()
        return True

    def _change_file(self) -> bool:
        """End this file and begin the next; False when that has to wait for a buffer, or it was the last."""
        if self._is_output_down:  # there is no file; the next begins when there is room
            self._file.restart_clock(time.time_ns())
            return True
        if self._is_ended:
            return False
        self._is_change_due = not self._append(self._statistics(closing=True))
        if self._is_change_due:
            return False
        self._writer.end_file()
        self._has_file = False
        if not self._options.rotation or self._file.begun == self._options.stop_files:
            self._end()
            return False
        return self._begin_file()

    def _watch_clock(self) -> None:
        if self._file.is_over():
            self._change_file()
        wait_s = self._file.maybe_wait_s()
        if wait_s is not None:
            self._loop.call_later(max(wait_s, SHORTEST_WAIT_S), self._watch_clock)

    def _tend(self) -> None:
        self._writer.tend()
        self._loop.call_later(TEND_INTERVAL_S, self._tend)

    def _go_without_output(self, error: SinkError) -> None:
        """Go on capturing when the disk takes no more: what is converted is counted and thrown away."""
        self._is_output_down = True
        self._report.say(f"{error}; capturing goes on, and packets are lost and counted until there is room")
        self._loop.call_later(REOPEN_INTERVAL_S, self._reopen)

    def _reopen(self) -> None:
        """Try to begin a file. The rings wait for the answer, so that the packets lost before it can be told in it."""
        if self._is_ended:
            return
        if self._writer.error is None:  # a file that was due at the same time could be begun
            self._on_output_again()
            return
        self._writer.end_file()
        self._has_file = False
        self._is_reopening = True
        self._pause()
        if self._begin_file():
            self._writer.submit()

    def _on_reopened(self) -> None:
        self._is_reopening = False
        if self._writer.error is not None:
            self._loop.call_later(REOPEN_INTERVAL_S, self._reopen)
        else:
            self._on_output_again()
        self._is_paused = False
        self._go_on()

    def _on_output_again(self) -> None:
        """Tell what was lost to the disk, to the reader of the file too."""
        self._is_output_down = False
        lost = self._writer.lost_packets - self._lost_told
        self._lost_told += lost
        self._note = encode_comment(
            f"{lost} packets before this one could not be written: the disk was full or failed"
        )
        self._report.say(f"writing again; {lost} packets could not be written")

    # What else happens

    def _follow(self, sources: list[PacketSource]) -> None:
        """Begin to attach and detach sources as their interfaces come and go."""
        from capfix.session.following import Follower

        follower = Follower(sources, self._attach, self._detach, self._renew, self._ready)
        self._following = self._loop.create_task(follower.run())
        self._following.add_done_callback(self._on_following_ended)

    def _on_following_ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            return
        error = task.exception()
        if not isinstance(error, CapfixError):
            self._failure = error
        self._report.say(f"interfaces can no longer be followed: {error}")
        self._status = 1
        self._stop()

    def _attach(self, source: PacketSource, event: LinkEvent) -> None:
        if self._is_stopping:
            return
        try:
            source.attach(read_link(event.ifindex), time.time_ns())
        except CaptureError:
            return  # it is gone already, of which the next event tells
        self._report.say(f"{event.name} is there, as ifindex {event.ifindex}")
        self._look_for_error(source)

    def _renew(self, source: PacketSource, event: LinkEvent) -> None:
        with contextlib.suppress(CaptureError):  # gone by now
            source.renew(read_link(event.ifindex))

    def _detach(self, source: PacketSource, event: LinkEvent) -> None:
        if self._is_stopping:
            return
        source.detach(event.ifindex, event.name, time.time_ns())
        # Once the ring block that holds its last packets has retired and was converted
        self._loop.call_later(self._retiring_s(), self._close_statistics, source)
        if source.is_attached or self._options.wait:
            self._report.say(f"{event.name} has gone; waiting for it")
        else:
            self._end_without(source)

    def _close_statistics(self, source: PacketSource) -> None:
        """Write what is known of an interface that has gone."""
        if not self._is_ended and self._append(source.statistics_of_the_left(time.time_ns())):
            self._flush_later()

    def _look_for_error(self, source: PacketSource) -> None:
        """Find out whether the source's interface went down, or away; an error not asked for would wake us forever."""
        if source.ring.take_error() and self._is_there(source):
            if self._options.wait:  # link events tell the rest
                self._report.detail(f"{source.name} is down; waiting for packets")
            else:
                self._report.say(f"{source.name} is down; waiting for packets")
                self._loop.call_later(GONE_INTERVAL_S, self._look_while_down, source)

    def _look_while_down(self, source: PacketSource) -> None:
        """Look now and then: the kernel does not say when an interface goes that was down before."""
        if self._is_there(source) and not all(read_link(ifindex).is_up for ifindex in source.attached):
            self._loop.call_later(GONE_INTERVAL_S, self._look_while_down, source)

    def _is_there(self, source: PacketSource) -> bool:
        """Return whether the source's interface exists; if not, the capture ends in trouble, unless it waits."""
        if not source.is_gone:
            return True
        if not self._options.wait:
            self._end_without(source)
        return False

    def _end_without(self, source: PacketSource) -> None:
        self._report.say(f"{source.name} has gone")
        self._status = 1
        self._stop()

    def _wake_from_writer(self) -> None:
        """Called from the writer's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._on_writer)

    def _on_writer(self) -> None:
        if self._writer.is_finished:
            self._finished.set()
        elif self._is_reopening:
            if not self._has_file:
                if self._begin_file():
                    self._writer.submit()
            elif self._writer.files_begun == self._file.begun:
                self._on_reopened()
        else:
            self._look_for_loss()
            if self._is_paused:
                self._is_paused = False
                self._go_on()

    def _look_for_loss(self) -> None:
        """Find out whether the writer failed, and whether the capture can go on without it for a while."""
        error = self._writer.error
        if self._is_output_down or self._is_ended:
            return
        if error is None:
            if self._writer.lost_packets > self._lost_told:  # the file behind the failed one could be begun
                self._on_output_again()
        elif self._options.rotation and error.errno in SURVIVABLE:
            self._go_without_output(error)
        else:
            self._end()

    def _go_on(self) -> None:
        """Take up again what had to wait for a buffer."""
        if self._is_ended:
            self._close_output()
        elif self._is_draining:
            self._drain()
        else:
            if self._is_change_due:
                self._change_file()
            elif not self._has_file:
                self._begin_file()
            self._listen()
            self._on_packets()

    def _watch_reader(self, fd: int) -> None:
        """Learn at once when the pipe's reader goes, not only at the next write."""
        with contextlib.suppress(OSError):  # a file or a device has no reader who could go
            self._reader_watch = ReaderWatch(fd)
            self._loop.add_reader(self._reader_watch.fileno(), self._on_reader_gone, self._reader_watch)

    def _on_reader_gone(self, watch: ReaderWatch) -> None:
        self._loop.remove_reader(watch.fileno())
        self._reader_is_gone = True
        self._end()

    def _write_statistics_again(self) -> None:
        if self._append(self._statistics()):  # a stalled output goes without
            self._flush_later()
        self._loop.call_later(STATISTICS_INTERVAL_S, self._write_statistics_again)

    def _statistics(self, closing: bool = False) -> bytes:
        """Return statistics of all sources; `closing` ones are the last of a file that another follows."""
        now_ns = time.time_ns()
        return b"".join(source.statistics(now_ns, closing) for source in self._sources)

    def _renew_live_line(self) -> None:
        self._refresh_counts()
        self._report.live(self._counts())
        self._loop.call_later(LIVE_INTERVAL_S, self._renew_live_line)

    def _counts(self) -> Counts:
        rings = [source.ring for source in self._sources]
        transcoders = [source.transcoder for source in self._sources]
        framer = transcoders[0].framer  # one for all of them
        return Counts(
            captured=sum(transcoder.written for transcoder in transcoders) - self._writer.lost_packets,
            received=sum(ring.received for ring in rings),
            kernel_dropped=sum(ring.dropped for ring in rings),
            output_lost=self._writer.lost_packets,
            loopback_copies=sum(transcoder.loopback_copies for transcoder in transcoders),
            not_carried=sum(transcoder.not_carried for transcoder in transcoders),
            duplicates=sum(source.duplicates for source in self._sources),
            headers_kept=framer.headers_kept,
            headers_missing=framer.headers_missing,
            headers_stale=framer.headers_stale,
        )

    def _on_hangup(self) -> None:
        """Begin a new file where files rotate, and read the configuration again; without both, end as on SIGTERM."""
        if self._options.rotation:
            self._change_file()
        elif self._reread is None:
            self._interrupt()
        if self._reread is None:
            return
        self._service.reloading()
        try:
            wanted = self._reread()
        except CapfixError as exc:
            self._report.say(f"the configuration stays as it was: {exc}")
        else:
            self._take_over(wanted)
        self._service.ready(self._doing())

    def _take_over(self, wanted: RunOptions) -> None:
        """Make of changed options what can be made of them while running, and tell of the rest."""
        differences = self._options.differences(wanted)
        taken = differences & CHANGEABLE
        self._options = replace(self._options, **{name: getattr(wanted, name) for name in taken})
        self._report.is_verbose = self._options.verbose
        names = ", ".join(sorted(map(option_name, taken))) or "nothing"
        self._report.say(f"read the configuration again; changed: {names}")
        if differences - taken:
            names = ", ".join(sorted(map(option_name, differences - taken)))
            self._report.say(f"cannot change while running: {names}; restart for that")

    def _tell_counts(self) -> None:
        """Log the counts up to now."""
        self._refresh_counts()
        self._report.say(self._report.status(self._doing(), self._counts()))

    def _refresh_counts(self) -> None:
        for source in self._sources:
            source.ring.refresh_statistics()

    # The service manager

    def _doing(self) -> str:
        """Return what is done, in words."""
        there = [source.name for source in self._sources if source.is_attached]
        absent = [source.name for source in self._sources if not source.is_attached]
        doing = [f"capturing on {', '.join(there)}"] * bool(there) + [
            f"waiting for {', '.join(absent)}"
        ] * bool(absent)
        return ", ".join(doing)

    def _ready(self) -> None:
        """Packets can arrive, or it is certain that the interface's coming will be told."""
        self._service.ready(self._doing())
        if self._service.is_there:
            self._report_to_service()

    def _report_to_service(self) -> None:
        """Tell the service manager that this loop runs, and how the capture stands."""
        self._service.alive()
        self._refresh_counts()
        self._service.status(self._report.status(self._doing(), self._counts()))
        watched_s = self._service.watchdog_interval_s
        interval_s = min(SERVICE_STATUS_INTERVAL_S, watched_s / 3 if watched_s else SERVICE_STATUS_INTERVAL_S)
        self._loop.call_later(interval_s, self._report_to_service)

    # The end

    def _interrupt(self) -> None:
        """End in order at the first signal; a second one gives up what is still in the ring.

        A file gets all that it is due, however long that takes; a reader may have stalled for good.
        """
        if self._streaming:
            self._loop.call_later(STALLED_READER_S, self._abandon_output)
        if self._is_stopping:
            self._end()
        else:
            self._stop()

    def _stop(self) -> None:
        """Let nothing more in, and end when what was on its way is out."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._service.stopping()
        for source in self._sources:
            source.ring.reject_all()
        self._loop.call_later(self._retiring_s(), self._drain)

    def _retiring_s(self) -> float:
        """Return after how many seconds a ring block that began to fill has retired: two runs of its timer."""
        return 2 * self._retire_timeout_ms / 1000 + 0.01

    def _drain(self) -> None:
        """Convert what is left in the rings, as the writer makes room, then end."""
        self._is_draining = True
        if self._is_ended or self._is_paused:
            return
        self._order.stop_waiting()
        self._on_packets()
        if self._next_source() is None:
            self._end()
        elif not self._is_paused:
            self._loop.call_soon(self._drain)

    def _end(self) -> None:
        """Convert nothing more, and have the output finished."""
        if self._is_ended:
            return
        self._is_ended = True
        self._is_reopening = False
        self._stop_listening()
        self._close_output()

    def _close_output(self) -> None:
        """Close the output behind the last statistics, once there is a buffer for them."""
        if not self._has_file or self._append(self._statistics()):
            self._writer.close()

    def _abandon_output(self) -> None:
        self._is_abandoned = True
        self._writer.abandon()
        self._finished.set()

    def _tell_end(self) -> int:
        """Tell the counts and return the exit status. A reader who went has seen enough, and is told nothing."""
        error = self._writer.error
        if self._reader_is_gone or isinstance(error, ReaderGoneError):
            return self._status
        if self._is_abandoned:
            self._report.say(
                f"nobody reads {self._output_name} fast enough; gave up what was not written yet"
            )
            self._status = 1
        if error is not None:
            self._report.say(str(error))
            self._status = error.exit_status
        if self._writer.lost_packets:
            self._status = 1
        self._report.summary(self._counts(), self._output_name, self._options.link)
        if self._failure is not None:
            raise self._failure
        return self._status
