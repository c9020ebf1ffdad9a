"""The hot path: packets as a source holds them in, enhanced packet blocks out.

Compiled. A Transcoder touches nothing but the buffers it is given. It stops, and says why, whenever something is due
that only its caller can do (Stop), and goes on from the same packet at the next call. What it counts, it counts since
it was made.
"""

from array import array
from enum import IntEnum
from typing import Final

import cython

from capfix.framing import ADDRESSES_LENGTH, HEADER_LIMIT, known_addresses
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
from capfix.wire.tpacket import decode_ring_block

if cython.compiled:
    from cython.cimports.libc.string import memcpy
else:  # the .pxd file has them otherwise
    from capfix.framing import Framer, inner_tags_length
    from capfix.wire.checksum import fix_checksums
    from capfix.wire.enhanced_packet import put_enhanced_packet
    from capfix.wire.facts import Facts
    from capfix.wire.tpacket import next_packet, read_packet

COMPILED: Final[bool] = cython.compiled


class Stop(IntEnum):
    """Why a transcoder stopped."""

    DONE = 0  # the ring block is finished and can be given back
    UNKNOWN_INTERFACE = 1  # `unknown_ifindex` has no interface block yet
    OUTPUT_FULL = 2  # the next packet might not fit the output buffer
    LIMIT_REACHED = 3  # as many packets are written as were asked for
    LATER = 4  # the next packet, of `waiting_ns`, is not before `until_ns`


_DONE: Final = int(Stop.DONE)
_UNKNOWN_INTERFACE: Final = int(Stop.UNKNOWN_INTERFACE)
_OUTPUT_FULL: Final = int(Stop.OUTPUT_FULL)
_LIMIT_REACHED: Final = int(Stop.LIMIT_REACHED)
_LATER: Final = int(Stop.LATER)

NO_LIMIT: Final = (1 << 62) - 1  # more packets than there can be, and later than any time

# What a packet's block takes beside its data and the caller's options, at most: 3 bytes are padding
PACKET_OVERHEAD: Final = (
    PACKET_HEADER_LENGTH
    + HEADER_LIMIT
    + 3
    + FLAGS_OPTION_LENGTH
    + DROPCOUNT_OPTION_LENGTH
    + PACKET_TRAILER_LENGTH
)

_EMPTY_SLOT: Final = -1
_CHECKSUM_NOT_READY: Final = 1 << 9  # in epb_flags


