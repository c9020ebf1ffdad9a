"""Following interfaces as they come and go: from link events to what they mean for a source.

The kernel is subscribed to before the first packet. Names are known from then on, also of interfaces that are gone
again by the time their packets are looked at.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from capfix.errors import CaptureError
from capfix.kernel.link_events import LinkEvents
from capfix.kernel.links import Link
from capfix.runtime.loop import Loop
from capfix.session.sources.known_links import KnownLinks
from capfix.session.sources.wanted_links import WantedLinks
from capfix.wire.rtnetlink import LinkEvent


class LinkCalls(NamedTuple):
    """Whom a LinkFollower calls: `come`, a wanted link is there; `gone`, it is no longer; `renewed`, something about it
    may be different; `failed`, the kernel tells no more of links.
    """

    come: Callable[[LinkEvent], None]
    gone: Callable[[LinkEvent], None]
    renewed: Callable[[LinkEvent], None]
    failed: Callable[[CaptureError], None]


class LinkFollower:
    """Follows the links of this network namespace, and calls for those that are `wanted`."""

    def __init__(self, loop: Loop, known: KnownLinks, wanted: Sequence[str]) -> None:
        """Subscribe.

        Raises:
            CaptureError: the kernel refuses.
        """
        self.wanted = WantedLinks(wanted)
        self._loop = loop
        self._known = known
        self._events = LinkEvents()
        self._heard: list[LinkEvent] = []  # and not acted upon
        self._calls: LinkCalls | None = None
        known.catch_up = self._read

    def start(self, calls: LinkCalls, attached: Sequence[Link] = ()) -> None:
        """Begin to call: at once for what is there already, and for what is gone of the links `attached` to."""
        self._calls = calls
        self._loop.add_reader(self._events.fileno(), self._read)
        self._read()
        self._act()
        present = {link.ifindex for link in self.wanted.present}
        for link in attached:
            if link.ifindex not in present:
                calls.gone(LinkEvent(link.ifindex, link.name, False, False, link.hardware_type))

    def close(self) -> None:
        """Follow links no more."""
        self._known.catch_up = lambda: None
        self._events.close()

    def _read(self) -> None:
        """Take note of what the kernel has to tell. It is acted upon later: a conversion may be under way."""
        try:
            events = self._events.read()
        except CaptureError as error:
            self._loop.remove_reader(self._events.fileno())
            if self._calls is not None:
                self._loop.call_soon(self._calls.failed, error)
            return
        for event in events:
            self._known.apply(event)
        if events and not self._heard:
            self._loop.call_soon(self._act)
        self._heard += events

    def _act(self) -> None:
        if self._calls is None:  # its names are wanted, and nothing else
            self._heard.clear()
            return
        heard, self._heard = self._heard, []
        for event in heard:
            self._apply(event, self._calls)

    def _apply(self, event: LinkEvent, calls: LinkCalls) -> None:
        change = self.wanted.apply(event)
        for link in change.gone:
            calls.gone(link)
        for link in change.come:
            calls.come(link)
        if not change and event.present and self.wanted.wanted_for(event):
            calls.renewed(event)
