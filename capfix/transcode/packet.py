"""The frame of one packet, and the enhanced packet block around it.

Compiled. Two steps that can be had apart: a FrameMaker makes the frame, `put_enhanced_packet` puts the block around a
frame that lies there, and a PacketWriter does both for the packets of one source.
"""

from typing import Final

import cython

from capfix.framing import HEADER_LIMIT
from capfix.transcode.stop import Stop
from capfix.wire.numbers import (
    ARPHRD_LOOPBACK,
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    PACKET_OUTGOING,
)
from capfix.wire.pcapng import (
    BLOCK_LIMIT,
    DROPCOUNT_OPTION_LENGTH,
    FLAGS_OPTION_LENGTH,
    PACKET_HEADER_LENGTH,
    PACKET_TRAILER_LENGTH,
    SNAPLEN,
)

if not cython.compiled:  # the .pxd file has them otherwise
    from collections import namedtuple

    from capfix.framing import Framer
    from capfix.framing.addresses import InterfaceAddresses
    from capfix.framing.framer import PutHeader
    from capfix.framing.tags import inner_tags_length
    from capfix.transcode.interfaces import InterfaceTable
    from capfix.wire.checksum import fix_checksums
    from capfix.wire.enhanced_packet import put_enhanced_packet
    from capfix.wire.facts import PacketFacts
    from capfix.wire.memory import copy

    # A frame as it was made: its length, -1 where the link type cannot carry it, the length it had before it was cut,
    # and whether a checksum in it was computed
    Frame = namedtuple("Frame", "length original_length is_completed")

_UNKNOWN_INTERFACE: Final = int(Stop.UNKNOWN_INTERFACE)
_OUTPUT_FULL: Final = int(Stop.OUTPUT_FULL)

# What a packet's block takes beside its data and the caller's options, at most: 3 bytes are padding
PACKET_OVERHEAD: Final = (
    PACKET_HEADER_LENGTH
    + HEADER_LIMIT
    + 3
    + FLAGS_OPTION_LENGTH
    + DROPCOUNT_OPTION_LENGTH
    + PACKET_TRAILER_LENGTH
)

_CHECKSUM_NOT_READY: Final = 1 << 9  # in epb_flags


class FrameMaker:
    """Makes the frames of one source: the header that `framer` decides, and what follows it of the packet.

    With `completes_checksums`, those that the kernel left to the device are computed.
    """

    def __init__(self, framer: Framer, addresses: InterfaceAddresses, completes_checksums: bool) -> None:
        self.framer = framer
        self.addresses = addresses
        self._completes_checksums = completes_checksums

    def put_frame(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        limit: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: PacketFacts,
        row: cython.Py_ssize_t,
    ) -> Frame:
        """Put the frame of a packet of `buf` at `at`, cut to `limit` bytes; return what was made.

        `row` is that of its interface. The caller has checked that there is room for `limit` bytes, or for all of the
        packet and HEADER_LIMIT, and for HEADER_LIMIT in any case.
        """
        length: cython.Py_ssize_t
        rest: cython.Py_ssize_t
        is_completed: cython.bint = False
        put: PutHeader = self.framer.put_header(out, at, buf, facts, self.addresses, row)
        if put.length < 0:
            return Frame(-1, 0, False)
        # What follows the header need not begin with the payload: a kept header goes on before it, and tags are left
        # out after its beginning. Lengths are therefore counted from there.
        rest = facts.payload_at - put.rest_at
        length = put.length + rest + cython.cast(cython.Py_ssize_t, facts.captured_length)
        if length > limit:
            length = limit
        if length > put.length:  # a cut may end in the header
            copy(out, at + put.length, buf, put.rest_at, length - put.length)
            if self._completes_checksums and (facts.checksum_not_ready or facts.checksum_untold):
                is_completed = _complete(out, at + put.length + rest, at + length, buf, facts)
        return Frame(length, put.length + rest + facts.original_length, is_completed)


