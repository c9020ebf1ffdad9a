"""One capture, from its first packet to the end of its file: what begins it, what ends it, and how."""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from capfix.errors import CapfixError
from capfix.options.run import CHANGEABLE, RunOptions, option_name
from capfix.runtime.loop import Loop
from capfix.runtime.notify import ServiceManager
from capfix.runtime.report import Report
from capfix.session.conversion import Conversion
from capfix.session.order import Order
from capfix.session.output.output import Output, OutputEvents
from capfix.session.output.section import Section
from capfix.session.sources.packet import PacketSource
from capfix.session.sources.presence import Presence
from capfix.session.status import Standing
from capfix.sink.destination import STDOUT_NAME
from capfix.sink.file import FileTarget
from capfix.sink.pipe import PipeTarget

if TYPE_CHECKING:
    from capfix.sink.series import FileSeries

STALLED_READER_S: Final = 1.0  # how long a pipe's reader is waited for once somebody wants us to end


class Capture:
    """A capture in an event loop of its own. `run` is called once.

    It ends in three steps: `_stop` lets nothing more in, `_drain` converts what was on its way, `_end` has the output
    finished. The last packet asked for, a second signal and an output that failed go straight to the third.
    """

    def __init__(
        self,
        options: RunOptions,
        sources: list[PacketSource],
        order: Order,
        target: "FileTarget | FileSeries | PipeTarget",
        section: Section,
        report: Report,
        service: ServiceManager,
        reread: Callable[[], RunOptions] | None,
        retire_timeout_ms: int,
        streaming: bool,
    ) -> None:
        self._options = options
        self._sources = sources
        self._report = report
        self._service = service
        self._reread = reread
        self._streaming = streaming
        self._output_name = "stdout" if options.output == STDOUT_NAME else options.output
        # A ring block that began to fill retires at the second run of its timer at the latest
        retired_s = 2 * retire_timeout_ms / 1000 + 0.01
        self._retiring_s = max(retired_s, *(source.settling_s for source in sources))
        self._status = 0
        self._is_stopping = False
        self._is_draining = False
        self._is_ended = False
        self._is_abandoned = False
        self._mistake: Exception | None = None
        self._loop = Loop(self._on_mistake)
        self._output = Output(self._loop, target, section, sources, options, report, streaming)
        self._conversion = Conversion(
            self._loop, sources, order, self._output, streaming, changes_crowded_file=bool(options.rotation)
        )
        self._presence = Presence(
            self._loop, sources, self._output, report, options.wait, self._retiring_s, self._stop_in_trouble
        )
        self._standing = Standing(self._loop, sources, self._output, report, service)

    def run(self) -> int:
        """Capture until something ends it, and return the exit status."""
        try:
            self._start()
            self._loop.run()
        finally:
            self._presence.close()
            self._loop.close()
        return self._tell_end()

    def _start(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._interrupt)
        if not self._ends_by_hangup or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
            self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        self._loop.add_signal_handler(signal.SIGUSR1, self._standing.log)
        self._conversion.count = self._options.stop_packets
        self._output.start(
            OutputEvents(self._conversion.pause, self._on_room, over=self._end, finished=self._loop.stop)
        )
        for source in self._sources:
            source.open()
            self._presence.look_for_error(source)
        self._conversion.start(on_idle=self._presence.look_for_errors, on_enough=self._end)
        self._report.say(f"{self._standing.doing()} to {self._output_name}")
        self._presence.start(ready=self._standing.ready)
        self._standing.start()
        if self._options.stop_after_s is not None:
            self._loop.call_later(self._options.stop_after_s, self._stop)

    def _on_room(self) -> None:
        """Take up again what had to wait for a buffer."""
        if not self._conversion.is_paused:
            return
        self._conversion.is_paused = False
        if self._is_ended:
            self._output.close()
        elif self._is_draining:
            self._drain()
        else:
            self._output.catch_up()
            if not self._conversion.is_paused:
                self._conversion.resume()

    def _on_mistake(self, mistake: Exception) -> None:
        """End with a whole file when a callback raises what nobody expected: it might do so for ever."""
        is_first = self._mistake is None
        self._mistake = self._mistake or mistake
        if is_first and not self._is_ended:
            self._loop.call_soon(self._end)
        else:
            self._loop.stop()

    # Signals

    @property
    def _ends_by_hangup(self) -> bool:
        """Whether SIGHUP has nothing else to say: neither to begin a new file nor to read the configuration again."""
        return not self._options.rotation and self._reread is None

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

    def _on_hangup(self) -> None:
        """Begin a new file where files rotate, and read the configuration again; without both, end as on SIGTERM."""
        if self._ends_by_hangup:
            self._interrupt()
        if self._options.rotation:
            self._output.change_file()
        if self._reread is None:
            return
        self._service.reloading()
        try:
            wanted = self._reread()
        except CapfixError as exc:
            self._report.say(f"the configuration stays as it was: {exc}")
        else:
            self._take_over(wanted)
        self._service.ready(self._standing.doing())

    def _take_over(self, wanted: RunOptions) -> None:
        """Make of changed options what can be made of them while running, and tell of the rest."""
        differences = self._options.differences(wanted)
        taken = differences & CHANGEABLE
        if not self._options.rotation:
            taken -= {"retention"}  # there is one file
        self._options = self._options._replace(**{name: getattr(wanted, name) for name in taken})
        self._conversion.count = self._options.stop_packets
        self._output.keep(self._options.retention)
        self._report.is_verbose = self._options.verbose
        names = ", ".join(sorted(map(option_name, taken))) or "nothing"
        self._report.say(f"read the configuration again; changed: {names}")
        if differences - taken:
            names = ", ".join(sorted(map(option_name, differences - taken)))
            self._report.say(f"cannot change while running: {names}; restart for that")

    # The end

    def _stop_in_trouble(self) -> None:
        self._status = 1
        self._stop()

    def _stop(self) -> None:
        """Let nothing more in, and end when what was on its way is out."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._service.stopping()
        self._presence.stop()
        for source in self._sources:
            source.ring.reject_all()
        self._loop.call_later(self._retiring_s, self._drain)

    def _drain(self) -> None:
        """Convert what is left in the rings, as the writer makes room, then end."""
        self._is_draining = True
        if self._is_ended or self._conversion.is_paused:
            return
        if self._conversion.drain():
            self._end()
        elif not self._conversion.is_paused:
            self._loop.call_soon(self._drain)

    def _end(self) -> None:
        """Convert nothing more, and have the output finished."""
        if self._is_ended:
            return
        self._is_ended = True
        self._presence.stop()
        self._conversion.end()
        self._output.close()

    def _abandon_output(self) -> None:
        self._is_abandoned = True
        self._output.abandon()
        self._loop.stop()

    def _tell_end(self) -> int:
        """Tell the counts and return the exit status. A reader who went has seen enough, and is told nothing."""
        if self._output.reader_is_gone:
            return self._status
        if self._is_abandoned:
            self._report.say(
                f"nobody reads {self._output_name} fast enough; gave up what was not written yet"
            )
            self._status = 1
        if self._output.error is not None:
            self._report.say(str(self._output.error))
            self._status = 1
        if self._output.lost_packets:
            self._status = 1
        self._report.summary(self._standing.counts(refresh=False), self._output_name, self._options.link)
        for remark in (remark for source in self._sources for remark in source.remarks()):
            self._report.detail(remark)
        if self._mistake is not None:
            raise self._mistake
        return self._status
