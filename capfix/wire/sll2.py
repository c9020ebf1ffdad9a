"""LINKTYPE_LINUX_SLL2: the second Linux cooked header, 20 bytes, big-endian.

Compiled. Protocol, 2 reserved bytes, interface index (4), hardware type (2), packet type (1), address length (1) and
8 bytes of address.

Source: tcpdump.org, LINKTYPE_LINUX_SLL2.
"""

import struct
from typing import Final, NamedTuple

import cython

from capfix.errors import TruncatedError

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.memory import put_be16, put_be32

SLL2_LENGTH: Final = 20

_ADDRESS_ROOM: Final = 8
_HEADER: Final = struct.Struct(">H2xIH2B8s")


class Sll2Header(NamedTuple):
    """What the header says. `address` is what there is room for, and `address_length` the true length."""

    protocol: int
    ifindex: int
    hardware_type: int
    packet_type: int
    address_length: int
    address: bytes


def decode_sll2(data: bytes) -> Sll2Header:
    """Return the header at the start of `data`.

    Raises:
        TruncatedError: `data` is shorter than a header.
    """
    if len(data) < SLL2_LENGTH:
        raise TruncatedError("SLL2 header", len(data), SLL2_LENGTH)
    protocol, ifindex, hardware_type, packet_type, length, address = _HEADER.unpack_from(data)
    return Sll2Header(protocol, ifindex, hardware_type, packet_type, length, address[:length])


def encode_sll2(header: Sll2Header) -> bytes:
    """Return the header's 20 bytes."""
    out: cython.uchar[::1] = bytearray(SLL2_LENGTH)
    address: cython.uchar[::1] = bytearray(header.address.ljust(_ADDRESS_ROOM, b"\0"))
    put_sll2(
        cython.address(out[0]) if cython.compiled else out,
        0,
        header.packet_type,
        header.hardware_type,
        header.ifindex,
        header.address_length,
        cython.address(address[0]) if cython.compiled else address,
        0,
        header.protocol,
    )
    return bytes(out)


def put_sll2(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    packet_type: cython.uint,
    hardware_type: cython.uint,
    ifindex: cython.uint,
    address_length: cython.uint,
    buf: cython.p_uchar,
    address_at: cython.Py_ssize_t,
    protocol: cython.uint,
) -> cython.Py_ssize_t:
    """Put the header at `at` and return its length. The address follows the same rule as in put_sll."""
    i: cython.Py_ssize_t
    put_be16(out, at, protocol)
    put_be16(out, at + 2, 0)
    put_be32(out, at + 4, ifindex)
    put_be16(out, at + 8, hardware_type)
    out[at + 10] = packet_type & 0xFF
    out[at + 11] = address_length & 0xFF
    for i in range(8):
        out[at + 12 + i] = buf[address_at + i] if i < address_length else 0
    return 20
