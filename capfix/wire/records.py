"""Following the records of a pcap and the blocks of a pcapng file, and finding them again behind damage.

Compiled. `RecordWalk.step` is strict: it takes a record only where the bytes behind it begin another, end the input, or
cannot be told from either. A file that some reader can walk through is never called damaged: where a header looks odd
(times a day apart, an original length below the captured one), the lengths alone have to lead through the next
records. `RecordWalk.find` is the salvage: it looks for the next place where several things agree.

pcapng blocks repeat their length, so that a block proves itself. A pcap record is proved by the header behind it.

Source: pcap-savefile(5); draft-ietf-opsawg-pcapng, section 3.1 and 4; libpcap, sf-pcap.c and sf-pcapng.c.
"""

from enum import IntEnum
from typing import Final

import cython

from capfix.wire.pcap import (
    FILE_HEADER_LENGTH,
    LENGTHS_IN_ORDER,
    LENGTHS_SWAPPED,
    MAGIC,
    MODIFIED_MAGIC,
    NANOSECOND_MAGIC,
    NANOSECONDS,
    RECORD_HEADER_LENGTH,
    RECORD_LIMIT,
    FileHeader,
)
from capfix.wire.pcapng import (
    BLOCK_OVERHEAD,
    BYTE_ORDER_MAGIC,
    ENHANCED_PACKET,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    OBSOLETE_PACKET,
    PACKET_HEADER_LENGTH,
    SECTION_HEADER,
    SIMPLE_PACKET,
    SNAPLEN,
)


class Step(IntEnum):
    """What stands at a place. Only PACKET and OTHER let a walk go on by itself."""

    PACKET = 0
    OTHER = 1  # a pcapng block that is no packet
    SECTION = 2  # a section header; its byte order holds from here on
    INTERFACE = 3  # an interface description
    FILE_HEADER = 4  # the file header of a pcap, not yet walked over
    MORE = 5  # more bytes are needed to say
    END = 6  # the input is finished, and this is its end
    FAULT = 7  # see `RecordWalk.fault`


class Fault(IntEnum):
    """What is wrong with a record. The first three leave open whether it is the record itself."""

    NONE = 0
    NOTHING_BEHIND = 1  # what should follow this record is no record
    CUT = 2  # the input ends before the record does
    LENGTH = 3  # a length that no record can have
    TRAILER = 4  # the length is repeated as another one
    CAPTURED = 5  # the packet is longer than its block
    INTERFACE = 6  # an interface that no block describes
    ZEROS = 7  # nothing but zeros


_PACKET: Final = int(Step.PACKET)
_OTHER: Final = int(Step.OTHER)
_SECTION: Final = int(Step.SECTION)
_INTERFACE: Final = int(Step.INTERFACE)
_FILE_HEADER: Final = int(Step.FILE_HEADER)
_MORE: Final = int(Step.MORE)
_END: Final = int(Step.END)
_FAULT: Final = int(Step.FAULT)

_NO_FAULT: Final = int(Fault.NONE)
_NOTHING_BEHIND: Final = int(Fault.NOTHING_BEHIND)
_CUT: Final = int(Fault.CUT)
_BAD_LENGTH: Final = int(Fault.LENGTH)
_BAD_TRAILER: Final = int(Fault.TRAILER)
_BAD_CAPTURED: Final = int(Fault.CAPTURED)
_BAD_INTERFACE: Final = int(Fault.INTERFACE)
_ZEROS: Final = int(Fault.ZEROS)

#: Salvage looks this far ahead of a place to judge it, so so much of the input has to be there, or its end.
LOOKAHEAD: Final = 1024 * 1024

_DAY: Final = 86400  # a gap that asks for a second look
_CHAIN: Final = 8  # so many lengths that lead from one to the next are no accident
_CHAIN_CUT: Final = 3  # so many, where the input ends before there can be more
_KNOWN_BLOCKS: Final = 16  # block types below this are given or reserved by the draft
_CUSTOM: Final = 0xBAD
_CUSTOM_NOT_COPIED: Final = 0x40000BAD
_PACKET_LEAST: Final = PACKET_HEADER_LENGTH + 4
_SIMPLE_LEAST: Final = 16
_INTERFACE_LEAST: Final = 20
_STATISTICS_LEAST: Final = 24
_SECTION_LEAST: Final = 28
_NO: Final = 0
_YES: Final = 1
_MAYBE: Final = 2  # more bytes would tell


