"""Keeping a packet source attached to its interfaces as they go and come while the capture runs."""

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from capfix.errors import CaptureError
from capfix.kernel.links import read_link
from capfix.options.interface_names import is_pattern
from capfix.runtime.events import DETAIL, NOTICE, TROUBLE, EventKind
from capfix.runtime.loop import Loop
from capfix.runtime.report import Report
from capfix.session.sources.attachment import Scope
from capfix.session.sources.packet import PacketSource

if TYPE_CHECKING:
    from capfix.session.sources.following import LinkFollower
    from capfix.wire.rtnetlink import LinkEvent

GONE_INTERVAL_S: Final = 1.0  # how often an interface that is down is looked for

CAME: Final = EventKind("interface-came", NOTICE, "{interface} is there, as ifindex {ifindex}")
GONE: Final = EventKind("interface-gone", NOTICE, "{interface} has gone; waiting for it")
GONE_FOR_GOOD: Final = EventKind("interface-gone-for-good", TROUBLE, "{interface} has gone")
DOWN: Final = EventKind("interface-down", NOTICE, "{interface} is down; waiting for packets")
DOWN_AWAITED: Final = EventKind("interface-down", DETAIL, "{interface} is down; waiting for packets")
NOT_FOLLOWED: Final = EventKind(
    "interfaces-not-followed", TROUBLE, "interfaces can no longer be followed: {reason}"
)


class Patience(NamedTuple):
    """How long things may take: with `waits`, an interface may go and be waited for; `retiring_s` is after how long the
    packets of one that went are certainly out of the ring.
    """

    waits: bool
    retiring_s: float


class Attachments:
    """Attaches a source to interfaces as they come, and detaches it as they go.

    Without waiting, the going of an interface that was named is the end. Either way `trouble` is called when the
    capture cannot go on, and the reason is told.
    """

    def __init__(
        self,
        loop: Loop,
        source: PacketSource,
        follower: "LinkFollower | None",
        write: Callable[[list[bytes]], None],
        report: Report,
        patience: Patience,
    ) -> None:
        self._loop = loop
        self._source = source
        self._follower = follower
        self._write = write
        self._report = report
        self._patience = patience
        self._trouble: Callable[[], None] = lambda: None
        self._is_stopped = False

    def start(self, trouble: Callable[[], None]) -> None:
        """Begin to follow interfaces: from then on it is certain that one's coming will be noticed."""
        self._trouble = trouble
        if self._follower is not None:
            from capfix.session.sources.following import LinkCalls

            self._follower.start(
                LinkCalls(self._attach, self._detach, self._renew, self._on_failure),
                self._source.attachment.links,
            )

    def stop(self) -> None:
        """Change nothing any more: the capture is about to end."""
        self._is_stopped = True

    def close(self) -> None:
        """Follow no interface any more."""
        if self._follower is not None:
            self._follower.close()

    def look_for_error(self) -> None:
        """Find out whether the interface bound to went down, or away; an error not asked for would wake us forever."""
        if self._source.take_error() and self._is_there():
            name = ", ".join(self._source.attachment.names)
            if self._patience.waits:  # link events tell the rest
                self._report.tell(DOWN_AWAITED(interface=name))
            else:
                self._report.tell(DOWN(interface=name))
                self._loop.call_later(GONE_INTERVAL_S, self._look_while_down)

    def _look_while_down(self) -> None:
        """Look now and then: the kernel does not say when an interface goes that was down before."""
        with contextlib.suppress(CaptureError):  # it goes, or gets another name, at this very moment
            ifindexes = self._source.attachment.ifindexes
            if not self._is_there() or all(read_link(ifindex).is_up for ifindex in ifindexes):
                return
        self._loop.call_later(GONE_INTERVAL_S, self._look_while_down)

    def _is_there(self) -> bool:
        """Return whether the interface bound to exists; if not, the capture ends in trouble, unless it waits."""
        if not self._source.attachment.is_gone:
            return True
        if not self._patience.waits:
            self._end_without(", ".join(self._source.attachment.names))
        return False

    def _end_without(self, name: str) -> None:
        self._report.tell(GONE_FOR_GOOD(interface=name))
        self._trouble()

    def _on_failure(self, error: CaptureError) -> None:
        self._report.tell(NOT_FOLLOWED(reason=str(error)))
        self._trouble()

    def _attach(self, event: "LinkEvent") -> None:
        if self._is_stopped:
            return
        now_ns = time.time_ns()
        if self._source.attachment.scope is Scope.ALL:
            self._source.link_is_back(event.name, event.ifindex, now_ns)
            return
        if event.ifindex in self._source.attachment.ifindexes:
            self._renew(event)
            return
        names = self._wanted_for(event)
        try:
            self._source.attach(read_link(event.ifindex), names, now_ns)
        except CaptureError:
            return  # it is gone already, as the next event tells
        self._report.tell(CAME(interface=event.name, ifindex=event.ifindex))
        self.look_for_error()

    def _wanted_for(self, event: "LinkEvent") -> tuple[str, ...]:
        assert self._follower is not None
        return self._follower.wanted.wanted_for(event)

    def _renew(self, event: "LinkEvent") -> None:
        if self._source.attachment.scope is Scope.ALL:
            return
        with contextlib.suppress(CaptureError):  # gone by now
            self._source.renew(read_link(event.ifindex))

    def _detach(self, event: "LinkEvent") -> None:
        if self._is_stopped:
            return
        now_ns = time.time_ns()
        if self._source.attachment.scope is Scope.ALL:
            self._source.link_is_gone(event.name, now_ns)
        else:
            self._source.detach(event.ifindex, event.name, now_ns)
        # Once the ring block that holds its last packets has retired and was converted
        self._loop.call_later(self._patience.retiring_s, self._close_statistics, event.ifindex)
        if self._source.attachment.scope is not Scope.ALL:
            self._tell_gone(event)

    def _tell_gone(self, event: "LinkEvent") -> None:
        is_named = not all(map(is_pattern, self._wanted_for(event)))
        if self._patience.waits or (not is_named and self._source.attachment.ifindexes):
            self._report.tell(GONE(interface=event.name))
        else:
            self._end_without(event.name)

    def _close_statistics(self, ifindex: int) -> None:
        """Write what is known of an interface that has gone."""
        if not self._is_stopped:
            self._write(self._source.last_statistics_of(ifindex, time.time_ns()))
