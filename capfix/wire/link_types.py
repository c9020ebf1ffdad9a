"""The link types that capfix writes: each one entry here, and its codec.

`capfix.framing` puts the headers, the option --link offers the names, filters count frames with the sizes. A new one
is an entry, a branch in the framer, and a module of its header where that has one.

Source: tcpdump.org, link-layer header types.
"""

from enum import Enum
from typing import Final, NamedTuple

LINKTYPE_ETHERNET: Final = 1
LINKTYPE_RAW: Final = 101
LINKTYPE_LINUX_SLL: Final = 113
LINKTYPE_LINUX_SLL2: Final = 276


class Carries(Enum):
    """Which packets a link type has an honest header for. A tagged 802.3 frame over 1535 bytes none has."""

    EVERYTHING = "everything"
    ETHERTYPES = "802.3 and protocols from 0x0600 on"
    IP = "IPv4 and IPv6"


class LinkType(NamedTuple):
    """One link type.

    `number` is its LINKTYPE_ number; `header_size` is in bytes, without VLAN tags. `has_tags` says that VLAN tags are
    written. `summary` says in a few words what is put before a packet.
    """

    name: str
    number: int
    header_size: int
    carries: Carries
    has_tags: bool
    summary: str


LINK_TYPES: Final = {
    link_type.name: link_type
    for link_type in (
        LinkType("sll", LINKTYPE_LINUX_SLL, 16, Carries.EVERYTHING, True, "Linux cooked"),
        LinkType("sll2", LINKTYPE_LINUX_SLL2, 20, Carries.EVERYTHING, True, "Linux cooked, second version"),
        LinkType(
            "ethernet", LINKTYPE_ETHERNET, 14, Carries.ETHERTYPES, True, "Ethernet with made-up addresses"
        ),
        LinkType("raw", LINKTYPE_RAW, 0, Carries.IP, False, "none, for IPv4 and IPv6 alone"),
    )
}
