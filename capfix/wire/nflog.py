"""NFLOG packet messages: what netfilter's log target tells of a packet.

A message's payload is struct nfgenmsg (4 bytes) and attributes. Attribute headers are in host byte order,
their values big-endian. The packet begins at its network-layer header; what lay before it comes, if at all,
in an attribute of its own, which cannot be believed unseen: the kernel copies as many bytes as the device's
headers usually have from where one would be.

Source: linux/netfilter/nfnetlink_log.h; net/netfilter/nfnetlink_log.c for what the kernel fills in when.
"""

from dataclasses import dataclass
from typing import Final

import cython

from capfix.errors import FormatError, TruncatedError
from capfix.wire.numbers import ARPHRD_ETHER

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.memory import load_be16, load_be32, load_u16

MESSAGE_PACKET: Final = 0x400  # NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET
MESSAGE_CONFIG: Final = 0x401

# Attributes of a configuration message (NFULA_CFG_ in the header file), and their values
CONFIG_COMMAND: Final = 1
CONFIG_MODE: Final = 2
CONFIG_BUFFER_SIZE: Final = 3
CONFIG_TIMEOUT: Final = 4
CONFIG_QUEUE_THRESHOLD: Final = 5
CONFIG_FLAGS: Final = 6
COMMAND_BIND: Final = 1
COPY_PACKET: Final = 2
FLAG_SEQUENCE: Final = 1
MAX_COPY_RANGE: Final = 65531  # what a 16-bit attribute length can say

# Attributes of a packet message (NFULA_). C integers in a compiled build, therefore not seen from outside.
_PACKET_HEADER = 1
_MARK = 2
_TIMESTAMP = 3
_IN_IFINDEX = 4
_OUT_IFINDEX = 5
_PHYSICAL_IN_IFINDEX = 6
_PHYSICAL_OUT_IFINDEX = 7
_HARDWARE_ADDRESS = 8
_PAYLOAD = 9
_PREFIX = 10
_UID = 11
_SEQUENCE = 12
_GID = 14
_HARDWARE_TYPE = 15
_HARDWARE_HEADER = 16
_HARDWARE_LENGTH = 17

_GENERAL_HEADER_LENGTH = 4  # struct nfgenmsg
_ETHERNET_HEADER_LENGTH = 14
_ETHERNET = ARPHRD_ETHER
_ADDRESS_ROOM: Final = 8  # in struct nfulnl_msg_packet_hw, whatever its length field says

# What read_packet returns
_READ = 0
_CUT_SHORT = 1  # a header or a value reaches beyond the message
_BAD_LENGTH = 2  # an attribute's length is less than its own header, or too little for its value
_NO_PACKET_HEADER = 3


@dataclass(frozen=True)
class NflogPacket:
    """One logged packet. None: the kernel did not say. Index 0 is no interface.

    `address` holds what the message has room for, at most 8 bytes; `address_length` is the true length.
    `header` is what the message calls the hardware header, see `trusted_header`. `payload` begins at the
    network layer and is a view into the message. `sequence` counts the packets logged to the group, modulo
    2**32.
    """

    hw_protocol: int
    hook: int
    payload: memoryview
    mark: int = 0
    timestamp_ns: int | None = None
    in_ifindex: int = 0
    out_ifindex: int = 0
    physical_in_ifindex: int = 0
    physical_out_ifindex: int = 0
    address: bytes = b""
    address_length: int = 0
    hardware_type: int | None = None
    hardware_length: int | None = None
    header: bytes | None = None
    trusted_header: bool = False
    prefix: bytes = b""
    uid: int | None = None
    gid: int | None = None
    sequence: int | None = None


class PacketFields:
    """What one message says, for the hot path: one object, filled again for each message.

    Places (`_at`) are indexes into the buffer the message was read from and good as long as it is. -1 in a
    place, `timestamp_ns`, `uid`, `gid`, `sequence`, `hardware_type` or `hardware_length` is: the kernel did
    not say.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the last message."""
        self.hw_protocol = 0
        self.hook = 0
        self.mark = 0
        self.timestamp_ns = -1
        self.in_ifindex = 0
        self.out_ifindex = 0
        self.physical_in_ifindex = 0
        self.physical_out_ifindex = 0
        self.uid = -1
        self.gid = -1
        self.sequence = -1
        self.hardware_type = -1
        self.hardware_length = -1
        self.address_at = -1
        self.address_length = 0
        self.header_at = -1
        self.header_length = 0
        self.prefix_at = -1
        self.prefix_length = 0
        self.payload_at = -1
        self.payload_length = 0
        self.fault_at = 0
        self.fault_attribute = 0


