"""Interfaces that go and come while the capture runs."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from capfix.errors import CapfixError, CaptureError
from capfix.kernel.links import LinkEvent, read_link
from capfix.options.interface_names import is_pattern
from capfix.runtime.loop import Loop
from capfix.runtime.report import Report
from capfix.session.output.output import Output
from capfix.session.sources.packet import PacketSource

if TYPE_CHECKING:
    from capfix.session.sources.following import Follower

GONE_INTERVAL_S: Final = 1.0  # how often an interface that is down is looked for


class Presence:
    """Keeps the sources bound to the interfaces they are named after.

    With `waits` an interface may go, and another of its name takes its place; without, its going is the end. Either
    way `trouble` is called when the capture cannot go on, and the reason is told.
    """

    def __init__(
        self,
        loop: Loop,
        sources: Sequence[PacketSource],
        output: Output,
        report: Report,
        waits: bool,
        retiring_s: float,
        trouble: Callable[[], None],
    ) -> None:
        """`retiring_s` is after how long the packets of an interface that went are certainly out of the ring."""
        self._loop = loop
        self._sources = sources
        self._output = output
        self._report = report
        self._waits = waits
        self._retiring_s = retiring_s
        self._trouble = trouble
        self._is_stopped = False
        self._follower: Follower | None = None

    def start(self, ready: Callable[[], None]) -> None:
        """Begin to follow interfaces; `ready` is called once it is certain that one's coming will be told."""
        followed = [
            source
            for source in self._sources
            if source.is_followed and (self._waits or is_pattern(source.name))
        ]
        if not followed:
            ready()
            return
        from capfix.session.sources.following import Follower

        self._follower = Follower(
            self._loop, followed, self._attach, self._detach, self._renew, ready, self._on_following_failed
        )
        self._follower.start()

    def stop(self) -> None:
        """Change nothing any more: the capture is about to end."""
        self._is_stopped = True

    def close(self) -> None:
        """Follow no interface any more."""
        if self._follower is not None:
            self._follower.close()

    def look_for_errors(self) -> None:
        """Find out whether an interface went down, or away; an error not asked for would wake the loop forever."""
        for source in self._sources:
            self.look_for_error(source)

    def look_for_error(self, source: PacketSource) -> None:
        """Find out whether the source's interface went down, or away."""
        if source.ring.take_error() and self._is_there(source):
            if self._waits:  # link events tell the rest
                self._report.detail(f"{source.name} is down; waiting for packets")
            else:
                self._report.say(f"{source.name} is down; waiting for packets")
                self._loop.call_later(GONE_INTERVAL_S, self._look_while_down, source)

    def _look_while_down(self, source: PacketSource) -> None:
        """Look now and then: the kernel does not say when an interface goes that was down before."""
        with contextlib.suppress(CaptureError):  # it goes, or gets another name, at this very moment
            if not self._is_there(source) or all(read_link(ifindex).is_up for ifindex in source.attached):
                return
        self._loop.call_later(GONE_INTERVAL_S, self._look_while_down, source)

    def _is_there(self, source: PacketSource) -> bool:
        """Return whether the source's interface exists; if not, the capture ends in trouble, unless it waits."""
        if not source.is_gone:
            return True
        if not self._waits:
            self._end_without(source)
        return False

    def _end_without(self, source: PacketSource) -> None:
        self._report.say(f"{source.name} has gone")
        self._trouble()

    def _on_following_failed(self, error: Exception) -> None:
        self._report.say(f"interfaces can no longer be followed: {error}")
        self._trouble()
        if not isinstance(error, CapfixError):
            raise error

    def _attach(self, source: PacketSource, event: LinkEvent) -> None:
        if self._is_stopped:
            return
        try:
            source.attach(read_link(event.ifindex), time.time_ns())
        except CaptureError:
            return  # it is gone already, of which the next event tells
        self._report.say(f"{event.name} is there, as ifindex {event.ifindex}")
        self.look_for_error(source)

    def _renew(self, source: PacketSource, event: LinkEvent) -> None:
        with contextlib.suppress(CaptureError):  # gone by now
            source.renew(read_link(event.ifindex))

    def _detach(self, source: PacketSource, event: LinkEvent) -> None:
        if self._is_stopped:
            return
        source.detach(event.ifindex, event.name, time.time_ns())
        # Once the ring block that holds its last packets has retired and was converted
        self._loop.call_later(self._retiring_s, self._close_statistics, source)
        if source.is_attached or self._waits:
            self._report.say(f"{event.name} has gone; waiting for it")
        else:
            self._end_without(source)

    def _close_statistics(self, source: PacketSource) -> None:
        """Write what is known of an interface that has gone."""
        if not self._is_stopped and self._output.append(source.statistics_of_the_left(time.time_ns())):
            self._output.flush_later()
