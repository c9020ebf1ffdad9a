"""Following the blocks of one pcapng section as far as they are whole.

Compiled. A stricter judge than a reader has to be, as it decides what of a torn file is kept: only what capfix itself
writes passes. One section; no block over BLOCK_LIMIT; packets and statistics only of interfaces described before. So
zeros, another file's old blocks on a disk that was not synced and a second section header all end the walk.
"""

from array import array
from typing import Final

import cython

from capfix.wire.pcapng import (
    BLOCK_LIMIT,
    BLOCK_OVERHEAD,
    BYTE_ORDER_MAGIC,
    ENHANCED_PACKET,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    PACKET_HEADER_LENGTH,
    SECTION_HEADER,
)

if not cython.compiled:  # the .pxd file has it otherwise
    from capfix.wire.memory import load_u32

INTERFACE_LIMIT: Final = 65536  # of one file; bounds the memory that a malicious file can ask for

_SECTION_HEADER_LEAST: Final = 28
_INTERFACE_LEAST: Final = 20
_PACKET_LEAST: Final = PACKET_HEADER_LENGTH + 4
_STATISTICS_LEAST: Final = 24


class SectionWalk:
    """Walks over a section in pieces. Its counts are of the whole blocks seen so far.

    `interfaces` is the number of interface blocks, `last_timestamp_ns` that of the last packet, 0 before any.
    `broken` says that the walk ended at something that is no block, and not for want of bytes.
    """

    def __init__(self) -> None:
        self.interfaces = 0
        self.has_header = False
        self.broken = False
        self.last_timestamp_ns = 0
        self._packets = array("Q", bytes(8 * 8))

    def packets(self, interface_id: int) -> int:
        """Return how many packets of an interface were seen."""
        count: int = self._packets[interface_id] if interface_id < self.interfaces else 0
        return count

    def walk(
        self,
        data: cython.const[cython.uchar][::1],  # type: ignore[valid-type]
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Follow the blocks of `data` from `at`, the start of one, to `end`; return where the last whole one ends.

        Called again with the bytes from there on and more of the file, unless it is `broken`.
        """
        buf: cython.p_uchar
        if at >= end:
            return at
        buf = cython.cast(cython.p_uchar, cython.address(data[0])) if cython.compiled else data
        block_type: cython.uint
        total: cython.Py_ssize_t
        while not self.broken and end - at >= BLOCK_OVERHEAD:
            block_type = load_u32(buf, at)
            total = load_u32(buf, at + 4)
            if total < BLOCK_OVERHEAD or total > BLOCK_LIMIT or total & 3:
                self.broken = True
                break
            if total > end - at:
                break
            if load_u32(buf, at + total - 4) != total or not self._take(buf, at, block_type, total):
                self.broken = True
                break
            at += total
        return at

    def _take(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, block_type: cython.uint, total: cython.Py_ssize_t
    ) -> cython.bint:
        """Count a block whose lengths agree; False when it is not one that may stand there."""
        if not self.has_header:
            self.has_header = (
                block_type == SECTION_HEADER
                and total >= _SECTION_HEADER_LEAST
                and load_u32(buf, at + 8) == BYTE_ORDER_MAGIC
            )
            return self.has_header
        if block_type == ENHANCED_PACKET:
            if total < _PACKET_LEAST or load_u32(buf, at + 20) > total - _PACKET_LEAST:
                return False
            if load_u32(buf, at + 8) >= self.interfaces:
                return False
            self._packets[load_u32(buf, at + 8)] += 1
            self.last_timestamp_ns = (cython.cast(cython.ulonglong, load_u32(buf, at + 12)) << 32) | load_u32(
                buf, at + 16
            )
            return True
        if block_type == INTERFACE_DESCRIPTION:
            return total >= _INTERFACE_LEAST and self._add_interface()
        if block_type == INTERFACE_STATISTICS:
            return total >= _STATISTICS_LEAST and load_u32(buf, at + 8) < self.interfaces
        return False

    def _add_interface(self) -> cython.bint:
        if self.interfaces == INTERFACE_LIMIT:
            return False
        if self.interfaces == len(self._packets):
            self._packets = array("Q", bytes(self._packets) * 2)
            for interface_id in range(self.interfaces, 2 * self.interfaces):
                self._packets[interface_id] = 0
        self.interfaces += 1
        return True
