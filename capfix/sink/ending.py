"""Ending a file whose writer could not: after a crash, or when the disk refuses more.

The file is cut behind its last whole block, and a statistics block for each interface tells why. What it counts is
what lies in the file, since the file is all there is to go by.
"""

import os
from collections.abc import Callable
from typing import Final, NamedTuple

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


def end_early(fd: int, comment: str, progress: Progress | None = None) -> Ending:
    """End the file of `fd`, open for reading and writing, with a `comment` in its statistics.

    In `comment`, `{cut_bytes}` stands for how many bytes were cut. The memory used does not depend on the
    file's size. A full disk leaves the statistics out; so does whatever else the filesystem refuses.

    Raises:
        OSError: the file cannot be read or cut.
    """
    size_bytes = os.fstat(fd).st_size
    walk, whole_bytes = _walk(fd, size_bytes, progress)
    cut_bytes = size_bytes - whole_bytes
    if walk.interfaces == 0:
        return Ending(0, 0, cut_bytes, False)
    os.ftruncate(fd, whole_bytes)
    statistics = _statistics(walk, comment.replace("{cut_bytes}", str(cut_bytes)))
    packets = sum(map(walk.packets, range(walk.interfaces)))
    return Ending(walk.interfaces, packets, cut_bytes, _append(fd, whole_bytes, statistics))


def _walk(fd: int, size_bytes: int, progress: Progress | None) -> tuple[SectionWalk, int]:
    """Return the walk over the file's blocks and how many bytes of it are whole."""
    walk = SectionWalk()
    window = bytearray(_WINDOW)
    whole_bytes = 0
    while True:
        length = os.preadv(fd, [window], whole_bytes)
        end = walk.walk(window, 0, length)
        whole_bytes += end
        if progress is not None:
            progress(whole_bytes, size_bytes)
        if walk.broken or end == 0:
            return walk, whole_bytes


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
    """Write all of `blocks` behind the last whole one, or none of them."""
    try:
        done = 0
        while done < len(blocks):
            done += os.pwrite(fd, blocks[done:], at + done)
    except OSError:  # full, over quota or failing: what is whole already is worth keeping without them
        os.ftruncate(fd, at)
        return False
    return True
