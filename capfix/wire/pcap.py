"""pcap: the file header and its variants, as far as libpcap reads them.

The magic number says the byte order and the resolution of the time stamps, and whether record headers have the eight
bytes more of Kuznetzov's patch. In versions before 2.3 the two lengths of a record stand in the other order; in 2.3
they may, so that the smaller one is the captured length. Records themselves are read by `capfix.wire.records`.

Source: pcap-savefile(5); draft-ietf-opsawg-pcap; libpcap, sf-pcap.c.
"""

import struct
from typing import Final, NamedTuple

from capfix.errors import FormatError, TruncatedError

FILE_HEADER_LENGTH: Final = 24
RECORD_HEADER_LENGTH: Final = 16
MODIFIED_RECORD_HEADER_LENGTH: Final = 24  # with interface index, protocol and packet type behind

MAGIC: Final = 0xA1B2C3D4
NANOSECOND_MAGIC: Final = 0xA1B23C4D
MODIFIED_MAGIC: Final = 0xA1B2CD34

MICROSECONDS: Final = 10**6
NANOSECONDS: Final = 10**9

SNAPLEN_OFFSET: Final = 16  # in the file header

#: Record lengths above this are not read by libpcap for any link type; Wireshark has the same bound for blocks.
RECORD_LIMIT: Final = 16 * 1024 * 1024

LENGTHS_IN_ORDER: Final = 0
LENGTHS_SWAPPED: Final = 1
LENGTHS_MAYBE_SWAPPED: Final = 2

_FCS_KNOWN: Final = 1 << 26  # in the last field, whose top four bits are then the FCS length in 16-bit words
_LINK_TYPE_MASK: Final = 0x03FFFFFF
_MAGICS: Final = {
    MAGIC: (MICROSECONDS, RECORD_HEADER_LENGTH),
    NANOSECOND_MAGIC: (NANOSECONDS, RECORD_HEADER_LENGTH),
    MODIFIED_MAGIC: (MICROSECONDS, MODIFIED_RECORD_HEADER_LENGTH),
}


class FileHeader(NamedTuple):
    """What a pcap file header says.

    `big_endian` is the byte order of the file, `ticks` the time stamps' units a second, `record_header_length` 16 or
    24, `length_order` one of the LENGTHS_ numbers. `fcs_length` is in bytes, None where the header does not say.
    """

    link_type: int
    snaplen: int
    big_endian: bool = False
    ticks: int = MICROSECONDS
    record_header_length: int = RECORD_HEADER_LENGTH
    length_order: int = LENGTHS_IN_ORDER
    fcs_length: int | None = None


def decode_file_header(data: bytes | memoryview, offset: int = 0) -> FileHeader:
    """Return what the file header at `offset` of `data` says.

    Raises:
        TruncatedError: fewer than 24 bytes are left.
        FormatError: no magic number of pcap's, or a version that libpcap does not read.
    """
    if len(data) - offset < FILE_HEADER_LENGTH:
        raise TruncatedError("pcap file header", len(data) - offset, FILE_HEADER_LENGTH, offset)
    for order in "<>":
        magic, major, minor, _, _, snaplen, network = struct.unpack_from(order + "IHHIIII", data, offset)
        if magic in _MAGICS:
            break
    else:
        found = bytes(data[offset : offset + 4]).hex()
        raise FormatError("pcap file header", "magic number", found, "one of pcap's", offset)
    ticks, record_header_length = _MAGICS[magic]
    return FileHeader(
        link_type=network & _LINK_TYPE_MASK,
        snaplen=snaplen,
        big_endian=order == ">",
        ticks=ticks,
        record_header_length=record_header_length,
        length_order=_length_order(major, minor, offset),
        fcs_length=(network >> 28) * 2 if network & _FCS_KNOWN else None,
    )


def is_file_header(data: bytes | memoryview, offset: int = 0) -> bool:
    """Return whether a whole file header stands at `offset`."""
    try:
        decode_file_header(data, offset)
    except FormatError:
        return False
    return True


def encode_file_header(header: FileHeader) -> bytes:
    """Return the 24 bytes of a file header, version 2.4 unless the lengths' order is another version's."""
    magics = {(ticks, length): magic for magic, (ticks, length) in _MAGICS.items()}
    network = header.link_type
    if header.fcs_length is not None:
        network |= _FCS_KNOWN | header.fcs_length // 2 << 28
    return struct.pack(
        (">" if header.big_endian else "<") + "IHHIIII",
        magics[header.ticks, header.record_header_length],
        2,
        {LENGTHS_IN_ORDER: 4, LENGTHS_MAYBE_SWAPPED: 3, LENGTHS_SWAPPED: 2}[header.length_order],
        0,
        0,
        header.snaplen,
        network,
    )


def _length_order(major: int, minor: int, offset: int) -> int:
    if (major, minor) == (543, 0):  # some DG/UX tcpdump, with the old order of the lengths
        return LENGTHS_SWAPPED
    if major != 2 or minor > 4:
        raise FormatError("pcap file header", "version", f"{major}.{minor}", "2.0 to 2.4", offset)
    if minor < 3:
        return LENGTHS_SWAPPED
    return LENGTHS_MAYBE_SWAPPED if minor == 3 else LENGTHS_IN_ORDER