class RecordWalk:
    """Walks over the records of one capture.

    What `step` found is in the attributes: `start` and `end` of the record, `kind` its block type (0 for a pcap's),
    `data_at` and `captured` bytes of packet, `original` its length on the wire, `high` and `low` the two words of its
    time as they stand there, `interface_id`, and where its options lie. Offsets are those of the buffer walked.
    """

    def __init__(self) -> None:
        self.is_pcapng = False
        self.big_endian = False
        self.ticks = NANOSECONDS
        self.record_header_length = RECORD_HEADER_LENGTH
        self.length_order = LENGTHS_IN_ORDER
        self.record_limit = SNAPLEN
        self.snaplen = 0
        self.interfaces = 0
        self.last_seconds = 0
        self.has_time = False
        self.fault = 0
        self.start = self.end = self.data_at = self.captured = self.original = 0
        self.kind = self.high = self.low = self.interface_id = 0
        self.options_at = self.options_end = 0

    def begin_pcap(self, header: FileHeader) -> None:
        """Walk over records as `header` says; it is not part of the walk."""
        self.is_pcapng = False
        self.big_endian = header.big_endian
        self.ticks = header.ticks
        self.record_header_length = header.record_header_length
        self.length_order = header.length_order
        self.snaplen = header.snaplen
        self.record_limit = max(header.snaplen, SNAPLEN) if header.snaplen <= RECORD_LIMIT else RECORD_LIMIT
        self.interfaces = 1
        self.has_time = False

    def begin_pcapng(self, big_endian: bool = False) -> None:
        """Walk over blocks in this byte order until a section header says another."""
        self.is_pcapng = True
        self.big_endian = big_endian
        self.record_header_length = PACKET_HEADER_LENGTH
        self.record_limit = RECORD_LIMIT
        self.interfaces = 0

    def step(
        self,
        data: cython.const[cython.uchar][::1],  # type: ignore[valid-type]
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        final: cython.bint,
    ) -> Step:
        """Say what stands at `at` of `data`, whose bytes count to `end`; `final` says that the input ends there."""
        if end > len(data) or not 0 <= at <= end:
            raise ValueError(f"no such range: {at} to {end} of {len(data)} bytes")
        if end == 0:
            return Step.END if final else Step.MORE
        return Step(
            self.next_record(
                cython.cast(cython.p_uchar, cython.address(data[0])) if cython.compiled else data,
                at,
                end,
                final,
            )
        )

    def find(
        self,
        data: cython.const[cython.uchar][::1],  # type: ignore[valid-type]
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        final: cython.bint,
    ) -> cython.Py_ssize_t:
        """Return the first place from `at` on where a record or a capture begins credibly, or -1.

        Unless `final`, the last LOOKAHEAD bytes are not searched.
        """
        if end > len(data) or not 0 <= at <= end:
            raise ValueError(f"no such range: {at} to {end} of {len(data)} bytes")
        if end == 0:
            return -1
        return self._find(
            cython.cast(cython.p_uchar, cython.address(data[0])) if cython.compiled else data, at, end, final
        )

    def next_record(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, final: cython.bint
    ) -> cython.int:
        """As `step`, for compiled callers; they have checked the range."""
        self.start = at
        self.fault = _NO_FAULT
        if at == end:
            return _END if final else _MORE
        if self.is_pcapng:
            return self._next_block(buf, at, end, final)
        return self._next_pcap_record(buf, at, end, final)

    def _next_pcap_record(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, final: cython.bint
    ) -> cython.int:
        behind: cython.int
        if end - at < FILE_HEADER_LENGTH and not final:
            return _MORE
        if end - at < self.record_header_length:
            return self._fail(_CUT, end)
        self._read_pcap_header(buf, at)
        if self.high in (SECTION_HEADER, MAGIC, NANOSECOND_MAGIC, MODIFIED_MAGIC) or not _near(
            self.high, self.last_seconds
        ):
            if is_capture_start(buf, at, end):
                return _FILE_HEADER if load_u32(buf, at, False) != SECTION_HEADER else self._begin_section()
            if self.high == 0 and self.low == 0 and self.captured == 0:
                return self._fail(_ZEROS, end)
        if self.captured > self.record_limit:
            return self._fail(_BAD_LENGTH, end)
        if self.captured > end - self.data_at:
            return self._fail(_CUT, end) if final else _MORE
        behind = self._follows(buf, self.end, end, final)
        if behind == _MAYBE:
            return _MORE
        if behind == _NO:
            self.fault = _NOTHING_BEHIND
            return _FAULT
        self.last_seconds = self.high
        self.has_time = True
        return _PACKET

    def _begin_section(self) -> cython.int:
        # A pcapng file stands behind a pcap: the caller sees its section header at the next step
        self.is_pcapng = True
        self.record_header_length = PACKET_HEADER_LENGTH
        self.record_limit = RECORD_LIMIT
        self.end = self.start
        return _OTHER

    def _fail(self, fault: cython.int, end: cython.Py_ssize_t) -> cython.int:
        self.fault = fault
        self.end = end
        return _FAULT

    def _read_pcap_header(self, buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.void:
        first: cython.uint = load_u32(buf, at + 8, self.big_endian)
        second: cython.uint = load_u32(buf, at + 12, self.big_endian)
        self.kind = 0
        self.interface_id = 0
        self.high = load_u32(buf, at, self.big_endian)
        self.low = load_u32(buf, at + 4, self.big_endian)
        if self.length_order != LENGTHS_IN_ORDER and (self.length_order == LENGTHS_SWAPPED or first > second):
            first, second = second, first
        self.captured = first
        self.original = second
        self.data_at = at + self.record_header_length
        self.end = self.data_at + self.captured
        self.options_at = self.options_end = self.end

    def _is_plain_header(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, seconds: cython.uint
    ) -> cython.bint:
        """Return whether a record header near `seconds` in time stands at `at`, with nothing odd in it."""
        first: cython.uint = load_u32(buf, at + 8, self.big_endian)
        second: cython.uint = load_u32(buf, at + 12, self.big_endian)
        if self.length_order != LENGTHS_IN_ORDER and (self.length_order == LENGTHS_SWAPPED or first > second):
            first, second = second, first
        return (
            first <= second
            and first <= self.record_limit
            and second < RECORD_LIMIT
            and load_u32(buf, at + 4, self.big_endian) < self.ticks
            and _near(load_u32(buf, at, self.big_endian), seconds)
        )

    def _follows(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, final: cython.bint
    ) -> cython.int:
        """Return whether what stands at `at` can follow the record just read."""
        if end - at < FILE_HEADER_LENGTH:
            if end - at < self.record_header_length:
                return _YES if final else _MAYBE  # what is left of a header, if anything
            if not final:
                return _MAYBE
        if self._is_plain_header(buf, at, self.high):
            return _YES
        if is_capture_start(buf, at, end):
            return _YES
        return self._leads_on(buf, at, end, final)

    def _leads_on(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, final: cython.bint
    ) -> cython.int:
        """Return whether the lengths from `at` on lead from one record to the next."""
        count: cython.int = 0
        captured: cython.uint
        other: cython.uint
        while count < _CHAIN:
            if at == end:
                return _YES if final else _MAYBE
            if end - at < self.record_header_length:
                return (_YES if count >= _CHAIN_CUT else _NO) if final else _MAYBE
            captured = load_u32(buf, at + 8, self.big_endian)
            other = load_u32(buf, at + 12, self.big_endian)
            if self.length_order != LENGTHS_IN_ORDER and (
                self.length_order == LENGTHS_SWAPPED or captured > other
            ):
                captured = other
            if count and is_capture_start(buf, at, end):
                return _YES
            if captured > self.record_limit:
                return _NO
            if captured == 0 and load_u32(buf, at, False) == 0 and load_u32(buf, at + 4, False) == 0:
                return _NO
            at += self.record_header_length + captured
            if at > end:
                return (_YES if count >= _CHAIN_CUT else _NO) if final else _MAYBE
            count += 1
        return _YES

    def _next_block(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, final: cython.bint
    ) -> cython.int:
        total: cython.uint
        if end - at < FILE_HEADER_LENGTH and not final:
            return _MORE
        if end - at < BLOCK_OVERHEAD:
            return self._fail(_CUT, end)
        self.kind = load_u32(buf, at, self.big_endian)
        if self.kind == SECTION_HEADER:
            if load_u32(buf, at + 8, self.big_endian) != BYTE_ORDER_MAGIC:
                if load_u32(buf, at + 8, not self.big_endian) != BYTE_ORDER_MAGIC:
                    return self._fail(_BAD_LENGTH, end)
                self.big_endian = not self.big_endian
        elif is_pcap_start(buf, at, end):
            return _FILE_HEADER
        total = load_u32(buf, at + 4, self.big_endian)
        if self.kind == 0 and total == 0:
            return self._fail(_ZEROS, end)
        if total < BLOCK_OVERHEAD or total & 3 or total > RECORD_LIMIT:
            return self._fail(_BAD_LENGTH, end)
        if total > end - at:
            return self._fail(_CUT, end) if final else _MORE
        self.end = at + total
        if load_u32(buf, self.end - 4, self.big_endian) != total:
            self.fault = _BAD_TRAILER
            return _FAULT
        return self._take_block(buf, at, total)

    def _take_block(self, buf: cython.p_uchar, at: cython.Py_ssize_t, total: cython.uint) -> cython.int:
        if self.kind == ENHANCED_PACKET or self.kind == OBSOLETE_PACKET:
            if total < _PACKET_LEAST:
                self.fault = _BAD_LENGTH
                return _FAULT
            self.read_packet_block(buf, at)
            if self.captured > total - _PACKET_LEAST:
                self.fault = _BAD_CAPTURED
                return _FAULT
            self.options_at = self.data_at + ((self.captured + 3) & ~3)
            self.options_end = self.end - 4
            if self.options_at > self.options_end:
                self.fault = _BAD_CAPTURED
                return _FAULT
            if self.interface_id >= self.interfaces:
                self.fault = _BAD_INTERFACE
                return _FAULT
            self.last_seconds = self.high  # the high word serves as well to say what is near in time
            self.has_time = True
            return _PACKET
        if self.kind == SIMPLE_PACKET:
            if total < _SIMPLE_LEAST:
                self.fault = _BAD_LENGTH
                return _FAULT
            self.interface_id = 0
            self.original = load_u32(buf, at + 8, self.big_endian)
            self.data_at = at + 12
            self.captured = self.original if self.original < total - _SIMPLE_LEAST else total - _SIMPLE_LEAST
            self.options_at = self.options_end = self.end - 4
            self.high = self.low = 0
            if self.interfaces == 0:
                self.fault = _BAD_INTERFACE
                return _FAULT
            return _PACKET
        if self.kind == SECTION_HEADER:
            if total < _SECTION_LEAST:
                self.fault = _BAD_LENGTH
                return _FAULT
            self.interfaces = 0
            return _SECTION
        if self.kind == INTERFACE_DESCRIPTION:
            if total < _INTERFACE_LEAST:
                self.fault = _BAD_LENGTH
                return _FAULT
            self.interfaces += 1
            return _INTERFACE
        return _OTHER

    def read_packet_block(self, buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.void:
        """Read the fields of an enhanced or an obsolete packet block, of whose bytes 28 are there."""
        if self.kind == OBSOLETE_PACKET:
            self.interface_id = load_u16(buf, at + 8, self.big_endian)
        else:
            self.interface_id = load_u32(buf, at + 8, self.big_endian)
        self.high = load_u32(buf, at + 12, self.big_endian)
        self.low = load_u32(buf, at + 16, self.big_endian)
        self.captured = load_u32(buf, at + 20, self.big_endian)
        self.original = load_u32(buf, at + 24, self.big_endian)
        self.data_at = at + PACKET_HEADER_LENGTH

    def _find(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, final: cython.bint
    ) -> cython.Py_ssize_t:
        last: cython.Py_ssize_t = end if final else end - LOOKAHEAD
        while at < last:
            if is_capture_start(buf, at, end):
                return at
            if self.is_pcapng:
                if end - at >= BLOCK_OVERHEAD and self._is_credible_block(buf, at, end, final, 1):
                    return at
            elif end - at >= self.record_header_length and self._is_credible_record(buf, at, end):
                return at
            at += 1
        return -1

    def _is_credible_record(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Return whether a pcap record stands at `at`, from its own header and those of the records behind it.

        Near in time to the last good record one more header is enough, or the end of the input. Without such a
        record, four have to follow each other, or two before the end.
        """
        count: cython.int = 0
        enough: cython.int = 2 if self.has_time else 5
        seconds: cython.uint = self.last_seconds if self.has_time else load_u32(buf, at, self.big_endian)
        captured: cython.uint
        other: cython.uint
        if seconds == 0:
            return False
        while count < enough:
            if end - at < self.record_header_length or (count and is_capture_start(buf, at, end)):
                return self.has_time or count > 1 if at == end else count > 1
            if not self._is_plain_header(buf, at, seconds):
                return False
            seconds = load_u32(buf, at, self.big_endian)
            captured = load_u32(buf, at + 8, self.big_endian)
            other = load_u32(buf, at + 12, self.big_endian)
            if self.length_order != LENGTHS_IN_ORDER and other < captured:
                captured = other
            if captured == 0:
                return False
            at += self.record_header_length + captured
            count += 1
            if at > end:
                return self.has_time or count > 2
        return True

    def _is_credible_block(
        self,
        buf: cython.p_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        final: cython.bint,
        deeper: cython.int,
    ) -> cython.bint:
        """Return whether a pcapng block stands at `at`: its type is known, its lengths and those within agree."""
        kind: cython.uint = load_u32(buf, at, self.big_endian)
        total: cython.uint = load_u32(buf, at + 4, self.big_endian)
        if not _is_block_type(kind) or total < BLOCK_OVERHEAD or total & 3 or total > RECORD_LIMIT:
            return False
        if kind in (ENHANCED_PACKET, OBSOLETE_PACKET):
            if total < _PACKET_LEAST or end - at < PACKET_HEADER_LENGTH:
                return False
            if load_u32(buf, at + 20, self.big_endian) > total - _PACKET_LEAST:
                return False
            if total > end - at:  # the input ends in it; what is there of it has to do
                return (
                    final and self.has_time and load_u32(buf, at + 12, self.big_endian) == self.last_seconds
                )
        elif (
            (
                kind == INTERFACE_DESCRIPTION
                and (total < _INTERFACE_LEAST or load_u16(buf, at + 10, self.big_endian) != 0)
            )
            or (kind == SIMPLE_PACKET and total < _SIMPLE_LEAST)
            or (kind == INTERFACE_STATISTICS and total < _STATISTICS_LEAST)
        ):
            return False
        if total > end - at or load_u32(buf, at + total - 4, self.big_endian) != total:
            return False
        at += total
        if deeper and end - at >= BLOCK_OVERHEAD and total < _PACKET_LEAST:
            # So short a block is little evidence: another has to follow
            return is_capture_start(buf, at, end) or self._is_credible_block(buf, at, end, final, 0)
        return True


def _near(seconds: cython.uint, other: cython.uint) -> cython.bint:
    return (seconds - other if seconds > other else other - seconds) <= _DAY


def _is_block_type(kind: cython.uint) -> cython.bint:
    return 0 < kind < _KNOWN_BLOCKS or kind in (_CUSTOM, _CUSTOM_NOT_COPIED) or kind >> 16 == 32768


def is_capture_start(buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
    """Return whether a pcap's file header or a pcapng section header stands at `at`."""
    if end - at >= FILE_HEADER_LENGTH and load_u32(buf, at, False) == SECTION_HEADER:
        return (
            load_u32(buf, at + 8, False) == BYTE_ORDER_MAGIC
            and load_u32(buf, at + 4, False) >= _SECTION_LEAST
            and load_u32(buf, at + 4, False) <= RECORD_LIMIT
        ) or (
            load_u32(buf, at + 8, True) == BYTE_ORDER_MAGIC
            and load_u32(buf, at + 4, True) >= _SECTION_LEAST
            and load_u32(buf, at + 4, True) <= RECORD_LIMIT
        )
    return is_pcap_start(buf, at, end)


def is_pcap_start(buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
    """Return whether a pcap's file header stands at `at`: a magic number, a version, a snaplen and a link type."""
    big: cython.bint = False
    magic: cython.uint
    network: cython.uint
    if end - at < FILE_HEADER_LENGTH:
        return False
    if buf[at] == 0xA1:
        big = True
    elif buf[at + 3] != 0xA1:
        return False
    magic = load_u32(buf, at, big)
    if magic not in (MAGIC, NANOSECOND_MAGIC, MODIFIED_MAGIC):
        return False
    network = load_u32(buf, at + 20, big) & 0x03FFFFFF
    return load_u16(buf, at + 4, big) == 2 and load_u16(buf, at + 6, big) <= 4 and network < 0x10000


def load_u32(buf: cython.p_uchar, at: cython.Py_ssize_t, big_endian: cython.bint) -> cython.uint:
    """Return the 32 bits at `at` of `buf`, in the byte order given."""
    if big_endian:
        return (
            (cython.cast(cython.uint, buf[at]) << 24) | (buf[at + 1] << 16) | (buf[at + 2] << 8) | buf[at + 3]
        )
    return buf[at] | (buf[at + 1] << 8) | (buf[at + 2] << 16) | (cython.cast(cython.uint, buf[at + 3]) << 24)


def load_u16(buf: cython.p_uchar, at: cython.Py_ssize_t, big_endian: cython.bint) -> cython.uint:
    """Return the 16 bits at `at` of `buf`, in the byte order given."""
    if big_endian:
        return buf[at] << 8 | buf[at + 1]
    return buf[at] | buf[at + 1] << 8
