"""A buffer of pcapng blocks on their way to the output."""

import contextlib
import mmap
import struct

from capfix.wire.pcapng import BLOCK_OVERHEAD, ENHANCED_PACKET


class Buffer:
    """Page-aligned memory, as direct I/O wants it, filled with `used` bytes.

    The first `carried` bytes were in the output already: the end of the buffer before, written again so that this
    one starts at a page of the file. Whole pcapng blocks follow.

    `opened_ns` is when the file was begun, on the wall clock, that this buffer is the first of; None in all others.
    `ends_file` says that it is the last of its file.
    """

    def __init__(self, size: int) -> None:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
        self.view = memoryview(memory)
        self.carried = 0
        self.used = 0
        self.opened_ns: int | None = None
        self.ends_file = False

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing that is not in the output already."""
        return self.used == self.carried

    def restart(self, carry: bytes) -> None:
        """Begin anew, behind `carry`."""
        self.view[: len(carry)] = carry
        self.carried = self.used = len(carry)
        self.opened_ns = None
        self.ends_file = False

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
