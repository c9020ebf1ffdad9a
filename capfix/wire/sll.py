"""LINKTYPE_LINUX_SLL: the Linux cooked header, 16 bytes, big-endian.

Compiled. Packet type, hardware type and address length, 2 bytes each, then 8 bytes of address and the protocol.

Source: tcpdump.org, LINKTYPE_LINUX_SLL.
"""

import struct
from typing import Final, NamedTuple

import cython

from capfix.errors import TruncatedError

if not cython.compiled:  # the .pxd file has it otherwise
    from capfix.wire.memory import put_be16

SLL_LENGTH: Final = 16

_ADDRESS_ROOM: Final = 8
_HEADER: Final = struct.Struct(">3H8sH")


class SllHeader(NamedTuple):
    """What the header says. `address` is what there is room for, and `address_length` the true length."""

    packet_type: int
    hardware_type: int
    address_length: int
    address: bytes
    protocol: int


def decode_sll(data: bytes) -> SllHeader:
    """Return the header at the start of `data`.

    Raises:
        TruncatedError: `data` is shorter than a header.
    """
    if len(data) < SLL_LENGTH:
        raise TruncatedError("SLL header", len(data), SLL_LENGTH)
    packet_type, hardware_type, length, address, protocol = _HEADER.unpack_from(data)
    return SllHeader(packet_type, hardware_type, length, address[:length], protocol)


def encode_sll(header: SllHeader) -> bytes:
    """Return the header's 16 bytes."""
    out: cython.uchar[::1] = bytearray(SLL_LENGTH)
    address: cython.uchar[::1] = bytearray(header.address.ljust(_ADDRESS_ROOM, b"\0"))
    put_sll(
        cython.address(out[0]) if cython.compiled else out,
        0,
        header.packet_type,
        header.hardware_type,
        header.address_length,
        cython.address(address[0]) if cython.compiled else address,
        0,
        header.protocol,
    )
    return bytes(out)


def put_sll(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    packet_type: cython.uint,
    hardware_type: cython.uint,
    address_length: cython.uint,
    buf: cython.p_uchar,
    address_at: cython.Py_ssize_t,
    protocol: cython.uint,
) -> cython.Py_ssize_t:
    """Put the header at `at` and return its length.

    The address field holds 8 bytes of `buf` from `address_at`. A longer address is cut and a shorter one padded with
    zeros, while the length field keeps the true length, so readers must not use it as a bound.
    """
    # Plain numbers: what stands in a name is a variable to C, and then this loop would not be unrolled
    i: cython.Py_ssize_t
    put_be16(out, at, packet_type)
    put_be16(out, at + 2, hardware_type)
    put_be16(out, at + 4, address_length)
    for i in range(8):
        out[at + 6 + i] = buf[address_at + i] if i < address_length else 0
    put_be16(out, at + 14, protocol)
    return 16
