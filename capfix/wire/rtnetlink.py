"""What the kernel says of links: RTM_NEWLINK and RTM_DELLINK messages.

The payload is a 16-byte struct ifinfomsg in host byte order, then attributes.

Source: linux/rtnetlink.h, linux/if_link.h; rtnetlink(7).
"""

import struct
from typing import Final, NamedTuple

from capfix.errors import TruncatedError
from capfix.wire.netlink import Message, attributes_of, decode_attributes
from capfix.wire.numbers import ARPHRD_ETHER

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTMGRP_LINK: Final = 1

AF_UNSPEC: Final = 0
IFF_UP: Final = 1

IFLA_ADDRESS: Final = 1
IFLA_IFNAME: Final = 3
IFLA_LINKINFO: Final = 18
IFLA_INFO_KIND: Final = 1
IFLA_PROP_LIST: Final = 52
IFLA_ALT_IFNAME: Final = 53

LINK_HEADER: Final = struct.Struct("=BxHiII")  # family, hardware type, ifindex, flags, change mask


class LinkEvent(NamedTuple):
    """What one message tells: the link of this index is there under this name, or is there no longer.

    `hardware_type` is its ARPHRD number, `mac` 6 bytes where it has such an address. Renaming and moving to another
    namespace are told by messages too: a rename as the same index with another name, a move as absence. Names are
    bytes to the kernel; those that are no UTF-8 have surrogates here, as names of files have.
    """

    ifindex: int
    name: str
    present: bool
    up: bool
    hardware_type: int
    mac: bytes | None = None
    kind: str = ""
    alternative_names: tuple[str, ...] = ()


def maybe_link_event(message: Message) -> LinkEvent | None:
    """Return the link that a message tells of; None for a message about anything else.

    A bridge's messages reach the same group: they say that a link is no longer a bridge's port in the words that
    otherwise say that it is deleted. Their address family tells them apart.

    Raises:
        TruncatedError, FormatError: the message ends early, or its attributes cannot be read.
    """
    if message.type not in (RTM_NEWLINK, RTM_DELLINK):
        return None
    if len(message.payload) < LINK_HEADER.size:
        raise TruncatedError("link message", len(message.payload), LINK_HEADER.size)
    family, hardware_type, ifindex, flags, _ = LINK_HEADER.unpack_from(message.payload)
    if family != AF_UNSPEC:
        return None
    attributes = decode_attributes(message.payload[LINK_HEADER.size :])
    address = bytes(attributes.get(IFLA_ADDRESS, b""))
    properties = attributes.get(IFLA_PROP_LIST, memoryview(b""))
    kind = decode_attributes(attributes.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND, b"")
    return LinkEvent(
        ifindex=ifindex,
        name=_name(attributes.get(IFLA_IFNAME, b"")),
        present=message.type == RTM_NEWLINK,
        up=bool(flags & IFF_UP),
        hardware_type=hardware_type,
        mac=address if hardware_type == ARPHRD_ETHER and len(address) == 6 and any(address) else None,
        kind=_name(kind),
        alternative_names=tuple(
            _name(value) for number, value in attributes_of(properties) if number == IFLA_ALT_IFNAME
        ),
    )


def encode_link_dump_request() -> bytes:
    """Return the payload of an RTM_GETLINK message that asks for all links."""
    return LINK_HEADER.pack(AF_UNSPEC, 0, 0, 0, 0)


def _name(value: bytes | memoryview) -> str:
    return bytes(value).split(b"\0")[0].decode("utf-8", "surrogateescape")
