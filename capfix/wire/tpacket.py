"""TPACKET_V3: how the kernel lays packets into the blocks of a ring.

Compiled. All fields are in host byte order but the protocol. A packet's header is followed by a sockaddr_ll.
`tp_mac` bytes from the header's start lies the link-layer header and `tp_net` bytes the network layer; on a SOCK_DGRAM
socket both are the same. Captured and original length count from `tp_mac`.

Source: linux/if_packet.h, struct tpacket_block_desc, tpacket3_hdr and sockaddr_ll.
"""

import struct
from typing import Final, NamedTuple

import cython

from capfix.errors import TruncatedError
from capfix.wire.numbers import (
    ETH_P_8021Q,
    RING_BLOCK_HEADER_LENGTH,
    SOCKADDR_LL_LENGTH,
    TP_STATUS_CSUM_VALID,
    TP_STATUS_CSUMNOTREADY,
    TP_STATUS_GSO_TCP,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    TPACKET3_HEADER_LENGTH,
)

if cython.compiled:
    from cython.cimports.capfix.wire.c_prefetch import prefetch
else:  # the .pxd file has them otherwise
    from capfix.wire.facts import PacketFacts
    from capfix.wire.memory import load_u16, load_u32

_DESCRIPTOR: Final = struct.Struct("<12x3I8x2I")

_AHEAD: Final = 1024  # a quarter less time a packet than without, on small packets; 512 and 3072 save less
_CACHE_LINE: Final = 64

PACKET_LEAST: Final = TPACKET3_HEADER_LENGTH + SOCKADDR_LL_LENGTH  # a packet with nothing captured


class RingBlock(NamedTuple):
    """The descriptor of a ring block. Offsets and lengths in bytes from its start, times in ns since 1970."""

    packet_count: int
    first_packet_at: int
    length: int
    first_timestamp_ns: int


def decode_ring_block(data: memoryview) -> RingBlock:
    """Return the descriptor at the start of `data`, one block of the ring.

    Raises:
        TruncatedError: `data` is shorter than a descriptor.
    """
    if len(data) < RING_BLOCK_HEADER_LENGTH:
        raise TruncatedError("ring block", len(data), RING_BLOCK_HEADER_LENGTH)
    count, first, length, seconds, nanoseconds = _DESCRIPTOR.unpack_from(data)
    return RingBlock(count, first, min(length, len(data)), seconds * 1_000_000_000 + nanoseconds)


def read_packet(
    buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, facts: PacketFacts
) -> cython.bint:
    """Read the packet whose header starts at `at` into `facts`; False when it does not lie within `end`.

    The offsets in `facts` count from `buf`, like `at` and `end`.
    """
    status: cython.uint
    captured: cython.uint
    original: cython.uint
    header_at: cython.Py_ssize_t
    header_length: cython.Py_ssize_t
    if cython.compiled:
        # The kernel wrote from another processor: have small packets on their way before they are due
        prefetch(buf + at + _AHEAD)
        prefetch(buf + at + _AHEAD + _CACHE_LINE)
    if at < 0 or end - at < PACKET_LEAST:
        return False
    captured = load_u32(buf, at + 12)
    header_at = at + load_u16(buf, at + 24)
    if captured > end - header_at:
        return False
    header_length = at + load_u16(buf, at + 26) - header_at
    if header_length < 0 or header_length > captured:  # cut within the link-layer header
        return False
    original = load_u32(buf, at + 16)
    if original < captured:
        original = captured
    status = load_u32(buf, at + 20)
    facts.timestamp_ns = load_u32(buf, at + 4) * cython.cast(cython.ulonglong, 1_000_000_000) + load_u32(
        buf, at + 8
    )
    facts.header_length = header_length
    facts.payload_at = header_at + header_length
    facts.captured_length = captured - header_length
    facts.original_length = original - header_length
    facts.checksum_not_ready = (status & TP_STATUS_CSUMNOTREADY) != 0
    facts.checksum_valid = (status & TP_STATUS_CSUM_VALID) != 0
    facts.segmentation_offloaded = (status & TP_STATUS_GSO_TCP) != 0
    facts.vlan_tpid = 0
    if status & TP_STATUS_VLAN_VALID:
        facts.vlan_tci = load_u32(buf, at + 32) & 0xFFFF
        facts.vlan_tpid = load_u16(buf, at + 36) if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q
    at += TPACKET3_HEADER_LENGTH
    facts.protocol = (buf[at + 2] << 8) | buf[at + 3]
    facts.ifindex = load_u32(buf, at + 4)
    facts.hardware_type = load_u16(buf, at + 8)
    facts.packet_type = buf[at + 10]
    facts.address_length = buf[at + 11]
    facts.address_at = at + 12
    return True


def next_packet(buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the offset of the packet after the one at `at`, -1 when none can be where its header says."""
    next_at: cython.Py_ssize_t
    if at < 0 or end - at < PACKET_LEAST:
        return -1
    next_at = at + load_u32(buf, at)
    return next_at if at + PACKET_LEAST <= next_at <= end - PACKET_LEAST else -1
