"""A buffer of pcapng blocks on their way to the output."""

import contextlib
import mmap
import struct

from capfix.rotation.closed_file import Reason
from capfix.wire.pcapng import BLOCK_OVERHEAD, ENHANCED_PACKET


class Buffer:
    """Page-aligned memory, as direct I/O wants it, filled with `used` bytes.

    The first `carried` bytes are in the output already: the end of the previous buffer, written again so that this
    one starts at a page of the file. Whole pcapng blocks follow; `packets` of them are packets, as whoever put them
    there has counted.

    `opened_ns` is set in the first buffer of a file: when the file was begun, on the wall clock. `ends_file` is set in
    the last buffer of a file: why the file ends.
    """

    def __init__(self, size: int) -> None:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
        self.view = memoryview(memory)
        self.carried = 0
        self.used = 0
        self.packets = 0
        self.opened_ns: int | None = None
        self.ends_file: Reason | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing that is not in the output already."""
        return self.used == self.carried

    def restart(self, carry: bytes) -> None:
        """Begin anew, after `carry`."""
        self.view[: len(carry)] = carry
        self.carried = self.used = len(carry)
        self.packets = 0
        self.opened_ns = None
        self.ends_file = None

    def append(self, blocks: bytes) -> None:
        """Add whole pcapng blocks; the caller has seen that there is room."""
        self.view[self.used : self.used + len(blocks)] = blocks
        self.used += len(blocks)

    @property
    def room(self) -> int:
        """How many bytes can still be added."""
        return len(self.view) - self.used

    def whole_blocks(self, end: int) -> int:
        """Return where the last block ends that lies wholly before `end`."""
        at = self.carried
        while at + BLOCK_OVERHEAD <= end:
            (total,) = struct.unpack_from("<I", self.view, at + 4)
            if at + total > end:
                break
            at += total
        return at

    def packets_from(self, at: int) -> int:
        """Return how many packets the blocks from `at` on hold."""
        packets = 0
        while at < self.used:
            block_type, total = struct.unpack_from("<II", self.view, at)
            packets += block_type == ENHANCED_PACKET
            at += total
        return packets

    def maybe_first_timestamp_ns(self) -> int | None:
        """Return the time stamp of the first packet, None without packets."""
        return maybe_first_timestamp_ns(self.view[: self.used], self.carried)

    def maybe_last_timestamp_ns(self) -> int | None:
        """Return the time stamp of the last packet, None without packets. Walks backwards: packets are at the end."""
        end = self.used
        while end > self.carried:
            (total,) = struct.unpack_from("<I", self.view, end - 4)
            end -= total
            if struct.unpack_from("<I", self.view, end) == (ENHANCED_PACKET,):
                return _timestamp_ns(self.view, end)
        return None


def maybe_first_timestamp_ns(blocks: memoryview, at: int = 0) -> int | None:
    """Return the time stamp of the first packet among whole blocks from `at` on, in nanoseconds; None without any."""
    while at < len(blocks):
        block_type, total = struct.unpack_from("<II", blocks, at)
        if block_type == ENHANCED_PACKET:
            return _timestamp_ns(blocks, at)
        at += total
    return None


def _timestamp_ns(blocks: memoryview, at: int) -> int:
    high, low = struct.unpack_from("<II", blocks, at + 12)
    return int(high) << 32 | int(low)
