"""The Ethernet header, and Ethernet addresses as people write them and as 6 bytes.

Compiled. Destination and source address, then a type field, 2 bytes, big-endian: an EtherType, or below 0x0600 the
length of an 802.3 frame. A VLAN tag, TPID and TCI, stands before the type field.

Source: IEEE 802.3; IEEE 802.1Q; IEEE 802, EUI-48: the second-lowest bit of the first byte means locally administered,
the lowest a group.
"""

import re
import struct
from typing import Final, NamedTuple

import cython

from capfix.errors import FormatError, TruncatedError
from capfix.wire.numbers import MAC_LENGTH

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.memory import copy_mac, put_be16

ETHERNET_LENGTH: Final = 14

_HEADER: Final = struct.Struct(">6s6sH")
_MAC = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}")


class EthernetHeader(NamedTuple):
    """What the first 14 bytes of a frame say; `type` is that of a tag where there is one."""

    destination: bytes
    source: bytes
    type: int


def decode_ethernet(data: bytes) -> EthernetHeader:
    """Return the header at the start of `data`.

    Raises:
        TruncatedError: `data` is shorter than a header.
    """
    if len(data) < ETHERNET_LENGTH:
        raise TruncatedError("Ethernet header", len(data), ETHERNET_LENGTH)
    return EthernetHeader(*_HEADER.unpack_from(data))


def parse_mac(text: str) -> bytes:
    """Return the 6 bytes of an address written as 02:00:5e:10:00:01, or with hyphens.

    Raises:
        FormatError: it is not written so.
    """
    if not _MAC.fullmatch(text):
        raise FormatError(
            "MAC address", "text", repr(text), "six pairs of hexadecimal digits, as 02:00:5e:10:00:01"
        )
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def encode_ethernet(header: EthernetHeader) -> bytes:
    """Return the header's 14 bytes."""
    out: cython.uchar[::1] = bytearray(ETHERNET_LENGTH)
    macs: cython.uchar[::1] = bytearray(header.destination + header.source)
    put_ethernet(
        cython.address(out[0]) if cython.compiled else out,
        0,
        cython.address(macs[0]) if cython.compiled else macs,
        0,
        cython.address(macs[0]) if cython.compiled else macs,
        MAC_LENGTH,
        header.type,
    )
    return bytes(out)


def put_ethernet(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    destinations: cython.p_uchar,
    destination_at: cython.Py_ssize_t,
    sources: cython.p_uchar,
    source_at: cython.Py_ssize_t,
    type_field: cython.uint,
) -> cython.Py_ssize_t:
    """Put the header at `at` and return its length. Each address is 6 bytes of a buffer of its own, at an offset."""
    copy_mac(out, at, destinations, destination_at)
    copy_mac(out, at + 6, sources, source_at)
    put_be16(out, at + 12, type_field)
    return 14


def put_tag(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    tci: cython.uint,
    type_field: cython.uint,
) -> cython.Py_ssize_t:
    """Put what follows a type field that is a TPID, the tag's TCI and the next type field; return its length."""
    put_be16(out, at, tci)
    put_be16(out, at + 2, type_field)
    return 4


def format_mac(mac: bytes) -> str:
    """Return an address as 02:00:5e:10:00:01, whatever its length."""
    return mac.hex(":")
