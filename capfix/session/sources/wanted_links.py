"""Which links a capture wants, following what events tell of them. Pure.

The capture asks for names, or for patterns such as `tun*`. Links come, go, are renamed and move between network
namespaces; here that becomes: these are gone, these have come. Whether a link is up does not matter: a packet socket
stays bound to a link that is down, and sees it come up again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from capfix.options.interface_names import is_match
from capfix.wire.rtnetlink import LinkEvent


class Change(NamedTuple):
    """What to do now: detach from `gone`, then attach to `come`. Both empty: nothing."""

    gone: tuple[LinkEvent, ...] = ()
    come: tuple[LinkEvent, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gone or self.come)


class WantedLinks:
    """The links of the wanted names and patterns that are there."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._wanted = tuple(wanted)
        self._present: dict[int, LinkEvent] = {}

    @property
    def present(self) -> tuple[LinkEvent, ...]:
        """The links that are there, in the order of their index."""
        return tuple(self._present[ifindex] for ifindex in sorted(self._present))

    def wanted_for(self, link: LinkEvent) -> tuple[str, ...]:
        """Return the names and patterns that a link is wanted for, by its name or an alternative one."""
        names = (link.name, *link.alternative_names)
        return tuple(wanted for wanted in self._wanted if is_match(names, wanted))

    def apply(self, told: LinkEvent) -> Change:
        """Take in one event and return what changes by it.

        Names are unique among the links of a namespace, so one that turns up under another index means that its
        earlier bearer is gone, even where the event that said so was lost.
        """
        known = self._present.get(told.ifindex)
        if not told.present or not self.wanted_for(told):
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
