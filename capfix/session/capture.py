"""One capture, from its first packet to the end of its file: what begins it, what ends it, and how."""

import signal
from collections.abc import Sequence
from typing import Final, NamedTuple

from capfix.options.run import RunOptions
from capfix.rotation.closed_file import Reason
from capfix.runtime.events import NOTICE, TROUBLE, EventKind
from capfix.runtime.loop import Loop
from capfix.runtime.notify import ServiceManager
from capfix.runtime.report import Report
from capfix.session.conversion import Conversion, ConversionEvents
from capfix.session.counts import summary
from capfix.session.output.output import Output, OutputEvents
from capfix.session.phase import CAPTURE_TRANSITIONS, CapturePhase, Phases
from capfix.session.reload import Reload
from capfix.session.sources.attachments import Attachments
from capfix.session.sources.source import Source
from capfix.session.status import Status
from capfix.sink.destination import STDOUT_NAME

STALLED_READER_S: Final = 1.0  # how long a pipe's reader is waited for once somebody wants us to end
STALLED_DISK_S: Final = 3.0  # and a disk, at the second signal
DRAIN_LIMIT_S: Final = (
    2.5  # how long a slow output may keep us from ending; SIGTERM ends a capture within 5 s
)

BEGUN: Final = EventKind("capturing", NOTICE, "{doing} to {output}")
GIVEN_UP: Final = EventKind(
    "output-given-up", TROUBLE, "{output} takes nothing any more; gave up what was not written yet"
)
READER_GIVEN_UP: Final = EventKind(
    "reader-given-up", TROUBLE, "nobody reads {output} fast enough; gave up what was not written yet"
)
OUTPUT_FAILED: Final = EventKind("output-failed", TROUBLE, "{reason}")


class Parts(NamedTuple):
    """What a capture is made of, all of it in one event loop."""

    loop: Loop
    sources: Sequence[Source]
    conversion: Conversion
    output: Output
    attachments: Attachments | None
    status: Status


