"""How a capture stands, and telling it: the live line, the log, the service manager."""

import time
from collections.abc import Sequence
from typing import Final

from capfix.runtime.events import NOTICE, EventKind
from capfix.runtime.loop import Loop
from capfix.runtime.notify import ServiceManager
from capfix.runtime.report import Report
from capfix.session.counts import Counts, status_line
from capfix.session.output.output import Output
from capfix.session.sources.source import Source

LIVE_INTERVAL_S: Final = 1.0
SERVICE_STATUS_INTERVAL_S: Final = 5.0

STATUS: Final = EventKind("status", NOTICE, "{status}")


class Rate:
    """Packets a second since the last time it was asked for."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._captured = 0

    def since(self, captured: int) -> float:
        """Return the rate at which the count came to `captured`."""
        then, before = self._at, self._captured
        self._at, self._captured = time.monotonic(), captured
        return (captured - before) / max(self._at - then, 1e-9)


class Status:
    """Gathers the counts of a capture and tells them to everybody who wants to know."""

    def __init__(
        self,
        loop: Loop,
        sources: Sequence[Source],
        output: Output,
        report: Report,
        service: ServiceManager,
    ) -> None:
        self._loop = loop
        self._sources = sources
        self._output = output
        self._report = report
        self._service = service
        self._rate = Rate()

    def start(self) -> None:
        """Begin to renew the live line, where there is one."""
        if self._report.is_live:
            self._loop.call_later(LIVE_INTERVAL_S, self._renew_live_line)

    def doing(self) -> str:
        """Return what the capture does, in words."""
        there = [name for source in self._sources for name in source.names_attached]
        absent = [name for source in self._sources for name in source.names_awaited]
        doing = [f"capturing on {', '.join(there)}"] if there else []
        return ", ".join(doing + ([f"waiting for {', '.join(absent)}"] if absent else []))

    def counts(self, refresh: bool = True) -> Counts:
        """Return the counts, as the kernel has them now with `refresh`."""
        counts = Counts()
        for source in self._sources:
            if refresh:
                source.refresh_counts()
            counts = counts.plus(source.counts())
        lost = self._output.lost_packets
        return counts._replace(captured=counts.captured - lost, output_lost=lost)

    def log(self) -> None:
        """Tell the counts up to now."""
        self._report.tell(STATUS(status=self._in_words()))

    def ready(self) -> None:
        """Packets can arrive, or it is certain that the interface's coming will be noticed."""
        self._service.ready(self.doing())
        if self._service.is_there:
            self._report_to_service()

    def _in_words(self) -> str:
        return f"{self.doing()}: {self._line()}"

    def _line(self) -> str:
        counts = self.counts()
        return status_line(counts, self._rate.since(counts.captured))

    def _renew_live_line(self) -> None:
        self._report.live(self._line())
        self._loop.call_later(LIVE_INTERVAL_S, self._renew_live_line)

    def _report_to_service(self) -> None:
        """Tell the service manager that this loop runs, and how the capture stands."""
        self._service.alive()
        self._service.status(self._in_words())
        watched_s = self._service.watchdog_interval_s
        interval_s = min(SERVICE_STATUS_INTERVAL_S, watched_s / 3 if watched_s else SERVICE_STATUS_INTERVAL_S)
        self._loop.call_later(interval_s, self._report_to_service)