def read_packet(
    buffer: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, fields: PacketFields
) -> cython.int:
    """Read the payload of one packet message, buffer[at:end], into `fields`; return _READ or what is wrong.

    Every length is checked against `end` before it is used, so that no message makes this read beyond it.
    Unknown attributes are passed over. After a fault `fault_at` is its place and `fault_attribute` the
    attribute, 0 for none; the other fields are then not to be used.
    """
    found_header: cython.bint = False
    length: cython.Py_ssize_t
    kind: cython.int
    fields.clear()
    fields.fault_at = at
    if end - at < _GENERAL_HEADER_LENGTH:
        return _CUT_SHORT
    at += _GENERAL_HEADER_LENGTH
    while at < end:
        fields.fault_at = at
        fields.fault_attribute = 0
        if end - at < 4:
            return _CUT_SHORT
        length = load_u16(buffer, at)
        kind = load_u16(buffer, at + 2) & 0x3FFF  # the top bits are flags
        fields.fault_attribute = kind
        if length < 4 + _least_length(kind):
            return _BAD_LENGTH
        if length > end - at:
            return _CUT_SHORT
        if kind == _PACKET_HEADER:
            found_header = True
        _set_field(buffer, at + 4, length - 4, kind, fields)
        at += (length + 3) & ~3
    return _READ if found_header else _NO_PACKET_HEADER


def has_trusted_header(buffer: cython.p_uchar, fields: PacketFields) -> cython.bint:
    """Tell whether the hardware header that was read into `fields` is the Ethernet header of this packet.

    The kernel copies what precedes the packet in memory, as many bytes as the device's headers have: of a
    packet that came without one, or out of a tunnel, that is other data. Trusted is a header of 14 bytes on
    Ethernet hardware whose type is the packet's, unless it is the packet's own beginning once more.
    """
    i: cython.int
    at: cython.Py_ssize_t = fields.header_at
    if (
        at < 0
        or fields.hardware_type != _ETHERNET
        or fields.hardware_length != _ETHERNET_HEADER_LENGTH
        or fields.header_length != _ETHERNET_HEADER_LENGTH
        or load_be16(buffer, at + 12) != cython.cast(cython.uint, fields.hw_protocol)
    ):
        return False
    if fields.payload_length < _ETHERNET_HEADER_LENGTH:
        return True
    for i in range(_ETHERNET_HEADER_LENGTH):
        if buffer[at + i] != buffer[fields.payload_at + i]:
            return True
    return False


def decode_packet(payload: bytes | memoryview) -> NflogPacket:
    """Return what the payload of one NFLOG packet message says.

    Raises:
        TruncatedError: the general header, or an attribute, reaches beyond the message.
        FormatError: an attribute is too short for its value, or there is no packet header.
    """
    fields = PacketFields()
    data = memoryview(payload)
    if len(data) < _GENERAL_HEADER_LENGTH:
        raise TruncatedError("NFLOG message", len(data), _GENERAL_HEADER_LENGTH)
    if cython.compiled:
        view: cython.const[cython.uchar][::1] = data  # type: ignore[valid-type]
        buf: cython.p_uchar = cython.cast(cython.p_uchar, cython.address(view[0]))
    else:
        buf = data
    result = read_packet(buf, 0, len(data), fields)
    trusted = result == _READ and has_trusted_header(buf, fields)
    if result != _READ:
        raise _fault(data, result, fields)
    return NflogPacket(
        hw_protocol=fields.hw_protocol,
        hook=fields.hook,
        payload=_slice(data, fields.payload_at, fields.payload_length),
        mark=fields.mark,
        timestamp_ns=_maybe(fields.timestamp_ns),
        in_ifindex=fields.in_ifindex,
        out_ifindex=fields.out_ifindex,
        physical_in_ifindex=fields.physical_in_ifindex,
        physical_out_ifindex=fields.physical_out_ifindex,
        address=bytes(_slice(data, fields.address_at, min(fields.address_length, _ADDRESS_ROOM))),
        address_length=fields.address_length,
        hardware_type=_maybe(fields.hardware_type),
        hardware_length=_maybe(fields.hardware_length),
        header=None if fields.header_at < 0 else bytes(_slice(data, fields.header_at, fields.header_length)),
        trusted_header=bool(trusted),
        prefix=bytes(_slice(data, fields.prefix_at, fields.prefix_length)).rstrip(b"\0"),
        uid=_maybe(fields.uid),
        gid=_maybe(fields.gid),
        sequence=_maybe(fields.sequence),
    )