class Transcoder:
    """Turns one source's packets into enhanced packet blocks, with the headers that `framer` decides.

    Frames are cut to `snaplen` bytes, header included. With `fix_checksums`, those that the kernel left to the device
    are computed. The loopback interface's outgoing copies are left out, unless `keep_loopback_copies` says that they
    are the ones asked for. Where sources are merged, `until_ns` holds back packets from that time on; it is the
    caller's to set.
    """

    def __init__(
        self,
        framer: Framer,
        snaplen: int = SNAPLEN,
        fix_checksums: bool = False,
        keep_loopback_copies: bool = False,
    ) -> None:
        self.framer = framer
        self._snaplen = snaplen
        self._completes_checksums = fix_checksums
        self._keeps_loopback_copies = keep_loopback_copies
        self.stopped_for = _DONE
        self.until_ns = NO_LIMIT
        self.waiting_ns = 0
        self.unknown_ifindex = 0
        self.written = 0
        self.loopback_copies = 0
        self.not_carried = 0
        self.malformed_blocks = 0
        self.pending_drops = 0
        self._facts = Facts()
        self._at = self._end = self._left = 0
        self.forget_interfaces()

    def forget_interfaces(self) -> None:
        """Know no interface any more: a new section begins, where each needs a block of its own."""
        self._rows: dict[int, int] = {}
        self._last_row = 0
        self._ifindexes = array("I", [0])
        self._interface_ids = array("I", [0])
        self._delivered = array("Q", [0])
        self._addresses = array("B", known_addresses(None))
        self._slots = array("i", [_EMPTY_SLOT] * 8)
        self._slot_count = 8

    def add_interface(
        self, ifindex: int, interface_id: int, mac: bytes | None, hardware_type: int = 0
    ) -> None:
        """Write packets of `ifindex` as of interface block `interface_id`; `mac` is its own address, 6 bytes or None.

        An ifindex that is known already is changed: a device came back under another number of the file.
        """
        row = self._rows.get(ifindex)
        if row is None:
            row = len(self._rows)
            self._rows[ifindex] = row
        count = len(self._rows)
        ifindexes, ids, delivered, addresses = (
            array(kind, list(values) + [0] * (count * width - len(values)))
            for kind, values, width in (
                ("I", self._ifindexes, 1),
                ("I", self._interface_ids, 1),
                ("Q", self._delivered, 1),
                ("B", self._addresses, ADDRESSES_LENGTH),
            )
        )
        ifindexes[row] = ifindex
        ids[row] = interface_id
        addresses_at = row * ADDRESSES_LENGTH
        addresses[addresses_at : addresses_at + ADDRESSES_LENGTH] = array("B", known_addresses(mac))
        size = 8
        while size < 2 * count:  # at most half full, so that a search ends soon
            size *= 2
        slots = array("i", [_EMPTY_SLOT] * size)
        for known, known_row in self._rows.items():
            slot = known % size
            while slots[slot] != _EMPTY_SLOT:
                slot = (slot + 1) % size
            slots[slot] = known_row
        self._ifindexes, self._interface_ids, self._delivered = ifindexes, ids, delivered
        self._addresses, self._slots, self._slot_count = addresses, slots, size

    def delivered(self, ifindex: int) -> int:
        """Return how many packets of this interface were written since interfaces were last forgotten."""
        row = self._rows.get(ifindex)
        return 0 if row is None else self._delivered[row]

    def start(self, block: memoryview, drops: int = 0) -> None:
        """Begin with a ring block. `drops` packets were lost before it, to be told on the next packet written.

        Raises:
            TruncatedError: it is shorter than a block descriptor.
        """
        descriptor = decode_ring_block(block)
        self._at = descriptor.first_packet_at
        self._end = descriptor.length
        self._left = descriptor.packet_count
        self.pending_drops += drops

    def convert(
        self,
        block: cython.const[cython.uchar][::1],  # type: ignore[valid-type]
        out: cython.uchar[::1],
        at: cython.Py_ssize_t,
        limit: cython.longlong = NO_LIMIT,
        options: cython.const[cython.uchar][::1] = b"",  # type: ignore[valid-type]
    ) -> cython.Py_ssize_t:
        """Convert packets of the ring block begun last into `out` from `at`; return where the output ends.

        At most `limit` packets are written. `options`, whole encoded options, go with the first of them. Afterwards
        `stopped_for` says why it stopped. `block` is the same memory as at `start`.
        """
        room: cython.Py_ssize_t = len(out)
        options_length: cython.Py_ssize_t = len(options)
        if cython.compiled:
            buf: cython.p_uchar = cython.cast(cython.p_uchar, cython.address(block[0]))
            out_buf: cython.p_uchar = cython.address(out[0])
            options_buf: cython.p_uchar = cython.NULL
            if options_length:
                options_buf = cython.cast(cython.p_uchar, cython.address(options[0]))
            with cython.nogil:
                at = self._convert(buf, out_buf, at, room, limit, options_buf, options_length)
        else:
            at = self._convert(block, out, at, room, limit, options, options_length)
        return at

    def _convert(
        self,
        buf: cython.p_uchar,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        room: cython.Py_ssize_t,
        limit: cython.longlong,
        options: cython.p_uchar,
        options_length: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        before: cython.Py_ssize_t
        self.stopped_for = _DONE
        while self._left > 0:
            if limit == 0:
                self.stopped_for = _LIMIT_REACHED
                break
            if not read_packet(buf, self._at, self._end, self._facts):
                self.malformed_blocks += 1
                self._left = 0
                break
            if self._facts.timestamp_ns >= self.until_ns:
                self.waiting_ns = self._facts.timestamp_ns
                self.stopped_for = _LATER
                break
            before = at
            at = self.put_packet(buf, self._facts, out, at, room, options, options_length)
            if self.stopped_for != _DONE:
                break
            if at != before:
                limit -= 1
                options_length = 0
            self._left -= 1
            self._at = next_packet(buf, self._at)
        return at

    def put_packet(
        self,
        buf: cython.p_uchar,
        facts: Facts,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        room: cython.Py_ssize_t,
        options: cython.p_uchar,
        options_length: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Write one packet of `buf` into `out` from `at`; return where the output ends.

        That is `at` itself where the packet is not to be written, or where `stopped_for` says what is due first.
        """
        row: cython.Py_ssize_t
        header_length: cython.Py_ssize_t
        frame_length: cython.Py_ssize_t
        frame_limit: cython.Py_ssize_t
        network_at: cython.Py_ssize_t = 0  # where it begins in `buf`, 0 where no checksum is to be computed
        flags: cython.uint
        total: cython.Py_ssize_t
        if _is_loopback_copy(facts) and not self._keeps_loopback_copies:
            self.loopback_copies += 1
            return at
        row = self._find(facts.ifindex)
        if row < 0:
            self.unknown_ifindex = facts.ifindex
            self.stopped_for = _UNKNOWN_INTERFACE
            return at
        frame_limit = min(_frame_room(options_length, self.pending_drops), self._snaplen)
        frame_length = (
            HEADER_LIMIT + facts.header_length + cython.cast(cython.Py_ssize_t, facts.captured_length)
        )
        if PACKET_OVERHEAD + options_length + min(frame_length, frame_limit) > room - at:
            self.stopped_for = _OUTPUT_FULL
            return at
        if self._completes_checksums and facts.checksum_not_ready:
            network_at = facts.payload_at
            if facts.vlan_tpid:
                network_at += inner_tags_length(buf, facts)
        header_length = self.framer.put_header(
            out, at + PACKET_HEADER_LENGTH, buf, facts, self._address_table(), row * ADDRESSES_LENGTH
        )
        if header_length < 0:
            self.not_carried += 1
            return at
        frame_length = header_length + cython.cast(cython.Py_ssize_t, facts.captured_length)
        if frame_length > frame_limit:
            frame_length = frame_limit
        flags = _flags(facts)
        if frame_length > header_length and _put_payload(
            out,
            at + PACKET_HEADER_LENGTH + header_length,
            buf,
            facts,
            frame_length - header_length,
            network_at,
        ):
            flags &= ~_CHECKSUM_NOT_READY
        total = put_enhanced_packet(
            out,
            at,
            self._interface_ids[row],
            facts.timestamp_ns,
            frame_length,
            header_length + facts.original_length,
            flags,
            self.pending_drops,
            options,
            options_length,
        )
        self.pending_drops = 0
        self.written += 1
        self._delivered[row] += 1
        return at + total

    def _address_table(self) -> cython.p_uchar:
        return cython.address(self._addresses[0]) if cython.compiled else self._addresses

    def _find(self, ifindex: cython.uint) -> cython.Py_ssize_t:
        """Return the row of an interface, or -1. Most packets come from the same one as the packet before."""
        slot: cython.Py_ssize_t
        mask: cython.Py_ssize_t
        row: cython.Py_ssize_t
        if self._ifindexes[self._last_row] == ifindex and ifindex:
            return self._last_row
        mask = self._slot_count - 1
        slot = ifindex & mask
        while self._slots[slot] != _EMPTY_SLOT:
            row = self._slots[slot]
            if self._ifindexes[row] == ifindex:
                self._last_row = row
                return row
            slot = (slot + 1) & mask
        return -1


def _is_loopback_copy(facts: Facts) -> cython.bint:
    """Return whether the same packet comes again, inbound."""
    return facts.hardware_type == ARPHRD_LOOPBACK and facts.packet_type == PACKET_OUTGOING


def _frame_room(options_length: cython.Py_ssize_t, drops: cython.ulonglong) -> cython.Py_ssize_t:
    """Return how long a frame can be in a block of the largest size, beside what else is in it."""
    room: cython.Py_ssize_t = BLOCK_LIMIT - PACKET_HEADER_LENGTH - FLAGS_OPTION_LENGTH - PACKET_TRAILER_LENGTH
    room -= options_length
    return room - DROPCOUNT_OPTION_LENGTH if drops else room


def _put_payload(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    buf: cython.p_uchar,
    facts: Facts,
    length: cython.Py_ssize_t,
    network_at: cython.Py_ssize_t,
) -> cython.bint:
    """Put `length` bytes of the payload at `at`; return whether the checksums in it were computed.

    They are where `network_at` says where in `buf` the network layer begins, and is not 0.
    """
    skipped: cython.Py_ssize_t = network_at - facts.payload_at  # tags, and a header that is kept
    _copy(out, at, buf, facts.payload_at, length)
    return network_at != 0 and fix_checksums(out, at + skipped, length - skipped, facts.protocol)


def _copy(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    buf: cython.p_uchar,
    buf_at: cython.Py_ssize_t,
    length: cython.Py_ssize_t,
) -> cython.void:
    if cython.compiled:
        memcpy(out + at, buf + buf_at, length)
    else:
        out[at : at + length] = buf[buf_at : buf_at + length]


def _flags(facts: Facts) -> cython.uint:
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
