"""The packet messages of netfilter's log, as one read returned them.

Compiled. One message is read at a time, into `fields`. Lengths are checked before they are used; a message that cannot
be read is counted, and one whose length cannot be ends the read.
"""

from typing import Final

import cython

from capfix.wire.netlink import MESSAGE_HEADER
from capfix.wire.nflog import MESSAGE_PACKET

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.memory import load_u16, load_u32
    from capfix.wire.nflog import PacketFields
    from capfix.wire.nflog import read_packet as read_packet_message

_MESSAGE_HEADER_LENGTH: Final = MESSAGE_HEADER.size
_TYPE_AT: Final = 4
_LONGEST: Final = 0x7FFFFFFF  # more than any read, and still positive in an index
_SEQUENCE_MASK: Final = 0xFFFFFFFF  # sequence numbers have 32 bits


class LogSequence:
    """The numbers of the packets in one log group: how many were logged and read, and how many are missing."""

    def __init__(self) -> None:
        self.logged = 0
        self.lost = 0
        self._next = 0  # the kernel counts from 0 when a group is bound

    def count(self, number: cython.longlong) -> cython.uint:
        """Count a packet by its number, -1 where it has none; return how many before it are missing."""
        gap: cython.uint
        self.logged += 1
        if number < 0:
            return 0
        gap = cython.cast(cython.uint, (number - self._next) & _SEQUENCE_MASK)
        self._next = cython.cast(cython.uint, (number + 1) & _SEQUENCE_MASK)
        if gap >> 31:  # a step back
            return 0
        self.lost += gap
        return gap


class LogMessages:
    """Walks over the messages of one read at a time. `receipt_ns`, the time of the read, is the caller's to set.

    `fields` is the packet found last, and `gap` how many were lost before it. `malformed` counts since it was made.
    """

    def __init__(self) -> None:
        self.fields = PacketFields()
        self.sequence = LogSequence()
        self.gap = 0
        self.receipt_ns = 0
        self.malformed = 0
        self._ahead = PacketFields()
        self._bound_ns = 0
        self._bound_at = 0
        self._at = self._next_at = self._end = 0

    def start(self, length: int) -> None:
        """Begin with a read of `length` bytes."""
        self._at = self._next_at = 0
        self._end = length
        self._bound_at = 0

    def find(self, buf: cython.p_uchar) -> cython.bint:
        """Read the next packet, unless one was found that has not been passed; return whether there is one."""
        length: cython.Py_ssize_t
        while self._next_at == self._at and self._at < self._end:
            length = _message_length(buf, self._at, self._end)
            if length == 0:
                self.malformed += 1
                self._at = self._next_at = self._end
                break
            self._next_at = self._at + _aligned(length)
            if not _is_packet(buf, self._at):
                self._at = self._next_at
            elif not _read(buf, self._at, length, self.fields):
                self.malformed += 1
                self._at = self._next_at
            else:
                self.gap = self.sequence.count(self.fields.sequence)
                return True
        return self._next_at != self._at

    def is_left(self) -> cython.bint:
        """Return whether the read goes on."""
        return self._at < self._end

    def pass_over(self) -> cython.void:
        """Be done with the packet found."""
        self._at = self._next_at

    def place(self) -> cython.Py_ssize_t:
        """Return where the packet's message begins; at least 16 bytes can be read there."""
        return self._at

    def time(self, buf: cython.p_uchar) -> cython.ulonglong:
        """Return the packet's time, or the latest it can have been."""
        at: cython.Py_ssize_t = self._next_at
        length: cython.Py_ssize_t
        if self.fields.timestamp_ns >= 0:
            return self.fields.timestamp_ns
        if self._bound_at > self._at:  # found for a packet before, and still ahead
            return self._bound_ns
        self._bound_ns = self.receipt_ns
        self._bound_at = self._end
        while at < self._end:
            length = _message_length(buf, at, self._end)
            if length == 0:
                break
            if _is_packet(buf, at) and _read(buf, at, length, self._ahead) and self._ahead.timestamp_ns >= 0:
                if cython.cast(cython.ulonglong, self._ahead.timestamp_ns) < self.receipt_ns:
                    self._bound_ns = self._ahead.timestamp_ns
                self._bound_at = at
                break
            at += _aligned(length)
        return self._bound_ns


def _message_length(buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the length of the netlink message at `at`, 0 when it does not lie within `end`."""
    length: cython.uint
    if end - at < _MESSAGE_HEADER_LENGTH:
        return 0
    length = load_u32(buf, at)
    if length < _MESSAGE_HEADER_LENGTH or length > _LONGEST or length > end - at:
        return 0
    return length


def _aligned(length: cython.Py_ssize_t) -> cython.Py_ssize_t:
    return (length + 3) & ~3


def _is_packet(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.bint:
    return load_u16(buf, at + _TYPE_AT) == MESSAGE_PACKET


def _read(
    buf: cython.p_uchar, at: cython.Py_ssize_t, length: cython.Py_ssize_t, fields: PacketFields
) -> cython.bint:
    return read_packet_message(buf, at + _MESSAGE_HEADER_LENGTH, at + length, fields) == 0
