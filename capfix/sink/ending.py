"""Ending a file whose writer could not: after a crash, or when the disk refuses more.

The file is cut after its last whole block, and a statistics block for each interface tells why. What it counts is
what lies in the file, since the file is all there is to go by.
"""

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from capfix.sink.buffers import maybe_first_timestamp_ns
from capfix.wire.pcapng import InterfaceStatistics, encode_interface_statistics
from capfix.wire.section_walk import SectionWalk

_WINDOW: Final = 4 << 20  # more than the largest block, so that each window holds a whole one

#: Called now and then with the bytes looked through and the bytes there are.
Progress = Callable[[int, int], None]


class Ending(NamedTuple):
    """What a file was found to hold. One without `interfaces` holds no packet and was left as it was."""

    interfaces: int
    packets: int
    cut_bytes: int
    statistics_written: bool
    first_ns: int | None = None
    last_ns: int | None = None


def end_early(fd: int, comment: str, progress: Progress | None = None) -> Ending:
    """End the file of `fd`, open for reading and writing, with a `comment` in its statistics.

    In `comment`, `{cut_bytes}` stands for how many bytes were cut. The memory used does not depend on the
    file's size. A full disk leaves the statistics out; so does whatever else the filesystem refuses.

    Raises:
        OSError: the file cannot be read or cut.
    """
    size_bytes = os.fstat(fd).st_size
    walk, whole_bytes, first_ns = _walk(fd, size_bytes, progress)
    cut_bytes = size_bytes - whole_bytes
    if walk.interfaces == 0:
        return Ending(0, 0, cut_bytes, False)
    os.ftruncate(fd, whole_bytes)
    statistics = _statistics(walk, comment.replace("{cut_bytes}", str(cut_bytes)))
    packets = sum(map(walk.packets, range(walk.interfaces)))
    written = _append(fd, whole_bytes, statistics)
    last_ns = walk.last_timestamp_ns if packets else None
    return Ending(walk.interfaces, packets, cut_bytes, written, first_ns, last_ns)


def _walk(fd: int, size_bytes: int, progress: Progress | None) -> tuple[SectionWalk, int, int | None]:
    """Return the walk over the file's blocks, how many bytes of it are whole, and the first packet's time stamp."""
    walk = SectionWalk()
    window = bytearray(_WINDOW)
    whole_bytes = 0
    first_ns: int | None = None
    while True:
        length = os.preadv(fd, [window], whole_bytes)
        end = walk.walk(window, 0, length)
        whole_bytes += end
        if first_ns is None:
            first_ns = maybe_first_timestamp_ns(memoryview(window)[:end])
        if progress is not None:
            progress(whole_bytes, size_bytes)
        if walk.broken or end == 0:
            return walk, whole_bytes, first_ns


def _statistics(walk: SectionWalk, comment: str) -> bytes:
    """Return a statistics block for each interface. What the kernel lost is left out, as nobody knows it any more."""
    return b"".join(
        encode_interface_statistics(
            InterfaceStatistics(
                interface_id, walk.last_timestamp_ns, delivered=walk.packets(interface_id), comment=comment
            )
        )
        for interface_id in range(walk.interfaces)
    )


def _append(fd: int, at: int, blocks: bytes) -> bool:
    """Write all of `blocks` after the last whole one, or none of them."""
    try:
        done = 0
        while done < len(blocks):
            done += os.pwrite(fd, blocks[done:], at + done)
    except OSError:  # full, over quota or failing: what is whole already is worth keeping without them
        os.ftruncate(fd, at)
        return False
    return True
