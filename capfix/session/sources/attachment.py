"""Which interfaces a capture is attached to, following what is told of links. Pure.

The capture asks for a name, or for a pattern such as `tun*`. Links come, go, are renamed and move between network
namespaces; here that becomes: these are gone, these have come. Whether a link is up does not matter: a packet socket
stays bound to a link that is down, and sees it come up again.
"""

from typing import NamedTuple

from capfix.kernel.links import LinkEvent
from capfix.options.interface_names import is_match


class Change(NamedTuple):
    """What to do now: detach from `gone`, then attach to `come`. Both empty: nothing."""

    gone: tuple[LinkEvent, ...] = ()
    come: tuple[LinkEvent, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gone or self.come)


class Attachment:
    """The links of the wanted name or pattern that are there."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self._present: dict[int, LinkEvent] = {}

    @property
    def present(self) -> tuple[LinkEvent, ...]:
        """The links attached to, in the order of their index."""
        return tuple(self._present[ifindex] for ifindex in sorted(self._present))

    def apply(self, told: LinkEvent) -> Change:
        """Take in one event and return what changes by it.

        Names are unique among the links of a namespace, so one that turns up under another index means that its
        earlier bearer is gone, even where the event that said so was lost.
        """
        known = self._present.get(told.ifindex)
        if not told.present or not is_match(told.name, self.wanted):
            if known is None:
                return Change()
            del self._present[told.ifindex]
            return Change(gone=(known,))
        same = known is not None and (known.name, known.hardware_type) == (told.name, told.hardware_type)
        gone = [link for link in self.present if link.name == told.name and link.ifindex != told.ifindex]
        if known is not None and not same:
            gone.append(known)
        for link in gone:
            del self._present[link.ifindex]
        self._present[told.ifindex] = told
        return Change(tuple(gone), () if same else (told,))
