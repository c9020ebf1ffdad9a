"""Answers of packet_diag: what the kernel tells of a packet socket.

Source: linux/packet_diag.h; linux/sock_diag.h, SK_MEMINFO_DROPS.
"""

import struct
from typing import Final, NamedTuple

from capfix.errors import TruncatedError
from capfix.wire.netlink import decode_attributes

SHOW_INFO: Final = 0x01
SHOW_RING: Final = 0x04
SHOW_FANOUT: Final = 0x08
SHOW_MEMORY: Final = 0x10

_REQUEST: Final = struct.Struct("=BBHII8x")  # family, protocol, padding, inode, what to show, cookie
_ANSWER: Final = struct.Struct("=BBHI8x")  # family, socket type, protocol in host byte order, inode, cookie
_INFO: Final = 0
_RX_RING: Final = 2
_FANOUT: Final = 4
_UID: Final = 5
_MEMORY: Final = 6
_RING: Final = struct.Struct("=II")  # how struct packet_diag_ring begins: block size, block count
_DROPS_AT: Final = 8 * 4
_AF_PACKET: Final = 17


class PacketSocket(NamedTuple):
    """One packet socket. `ifindex` is 0 for all interfaces, `protocol` an EtherType, 0 where it takes nothing.

    `ring_size_bytes` is None without a receive ring, `fanout` without a fanout group. `drops` is None where the
    kernel does not tell: it counts those of a ring for the ring's owner alone.
    """

    inode: int
    socket_type: int
    protocol: int
    ifindex: int
    uid: int | None
    ring_size_bytes: int | None
    fanout: int | None
    drops: int | None


def encode_request() -> bytes:
    """Return struct packet_diag_req that asks for all packet sockets."""
    return _REQUEST.pack(_AF_PACKET, 0, 0, 0, SHOW_INFO | SHOW_RING | SHOW_FANOUT | SHOW_MEMORY)


def decode_packet_socket(payload: memoryview) -> PacketSocket:
    """Return the packet socket that one answer, without its netlink header, is about.

    Raises:
        TruncatedError: it is shorter than struct packet_diag_msg, or an attribute reaches beyond it.
    """
    if len(payload) < _ANSWER.size:
        raise TruncatedError("packet_diag answer", len(payload), _ANSWER.size)
    _, socket_type, protocol, inode = _ANSWER.unpack_from(payload)
    attributes = decode_attributes(payload[_ANSWER.size :])
    ring = attributes.get(_RX_RING, memoryview(b""))
    block_size, block_count = _RING.unpack_from(ring) if len(ring) >= _RING.size else (0, 0)
    return PacketSocket(
        inode=inode,
        socket_type=socket_type,
        protocol=protocol,
        ifindex=_number(attributes.get(_INFO)) or 0,
        uid=_number(attributes.get(_UID)),
        ring_size_bytes=block_size * block_count or None,
        fanout=_number(attributes.get(_FANOUT)),
        drops=None if block_count else _number(attributes.get(_MEMORY, memoryview(b""))[_DROPS_AT:]),
    )


def _number(value: memoryview | None) -> int | None:
    return struct.unpack_from("=I", value)[0] if value is not None and len(value) >= 4 else None