class PacketWriter:
    """Writes the packets of one source as enhanced packet blocks, and counts what became of them.

    Frames are cut to `snaplen` bytes, header included. With `fix_checksums`, those that the kernel left to the device
    are computed. The loopback interface's outgoing copies are left out, unless `keep_loopback_copies` says that they
    are the ones asked for. `pending_drops` waits for the next packet, whose block says that so many were lost before.
    """

    def __init__(
        self,
        framer: Framer,
        snaplen: int = SNAPLEN,
        fix_checksums: bool = False,
        keep_loopback_copies: bool = False,
    ) -> None:
        self.interfaces = InterfaceTable()
        self.frames = FrameMaker(framer, self.interfaces.addresses, fix_checksums)
        self._snaplen = snaplen
        self._keeps_loopback_copies = keep_loopback_copies
        self.written = 0
        self.loopback_copies = 0
        self.not_carried = 0
        self.pending_drops = 0

    def put_packet(
        self,
        buf: cython.p_uchar,
        facts: PacketFacts,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        room: cython.Py_ssize_t,
        options: cython.p_uchar,
        options_length: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Write one packet of `buf` into `out` from `at`; return where the output ends.

        That is `at` itself where the packet is not to be written. Where something is due first, it is the number of a
        Stop, negative, and nothing has been counted.
        """
        row: cython.Py_ssize_t
        most: cython.Py_ssize_t
        limit: cython.Py_ssize_t
        flags: cython.uint
        total: cython.Py_ssize_t
        # First, since an outgoing copy must not ask for an interface block that nothing else needs
        if _is_loopback_copy(facts) and not self._keeps_loopback_copies:
            self.loopback_copies += 1
            return at
        row = self.interfaces.find(facts.ifindex)
        if row < 0:
            return -_UNKNOWN_INTERFACE
        # Room is judged by what the packet can take at most: putting a header counts, and teaches the framer, so it
        # must not be done twice
        limit = min(_frame_room(options_length, self.pending_drops), self._snaplen)
        most = HEADER_LIMIT + facts.header_length + cython.cast(cython.Py_ssize_t, facts.captured_length)
        if PACKET_OVERHEAD + options_length + min(most, limit) > room - at:
            return -_OUTPUT_FULL
        # The frame first, straight to its place, so that it is copied once; the block around it needs its lengths
        frame: Frame = self.frames.put_frame(out, at + PACKET_HEADER_LENGTH, limit, buf, facts, row)
        if frame.length < 0:
            self.not_carried += 1
            return at
        flags = packet_flags(facts)
        if frame.is_completed:
            flags &= ~_CHECKSUM_NOT_READY
        total = put_enhanced_packet(
            out,
            at,
            self.interfaces.interface_ids[row],
            facts.timestamp_ns,
            frame.length,
            frame.original_length,
            flags,
            self.pending_drops,
            options,
            options_length,
        )
        self.pending_drops = 0
        self.written += 1
        self.interfaces.written[row] += 1
        return at + total


def _is_loopback_copy(facts: PacketFacts) -> cython.bint:
    """Return whether the same packet comes again, inbound."""
    return facts.hardware_type == ARPHRD_LOOPBACK and facts.packet_type == PACKET_OUTGOING


def _frame_room(options_length: cython.Py_ssize_t, drops: cython.ulonglong) -> cython.Py_ssize_t:
    """Return how long a frame can be in a block of the largest size, beside what else is in it."""
    room: cython.Py_ssize_t = BLOCK_LIMIT - PACKET_HEADER_LENGTH - FLAGS_OPTION_LENGTH - PACKET_TRAILER_LENGTH
    room -= options_length
    return room - DROPCOUNT_OPTION_LENGTH if drops else room


def _complete(
    out: cython.p_uchar,
    payload_at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    buf: cython.p_uchar,
    facts: PacketFacts,
) -> cython.bint:
    """Compute what is missing in the payload that lies in `out` up to `end`; return whether anything was computed."""
    if facts.vlan_tpid:
        payload_at += inner_tags_length(buf, facts)
    return fix_checksums(out, payload_at, end - payload_at, facts.protocol)


def packet_flags(facts: PacketFacts) -> cython.uint:
    """Return the packet's epb_flags: direction, reception type, and what is known of its checksum and segmentation."""
    flags: cython.uint = 0
    if facts.packet_type == PACKET_OUTGOING:
        flags = 2
    elif facts.packet_type == PACKET_HOST:
        flags = 1 | 1 << 2
    elif facts.packet_type == PACKET_MULTICAST:
        flags = 1 | 2 << 2
    elif facts.packet_type == PACKET_BROADCAST:
        flags = 1 | 3 << 2
    elif facts.packet_type == PACKET_OTHERHOST:
        flags = 1 | 4 << 2
    if facts.checksum_not_ready:
        flags |= _CHECKSUM_NOT_READY
    if facts.checksum_valid:
        flags |= 1 << 10
    if facts.segmentation_offloaded:
        flags |= 1 << 11
    return flags