def _slice(data: memoryview, at: int, length: int) -> memoryview:
    return data[at : at + length] if at >= 0 else data[:0]


def _maybe(number: int) -> int | None:
    return None if number < 0 else number


def _fault(data: memoryview, result: int, fields: PacketFields) -> FormatError:
    """Return the error that says what read_packet found wrong."""
    at = fields.fault_at
    if result == _NO_PACKET_HEADER:
        return FormatError("NFLOG message", "packet header", "missing", "present")
    if len(data) - at < 4:
        return TruncatedError("NFLOG attribute header", len(data) - at, 4, at)
    length = data[at] | data[at + 1] << 8
    if result == _CUT_SHORT:
        return TruncatedError(f"NFLOG attribute {fields.fault_attribute}", len(data) - at, length, at)
    least = 4 + _least_length(fields.fault_attribute)
    return FormatError(f"NFLOG attribute {fields.fault_attribute}", "length", length, f"at least {least}", at)


def _least_length(kind: cython.int) -> cython.int:
    """Return the fewest bytes of value that attribute `kind` must have."""
    if kind in (_PAYLOAD, _HARDWARE_HEADER, _PREFIX) or kind > _HARDWARE_LENGTH:
        return 0
    if kind == _TIMESTAMP:
        return 16
    if kind == _HARDWARE_ADDRESS:
        return 12
    if kind in (_HARDWARE_TYPE, _HARDWARE_LENGTH):
        return 2
    return 4 if kind > 0 else 0


def _set_field(
    buffer: cython.p_uchar,
    at: cython.Py_ssize_t,
    size: cython.Py_ssize_t,
    kind: cython.int,
    fields: PacketFields,
) -> None:
    """Set what attribute `kind` says; buffer[at:at+size] is its value and long enough for it."""
    seconds_ns: cython.ulonglong
    if kind == _PAYLOAD:
        fields.payload_at = at
        fields.payload_length = size
    elif kind == _PACKET_HEADER:
        fields.hw_protocol = load_be16(buffer, at)
        fields.hook = buffer[at + 2]
    elif kind == _SEQUENCE:
        fields.sequence = load_be32(buffer, at)
    elif kind == _TIMESTAMP:
        # Seconds and microseconds are 64 bits wide each; the low halves hold every time until 2106.
        seconds_ns = load_be32(buffer, at + 4) * cython.cast(cython.ulonglong, 1_000_000_000)
        fields.timestamp_ns = seconds_ns + load_be32(buffer, at + 12) * cython.cast(cython.ulonglong, 1000)
    elif kind == _IN_IFINDEX:
        fields.in_ifindex = load_be32(buffer, at)
    elif kind == _OUT_IFINDEX:
        fields.out_ifindex = load_be32(buffer, at)
    elif kind == _HARDWARE_TYPE:
        fields.hardware_type = load_be16(buffer, at)
    elif kind == _HARDWARE_LENGTH:
        fields.hardware_length = load_be16(buffer, at)
    elif kind == _HARDWARE_HEADER:
        fields.header_at = at
        fields.header_length = size
    elif kind == _HARDWARE_ADDRESS:
        fields.address_length = load_be16(buffer, at)
        fields.address_at = at + 4
    elif kind == _PREFIX:
        fields.prefix_at = at
        fields.prefix_length = size
    elif kind == _MARK:
        fields.mark = load_be32(buffer, at)
    elif kind == _PHYSICAL_IN_IFINDEX:
        fields.physical_in_ifindex = load_be32(buffer, at)
    elif kind == _PHYSICAL_OUT_IFINDEX:
        fields.physical_out_ifindex = load_be32(buffer, at)
    elif kind == _UID:
        fields.uid = load_be32(buffer, at)
    elif kind == _GID:
        fields.gid = load_be32(buffer, at)
