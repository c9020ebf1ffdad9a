"""Finishing a file that a crash left unfinished.

It is cut behind its last whole block, says in a statistics block for each interface that this happened, and gets its
final name. What lacks a whole section header or interface block holds no packet and is removed. Whoever holds the
lock of the output may do this, and nobody else: without it the file may be a living capture's.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from capfix.rotation.retention import StoredFile
from capfix.sink.directory import CaptureDirectory
from capfix.units import format_size
from capfix.wire.pcapng import InterfaceStatistics, encode_interface_statistics
from capfix.wire.section_walk import SectionWalk

_WINDOW: Final = 4 * 1024 * 1024  # more than the largest block, so that each window holds a whole one

#: Called now and then with the bytes looked through and the bytes there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recovery:
    """What became of one unfinished file. `file` is None when it held nothing to keep and was removed.

    `statistics_written` is False when the disk had no room for the blocks that tell of it.
    """

    part_name: str
    file: StoredFile | None
    packets: int
    cut_bytes: int
    statistics_written: bool = True

    def sentence(self) -> str:
        """Return what happened, for the log."""
        if self.file is None:
            return f"removed {self.part_name}: left by a crash without a whole section header and interface block"
        told = "" if self.statistics_written else "; no room to note that in the file"
        return (
            f"recovered {self.file.name}, left unfinished by a crash: {self.packets} packets kept, "
            f"{format_size(self.cut_bytes)} cut from its end{told}"
        )


def recover(directory: CaptureDirectory, part_name: str, progress: Progress | None = None) -> Recovery:
    """Finish the unfinished file `part_name` of a directory whose lock is held; return what became of it.

    The memory used does not depend on the file's size. Interrupted half way, it can simply be done again.

    Raises:
        OSError: the file cannot be read, cut or renamed.
    """
    fd = os.open(part_name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.fd)
    try:
        size_bytes = os.fstat(fd).st_size
        walk, whole_bytes = _walk(fd, size_bytes, progress)
        if walk.interfaces == 0:
            directory.remove(part_name)
            return Recovery(part_name, None, 0, size_bytes)
        cut_bytes = size_bytes - whole_bytes
        os.ftruncate(fd, whole_bytes)
        written = _append(fd, whole_bytes, _closing_blocks(walk, cut_bytes))
        packets = sum(map(walk.packets, range(walk.interfaces)))
        return Recovery(part_name, directory.finish(part_name, fd), packets, cut_bytes, written)
    finally:
        os.close(fd)


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


def _closing_blocks(walk: SectionWalk, cut_bytes: int) -> bytes:
    """Return a statistics block for each interface. How much the kernel lost is left out, as nobody knows any more."""
    cut = f"{cut_bytes} bytes of a torn end cut" if cut_bytes else "nothing cut"
    return b"".join(
        encode_interface_statistics(
            InterfaceStatistics(
                interface_id,
                walk.last_timestamp_ns,
                delivered=walk.packets(interface_id),
                comment=f"capfix recovered this file after a crash: {cut}; packets lost at its end are not counted",
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
    except OSError:  # full, over quota or failing: what is whole already is worth its name without them
        os.ftruncate(fd, at)
        return False
    return True
