"""pcapng: the file format capfix writes, in the dialect that its readers share.

Little-endian only. Nanosecond time stamps. No block is larger than BLOCK_LIMIT, because Wireshark's pipe reader ends
the capture there. Option lists end with opt_endofopt.

Source: draft-ietf-opsawg-pcapng; for the limits of readers, Wireshark's dumpcap.c and libpcap's sf-pcapng.c.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from capfix.errors import EncodeError, FormatError, TruncatedError

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION: Final = 1
OBSOLETE_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
NAME_RESOLUTION: Final = 4
INTERFACE_STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6

BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D

OPT_ENDOFOPT: Final = 0
OPT_COMMENT: Final = 1
SHB_HARDWARE: Final = 2
SHB_OS: Final = 3
SHB_USERAPPL: Final = 4
IF_NAME: Final = 2
IF_DESCRIPTION: Final = 3
IF_MACADDR: Final = 6
IF_SPEED: Final = 8
IF_TSRESOL: Final = 9
IF_FILTER: Final = 11
IF_OS: Final = 12
EPB_FLAGS: Final = 2
EPB_DROPCOUNT: Final = 4
ISB_STARTTIME: Final = 2
ISB_ENDTIME: Final = 3
ISB_IFRECV: Final = 4
ISB_IFDROP: Final = 5
ISB_OSDROP: Final = 7
ISB_USRDELIV: Final = 8

BLOCK_LIMIT: Final = 262144  # a block of more bytes ends a capture through Wireshark's pipe reader
SNAPLEN: Final = 262144  # what libpcap reads 0 as; equal in all interface blocks, or tcpdump refuses the file
TSRESOL_NS: Final = b"\x09"

# How much of a filter an interface block shows. Chosen: every interface of every file repeats it, and it is for people
FILTER_TEXT_LIMIT: Final = 4096

# Of all comments of a section, in bytes. Chosen: every file repeats them; one of them is then no longer than an option
# holds, and the block is far from its limit
SECTION_COMMENTS_LIMIT: Final = 32768

BLOCK_OVERHEAD: Final = 12  # type, total length, and total length again
PACKET_HEADER_LENGTH: Final = 28  # an enhanced packet block before its data
FLAGS_OPTION_LENGTH: Final = 8
DROPCOUNT_OPTION_LENGTH: Final = 12
PACKET_TRAILER_LENGTH: Final = 8  # opt_endofopt, and total length again


class InterfaceDescription(NamedTuple):
    """What an interface description block says. `mac` is 6 bytes; `speed` is in bits a second."""

    name: str
    link_type: int
    description: str = ""
    mac: bytes | None = None
    speed: int | None = None
    filter: str | None = None
    os: str | None = None
    snaplen: int = SNAPLEN


class InterfaceStatistics(NamedTuple):
    """What an interface statistics block says. Times in nanoseconds since 1970; None leaves a field out.

    The counts hold since the file began: `received` by the kernel for this interface, `interface_dropped` before
    that by the device, `kernel_dropped` for want of room in the ring, `delivered` into the file.
    """

    interface_id: int
    timestamp_ns: int
    start_ns: int | None = None
    end_ns: int | None = None
    received: int | None = None
    interface_dropped: int | None = None
    kernel_dropped: int | None = None
    delivered: int | None = None
    comment: str | None = None


class Block(NamedTuple):
    """One block as it lies in a file: `offset` and `total_length` in bytes, `body` without type and lengths."""

    offset: int
    type: int
    total_length: int
    body: memoryview


def decode_block(data: memoryview, offset: int) -> Block:
    """Return the little-endian block at `offset`; its body is a view into `data`.

    Raises:
        TruncatedError: fewer bytes are left than the block has.
        FormatError: a total length that no block can have, or two that differ.
    """
    left = len(data) - offset
    if left < BLOCK_OVERHEAD:
        raise TruncatedError("pcapng block", left, BLOCK_OVERHEAD, offset)
    block_type, total = struct.unpack_from("<II", data, offset)
    if total < BLOCK_OVERHEAD or total % 4:
        raise FormatError("pcapng block", "total length", total, "a multiple of 4, at least 12", offset)
    if total > left:
        raise TruncatedError("pcapng block", left, total, offset)
    (repeated,) = struct.unpack_from("<I", data, offset + total - 4)
    if repeated != total:
        raise FormatError("pcapng block", "repeated total length", repeated, total, offset)
    return Block(offset, block_type, total, data[offset + 8 : offset + total - 4])


def decode_blocks(data: memoryview) -> Iterator[Block]:
    """Yield the blocks of `data` in order; raises as `decode_block` where they end or break off."""
    offset = 0
    while offset < len(data):
        block = decode_block(data, offset)
        yield block
        offset += block.total_length


def decode_options(data: memoryview) -> list[tuple[int, bytes]]:
    """Return the (code, value) pairs of an option list, up to opt_endofopt or the end of `data`.

    Raises:
        TruncatedError: an option is longer than what is left.
    """
    options = []
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from("<HH", data, at)
        if code == OPT_ENDOFOPT:
            break
        if at + 4 + length > len(data):
            raise TruncatedError("pcapng option", len(data) - at - 4, length, at)
        options.append((code, bytes(data[at + 4 : at + 4 + length])))
        at += 4 + length + (-length) % 4
    return options


def encode_option(code: int, value: bytes) -> bytes:
    """Return one option, padded to 4 bytes.

    Raises:
        EncodeError: the value does not fit the 16-bit length.
    """
    if len(value) > 0xFFFF:
        raise EncodeError(f"a pcapng option holds at most 65535 bytes, not {len(value)}")
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _text(text: str) -> bytes:
    """Return text as UTF-8; bytes of a name that were none are written out, as on stderr."""
    return text.encode(errors="backslashreplace")


def encode_comment(text: str) -> bytes:
    """Return an opt_comment option, in UTF-8, cut to what an option holds."""
    return encode_option(OPT_COMMENT, _cut(_text(text), 0xFFFF))


def comments_length(comments: Iterable[str]) -> int:
    """Return how many bytes comments take in a block, each with its option header and padding."""
    return sum(4 + -(-len(_text(comment)) // 4) * 4 for comment in comments)


def _cut(encoded: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes of UTF-8, whole characters only."""
    return encoded if len(encoded) <= limit else encoded[:limit].decode(errors="ignore").encode()