class Capture:
    """A capture in an event loop of its own. `run` is called once.

    It ends in three steps: `_stop` lets nothing more in, `_drain` converts what was on its way, `_finish` has the
    output finished. The last packet asked for, a second signal and an output that failed go straight to the third.
    """

    def __init__(
        self,
        options: RunOptions,
        parts: Parts,
        report: Report,
        service: ServiceManager,
        reload: Reload | None,
        retiring_s: float,
    ) -> None:
        """`retiring_s` is after how long what was let in is certainly there to be converted."""
        self._options = options
        self._parts = parts
        self._report = report
        self._service = service
        self._reload = reload
        self._retiring_s = retiring_s
        self._phases = Phases(CapturePhase.STARTING, CAPTURE_TRANSITIONS)
        self._status = 0
        self._exception: Exception | None = None

    def run(self) -> int:
        """Capture until something ends it, and return the exit status."""
        self._parts.loop.on_exception = self._on_exception
        try:
            self._start()
            self._parts.loop.run()
        finally:
            if self._parts.attachments is not None:
                self._parts.attachments.close()
            self._parts.loop.close()
        return self._tell_end()

    @property
    def _output_name(self) -> str:
        return "stdout" if self._options.output == STDOUT_NAME else self._options.output

    def _start(self) -> None:
        loop, conversion, output = self._parts.loop, self._parts.conversion, self._parts.output
        self._handle_signals()
        conversion.count = self._options.stop_packets
        output.start(OutputEvents(conversion.pause, self._on_room, over=self._finish, finished=loop.stop))
        for source in self._parts.sources:
            source.open()
        if self._parts.attachments is not None:
            self._parts.attachments.look_for_error()
        conversion.start(ConversionEvents(idle=self._look_for_error, enough=self._finish))
        self._report.tell(BEGUN(doing=self._parts.status.doing(), output=self._output_name))
        self._phases.go(CapturePhase.CAPTURING)
        if self._parts.attachments is not None:
            self._parts.attachments.start(trouble=self._stop_in_trouble)
        self._parts.status.ready()
        self._parts.status.start()
        if self._options.stop_after_s is not None:
            loop.call_later(self._options.stop_after_s, self._stop)

    def _look_for_error(self) -> None:
        if self._parts.attachments is not None:
            self._parts.attachments.look_for_error()

    def _on_room(self) -> None:
        """Take up again what had to wait for a buffer."""
        if self._phases.now is CapturePhase.DRAINING:
            self._drain()
        else:
            self._parts.conversion.resume()

    def _on_exception(self, exception: Exception) -> None:
        """End with a whole file when a callback raises what nobody expected: it might do so for ever."""
        is_first = self._exception is None
        self._exception = self._exception or exception
        if is_first and self._phases.may_go(CapturePhase.FINISHING):
            self._parts.loop.call_soon(self._finish)
        else:
            self._parts.loop.stop()

    # Signals

    @property
    def _ends_by_hangup(self) -> bool:
        """Whether SIGHUP ends the capture: it neither begins a new file nor reads the configuration again."""
        return not self._options.rotation and self._reload is None

    def _handle_signals(self) -> None:
        loop = self._parts.loop
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        if not self._ends_by_hangup or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
            loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        loop.add_signal_handler(signal.SIGUSR1, self._parts.status.log)

    def _interrupt(self) -> None:
        """End in order at the first signal; a second one gives up what is still in the ring, and a stalled disk."""
        loop = self._parts.loop
        if self._parts.output.is_streaming:
            loop.call_later(STALLED_READER_S, self._give_up, READER_GIVEN_UP)
        if self._phases.may_go(CapturePhase.STOPPING):
            self._stop()
            return
        self._finish()
        loop.call_later(STALLED_DISK_S, self._give_up, GIVEN_UP)

    def _on_hangup(self) -> None:
        """Begin a new file where files rotate, and read the configuration again; without both, end as on SIGTERM."""
        if self._ends_by_hangup:
            self._interrupt()
        if self._options.rotation:
            self._parts.output.change_file(Reason.SIGNAL)
        if self._reload is not None:
            self._service.reloading()
            self._take_over(self._reload.read(self._options))
            self._service.ready(self._parts.status.doing())

    def _take_over(self, options: RunOptions) -> None:
        self._options = options
        self._parts.conversion.count = options.stop_packets
        self._parts.output.keep(options.retention)
        self._report.is_verbose = options.verbose

    # The end

    def _stop_in_trouble(self) -> None:
        self._status = 1
        self._stop()

    def _stop(self) -> None:
        """Let nothing more in, and end when what was on its way is out."""
        if not self._phases.may_go(CapturePhase.STOPPING):
            return
        self._phases.go(CapturePhase.STOPPING)
        self._service.stopping()
        self._hold_attachments()
        for source in self._parts.sources:
            source.refuse_all()
        self._parts.loop.call_later(self._retiring_s, self._begin_to_drain)

    def _hold_attachments(self) -> None:
        if self._parts.attachments is not None:
            self._parts.attachments.stop()

    def _begin_to_drain(self) -> None:
        if self._phases.may_go(CapturePhase.DRAINING):
            self._phases.go(CapturePhase.DRAINING)
            self._parts.loop.call_later(DRAIN_LIMIT_S, self._give_up_draining)
            self._drain()

    def _drain(self) -> None:
        """Convert what is left in the rings, as the writer makes room, then end."""
        if self._phases.now is not CapturePhase.DRAINING:
            return
        if self._parts.conversion.drain():
            self._finish()
        elif not self._parts.conversion.is_paused:
            self._parts.loop.call_soon(self._drain)

    def _give_up_draining(self) -> None:
        if self._phases.now is CapturePhase.DRAINING:
            self._finish()

    def _finish(self) -> None:
        """Convert nothing more, and have the output finished."""
        if not self._phases.may_go(CapturePhase.FINISHING):
            return
        was_stopping = self._phases.now in (CapturePhase.STOPPING, CapturePhase.DRAINING)
        self._phases.go(CapturePhase.FINISHING)
        self._hold_attachments()
        self._parts.conversion.end()
        if was_stopping:
            for source in self._parts.sources:
                source.discard()
        self._parts.output.close()

    def _give_up(self, kind: EventKind) -> None:
        """End without the output, which has stalled."""
        if self._phases.may_go(CapturePhase.FINISHING):
            self._finish()
        self._report.tell(kind(output=self._output_name))
        self._status = 1
        self._parts.output.abandon()
        self._parts.loop.stop()

    def _tell_end(self) -> int:
        """Tell the counts and return the exit status. A reader who went has seen enough, and is told nothing."""
        output = self._parts.output
        if output.reader_is_gone and self._exception is None:
            return self._status
        counts = self._parts.status.counts(refresh=False)
        if output.error is not None:
            self._report.tell(OUTPUT_FAILED(reason=str(output.error)))
        for event in summary(counts, self._output_name, self._options.link):
            self._report.tell(event)
        for remark in (remark for source in self._parts.sources for remark in source.remarks()):
            self._report.tell(remark)
        if self._exception is not None:
            raise self._exception
        return 1 if output.has_failed or counts.is_loss else self._status
