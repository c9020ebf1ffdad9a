"""Netlink messages, their attributes, and the general header of netfilter's messages.

A message is a 16-byte header in host byte order and a payload; each attribute in it is a 4-byte header
(length with the header, type) and a value; both are padded to 4 bytes. What netfilter puts into them is big-endian.

Source: linux/netlink.h, linux/netfilter/nfnetlink.h; netlink(7).
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from capfix.errors import EncodeError, FormatError, TruncatedError

NLMSG_NOOP: Final = 1
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLM_F_REQUEST: Final = 0x001
NLM_F_ACK: Final = 0x004
NLM_F_DUMP: Final = 0x300
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800
NLA_F_NESTED: Final = 0x8000
NLA_TYPE_MASK: Final = 0x3FFF  # the two top bits are flags: nested, network byte order

MESSAGE_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
ATTRIBUTE_HEADER: Final = struct.Struct("=HH")  # length, type
NETFILTER_HEADER: Final = struct.Struct(">BBH")  # family, version 0, resource id
ERROR_NUMBER: Final = struct.Struct("=i")


class Message(NamedTuple):
    """One netlink message; `payload` is a view into the buffer it was decoded from."""

    type: int
    flags: int
    sequence: int
    port: int
    payload: memoryview


def decode_messages(data: bytes | memoryview) -> Iterator[Message]:
    """Yield the messages of one datagram in order.

    Raises:
        TruncatedError: a header, or the length it announces, reaches beyond the datagram.
        FormatError: the announced length is less than a header.
    """
    view = memoryview(data)
    at = 0
    while at < len(view):
        if len(view) - at < MESSAGE_HEADER.size:
            raise TruncatedError("netlink message header", len(view) - at, MESSAGE_HEADER.size, at)
        length, kind, flags, sequence, port = MESSAGE_HEADER.unpack_from(view, at)
        if length < MESSAGE_HEADER.size:
            raise FormatError("netlink message", "length", length, f"at least {MESSAGE_HEADER.size}", at)
        if length > len(view) - at:
            raise TruncatedError("netlink message", len(view) - at, length, at)
        yield Message(kind, flags, sequence, port, view[at + MESSAGE_HEADER.size : at + length])
        at += _aligned(length)


def decode_attributes(payload: bytes | memoryview) -> dict[int, memoryview]:
    """Return the attributes in `payload` by their type, flag bits removed; of equal types the last one.

    The values are views into `payload`. A nested attribute's value is decoded by another call.

    Raises:
        TruncatedError: a header, or the length it announces, reaches beyond the payload.
        FormatError: the announced length is less than a header.
    """
    return dict(attributes_of(payload))


def attributes_of(payload: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield type, flag bits removed, and value of each attribute in `payload`, in order; types may come again.

    Raises:
        As `decode_attributes`.
    """
    view = memoryview(payload)
    at = 0
    while at < len(view):
        if len(view) - at < ATTRIBUTE_HEADER.size:
            raise TruncatedError("netlink attribute header", len(view) - at, ATTRIBUTE_HEADER.size, at)
        length, kind = ATTRIBUTE_HEADER.unpack_from(view, at)
        if length < ATTRIBUTE_HEADER.size:
            raise FormatError("netlink attribute", "length", length, f"at least {ATTRIBUTE_HEADER.size}", at)
        if length > len(view) - at:
            raise TruncatedError("netlink attribute", len(view) - at, length, at)
        yield kind & NLA_TYPE_MASK, view[at + ATTRIBUTE_HEADER.size : at + length]
        at += _aligned(length)


def decode_error(message: Message) -> int:
    """Return the errno an NLMSG_ERROR message carries as a positive number; 0 is an acknowledgement.

    Raises:
        FormatError: the message is of another type, or the number in it is positive.
        TruncatedError: it ends before the number does.
    """
    if message.type != NLMSG_ERROR:
        raise FormatError("netlink message", "type", message.type, NLMSG_ERROR)
    if len(message.payload) < ERROR_NUMBER.size:
        raise TruncatedError("netlink error", len(message.payload), ERROR_NUMBER.size)
    (number,) = ERROR_NUMBER.unpack_from(message.payload)
    if number > 0:
        raise FormatError("netlink error", "error number", number, "0 or negative")
    return -int(number)


def encode_message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """Return one message from port 0, which the kernel takes for the sending socket, padded to 4 bytes."""
    length = MESSAGE_HEADER.size + len(payload)
    return MESSAGE_HEADER.pack(length, kind, flags, sequence, 0) + payload + bytes(-length % 4)


def encode_netfilter_header(family: int, resource: int) -> bytes:
    """Return struct nfgenmsg, which begins the payload of every netfilter message."""
    return NETFILTER_HEADER.pack(family, 0, resource)


def encode_attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute padded to 4 bytes.

    Raises:
        EncodeError: header and value are longer than the 16-bit length can say.
    """
    length = ATTRIBUTE_HEADER.size + len(value)
    if length > 0xFFFF:
        raise EncodeError(f"netlink attribute {kind} of {len(value)} bytes, the format holds 65531")
    return ATTRIBUTE_HEADER.pack(length, kind) + value + bytes(-length % 4)


def encode_nested(kind: int, *attributes: bytes) -> bytes:
    """Return an attribute whose value is encoded attributes."""
    return encode_attribute(kind | NLA_F_NESTED, b"".join(attributes))


def encode_be16(kind: int, value: int) -> bytes:
    """Return an attribute that holds a 16-bit number, big-endian."""
    return encode_attribute(kind, value.to_bytes(2, "big"))


def encode_be32(kind: int, value: int) -> bytes:
    """Return an attribute that holds a 32-bit number, big-endian."""
    return encode_attribute(kind, value.to_bytes(4, "big"))


def encode_string(kind: int, text: str) -> bytes:
    """Return an attribute that holds text and the zero byte behind it."""
    return encode_attribute(kind, text.encode() + b"\0")


def _aligned(length: int) -> int:
    return (length + 3) & ~3
