"""How the capture stands, and telling it: the live line, the log, the service manager."""

from collections.abc import Sequence
from typing import Final

from capfix.runtime.loop import Loop
from capfix.runtime.notify import ServiceManager
from capfix.runtime.report import Counts, Report
from capfix.session.output.output import Output
from capfix.session.sources.packet import PacketSource

LIVE_INTERVAL_S: Final = 1.0
SERVICE_STATUS_INTERVAL_S: Final = 5.0


class Standing:
    """Gathers the counts of a capture and tells them to whoever wants to know."""

    def __init__(
        self,
        loop: Loop,
        sources: Sequence[PacketSource],
        output: Output,
        report: Report,
        service: ServiceManager,
    ) -> None:
        self._loop = loop
        self._sources = sources
        self._output = output
        self._report = report
        self._service = service

    def start(self) -> None:
        """Begin to renew the live line, where there is one."""
        if self._report.is_live:
            self._loop.call_later(LIVE_INTERVAL_S, self._renew_live_line)

    def doing(self) -> str:
        """Return what is done, in words."""
        there = [source.name for source in self._sources if source.is_attached]
        absent = [source.name for source in self._sources if not source.is_attached]
        doing = [f"capturing on {', '.join(there)}"] if there else []
        return ", ".join(doing + ([f"waiting for {', '.join(absent)}"] if absent else []))

    def counts(self, refresh: bool = True) -> Counts:
        """Return the counts, as the kernel has them now with `refresh`."""
        rings = [source.ring for source in self._sources]
        if refresh:
            for ring in rings:
                ring.refresh_statistics()
        transcoders = [source.transcoder for source in self._sources]
        framer = transcoders[0].framer  # one for all of them
        lost = self._output.lost_packets
        return Counts(
            captured=sum(transcoder.written for transcoder in transcoders) - lost,
            received=sum(ring.received for ring in rings),
            kernel_dropped=sum(ring.dropped for ring in rings),
            output_lost=lost,
            loopback_copies=sum(transcoder.loopback_copies for transcoder in transcoders),
            not_carried=sum(transcoder.not_carried for transcoder in transcoders),
            duplicates=sum(source.duplicates for source in self._sources),
            headers_kept=framer.headers_kept,
            headers_missing=framer.headers_missing,
            headers_stale=framer.headers_stale,
        )

    def log(self) -> None:
        """Log the counts up to now."""
        self._report.say(self._report.status(self.doing(), self.counts()))

    def ready(self) -> None:
        """Packets can arrive, or it is certain that the interface's coming will be told."""
        self._service.ready(self.doing())
        if self._service.is_there:
            self._report_to_service()

    def _renew_live_line(self) -> None:
        self._report.live(self.counts())
        self._loop.call_later(LIVE_INTERVAL_S, self._renew_live_line)

    def _report_to_service(self) -> None:
        """Tell the service manager that this loop runs, and how the capture stands."""
        self._service.alive()
        self._service.status(self._report.status(self.doing(), self.counts()))
        watched_s = self._service.watchdog_interval_s
        interval_s = min(SERVICE_STATUS_INTERVAL_S, watched_s / 3 if watched_s else SERVICE_STATUS_INTERVAL_S)
        self._loop.call_later(interval_s, self._report_to_service)