def _filter_text(text: str) -> bytes:
    encoded = _text(text)
    return encoded if len(encoded) <= FILTER_TEXT_LIMIT else _cut(encoded, FILTER_TEXT_LIMIT - 3) + b"..."


def encode_block(block_type: int, body: bytes, options: Iterable[tuple[int, bytes]] = ()) -> bytes:
    """Return one block: `body`, which is a multiple of 4 long, then the options, if any, and their end.

    Raises:
        EncodeError: the block would be larger than BLOCK_LIMIT.
    """
    encoded = b"".join(encode_option(code, value) for code, value in options)
    if encoded:
        encoded += bytes(4)
    total = BLOCK_OVERHEAD + len(body) + len(encoded)
    if total > BLOCK_LIMIT:
        raise EncodeError(f"a pcapng block of {total} bytes is over the limit of {BLOCK_LIMIT}")
    return struct.pack("<II", block_type, total) + body + encoded + struct.pack("<I", total)


def encode_section_header(application: str, os: str, hardware: str, comments: Iterable[str] = ()) -> bytes:
    """Return a section header block: version 1.0, section length unknown.

    Raises:
        EncodeError: a comment is longer than an option holds, or all of them together than a block.
    """
    body = struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1)
    options = [(SHB_HARDWARE, hardware.encode()), (SHB_OS, os.encode()), (SHB_USERAPPL, application.encode())]
    options += [(OPT_COMMENT, _text(comment)) for comment in comments]
    return encode_block(SECTION_HEADER, body, options)


def encode_interface_description(interface: InterfaceDescription) -> bytes:
    """Return an interface description block, with nanosecond resolution.

    Text is cut to what an option holds, and a filter to FILTER_TEXT_LIMIT bytes with `...` at its end.
    """
    options = [(IF_NAME, _cut(_text(interface.name), 0xFFFF)), (IF_TSRESOL, TSRESOL_NS)]
    if interface.description:
        options.append((IF_DESCRIPTION, _cut(_text(interface.description), 0xFFFF)))
    if interface.mac is not None:
        options.append((IF_MACADDR, interface.mac))
    if interface.speed is not None:
        options.append((IF_SPEED, struct.pack("<Q", interface.speed)))
    if interface.filter is not None:
        options.append((IF_FILTER, b"\0" + _filter_text(interface.filter)))
    if interface.os is not None:
        options.append((IF_OS, interface.os.encode()))
    body = struct.pack("<HHI", interface.link_type, 0, interface.snaplen)
    return encode_block(INTERFACE_DESCRIPTION, body, options)


def encode_interface_statistics(statistics: InterfaceStatistics) -> bytes:
    """Return an interface statistics block. Its time stamps are nanoseconds, as the interface block says."""

    def time_value(nanoseconds: int) -> bytes:
        return struct.pack("<II", nanoseconds >> 32, nanoseconds & 0xFFFFFFFF)

    options = []
    if statistics.comment is not None:
        options.append((OPT_COMMENT, _text(statistics.comment)))
    for code, nanoseconds in ((ISB_STARTTIME, statistics.start_ns), (ISB_ENDTIME, statistics.end_ns)):
        if nanoseconds is not None:
            options.append((code, time_value(nanoseconds)))
    counts = (
        (ISB_IFRECV, statistics.received),
        (ISB_IFDROP, statistics.interface_dropped),
        (ISB_OSDROP, statistics.kernel_dropped),
        (ISB_USRDELIV, statistics.delivered),
    )
    options.extend((code, struct.pack("<Q", count)) for code, count in counts if count is not None)
    body = struct.pack("<I", statistics.interface_id) + time_value(statistics.timestamp_ns)
    return encode_block(INTERFACE_STATISTICS, body, options)
