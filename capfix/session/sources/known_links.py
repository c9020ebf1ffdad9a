"""The interfaces that a capture has heard of, to name packets by even when theirs is gone."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from capfix.errors import CaptureError
from capfix.kernel.links import Link, read_link

if TYPE_CHECKING:
    from capfix.wire.rtnetlink import LinkEvent

REMEMBERED: Final = 1024  # of those that are gone; their packets may still be in the ring


class KnownLinks:
    """Links by their index. `catch_up`, where it is set, reads what the kernel has to tell of links."""

    def __init__(self, links: Iterable[Link] = ()) -> None:
        self.catch_up: Callable[[], None] = lambda: None
        self._links = {link.ifindex: link for link in links}
        self._gone: dict[int, Link] = {}

    def remember(self, link: Link) -> None:
        """Take note of a link as it is now."""
        self._links[link.ifindex] = link
        self._gone.pop(link.ifindex, None)

    def apply(self, event: "LinkEvent") -> None:
        """Take note of what an event tells."""
        if event.present:
            self.remember(link_of(event))
            return
        link = self._links.pop(event.ifindex, None)
        self._gone[event.ifindex] = link or link_of(event)
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def find(self, ifindex: int) -> Link | None:
        """Return a link: as it is now, for its address may be younger than itself, or as it was; None if unheard of.

        Where it is called otherwise by now, it is as it was: its packets came under the old name.
        """
        known = self._links.get(ifindex) or self._gone.get(ifindex)
        try:
            link = read_link(ifindex)
        except CaptureError:
            if known is None:
                self.catch_up()
                known = self._links.get(ifindex) or self._gone.get(ifindex)
            return known
        return link if known is None or link.name == known.name else known


def link_of(event: "LinkEvent") -> Link:
    """Return what an event says of a link."""
    return Link(
        name=event.name,
        ifindex=event.ifindex,
        hardware_type=event.hardware_type,
        mac=event.mac,
        kind=event.kind,
        speed=None,
        is_up=event.up,
    )
