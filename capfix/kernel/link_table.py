"""Every interface of a network namespace in one netlink dump, with what ioctls do not tell: other names, master.

Source: rtnetlink(7); linux/if_link.h.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from capfix.kernel.dump import dump
from capfix.kernel.links import IFF_UP
from capfix.wire import netlink

IFF_NOARP: Final = 0x80
IFF_LOWER_UP: Final = 0x10000

_RTM_NEWLINK: Final = 16
_RTM_GETLINK: Final = 18
_IFLA_ADDRESS: Final = 1
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_MASTER: Final = 10
_IFLA_LINKINFO: Final = 18
_IFLA_STATS64: Final = 23
_IFLA_PROP_LIST: Final = 52
_IFLA_ALT_IFNAME: Final = 53
_IFLA_INFO_KIND: Final = 1

_INTERFACE: Final = struct.Struct("=BxHiII")  # struct ifinfomsg: family, hardware type, index, flags, change
_PACKET_COUNTS: Final = struct.Struct("=QQ")  # how struct rtnl_link_stats64 begins


@dataclass(frozen=True)
class LinkRecord:
    """One interface. `kind` is what rtnetlink calls it, "" for one that no command made; `master` an index or 0.

    `address` is the link-layer address in its true length. The counts are the device's own, of packets, and may not
    hold what a module delivers past the device.
    """

    name: str
    alternative_names: tuple[str, ...]
    ifindex: int
    kind: str
    hardware_type: int
    flags: int
    mtu: int
    address: bytes
    master: int
    received_packets: int
    sent_packets: int

    @property
    def is_up(self) -> bool:
        return bool(self.flags & IFF_UP)

    @property
    def state(self) -> str:
        """`down`, `up`, or `no carrier` of one that is up with nothing at its other end."""
        if not self.is_up:
            return "down"
        return "up" if self.flags & IFF_LOWER_UP else "no carrier"


def read_link_table() -> list[LinkRecord]:
    """Return the interfaces of the calling thread's network namespace, in the order of their indexes.

    Raises:
        CaptureError: the kernel does not answer.
    """
    request = _INTERFACE.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    answers = dump(socket.NETLINK_ROUTE, _RTM_GETLINK, request, "its interfaces")
    return sorted(_records(answers), key=lambda record: record.ifindex)


def find_link(name: str, table: list[LinkRecord]) -> LinkRecord | None:
    """Return the interface that has `name` as its name or as one of its alternative names."""
    return next((link for link in table if name == link.name or name in link.alternative_names), None)


def _records(messages: Iterator[netlink.Message]) -> Iterator[LinkRecord]:
    for message in messages:
        if message.type == _RTM_NEWLINK and len(message.payload) >= _INTERFACE.size:
            yield _record(message.payload)


def _record(payload: memoryview) -> LinkRecord:
    _, hardware_type, ifindex, flags, _ = _INTERFACE.unpack_from(payload)
    attributes = netlink.decode_attributes(payload[_INTERFACE.size :])
    information = netlink.decode_attributes(attributes.get(_IFLA_LINKINFO, b""))
    properties = netlink.attributes_of(attributes.get(_IFLA_PROP_LIST, b""))
    counts = attributes.get(_IFLA_STATS64, bytes(_PACKET_COUNTS.size))
    received, sent = _PACKET_COUNTS.unpack_from(counts)
    return LinkRecord(
        name=_text(attributes.get(_IFLA_IFNAME, b"")),
        alternative_names=tuple(_text(value) for kind, value in properties if kind == _IFLA_ALT_IFNAME),
        ifindex=ifindex,
        kind=_text(information.get(_IFLA_INFO_KIND, b"")),
        hardware_type=hardware_type,
        flags=flags,
        mtu=_u32(attributes.get(_IFLA_MTU)),
        address=bytes(attributes.get(_IFLA_ADDRESS, b"")),
        master=_u32(attributes.get(_IFLA_MASTER)),
        received_packets=received,
        sent_packets=sent,
    )


def _text(value: bytes | memoryview) -> str:
    return os.fsdecode(bytes(value).split(b"\0")[0])


def _u32(value: memoryview | None) -> int:
    return 0 if value is None else int.from_bytes(value[:4], sys.byteorder)
