"""Finishing a file that a crash left unfinished.

It is ended after its last whole block and gets its final name. What lacks a whole section header or interface block
holds no packet and is removed. Whoever holds the lock of the output may do this, and nobody else: without it the file
may be a living capture's.
"""

import os
from typing import Final, NamedTuple

from capfix.rotation.closed_file import Reason
from capfix.rotation.retention import StoredFile
from capfix.sink.closing import OnClosed, Tally, close_file
from capfix.sink.directory import CaptureDirectory
from capfix.sink.ending import Progress, end_early
from capfix.units import format_size

_COMMENT: Final = (
    "recovered by capfix after a crash: {cut_bytes} bytes cut, packets lost at its end not counted"
)


class Recovery(NamedTuple):
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
        note = "" if self.statistics_written else "; no room to note that in the file"
        return (
            f"recovered {self.file.name}, left unfinished by a crash: {self.packets} packets kept, "
            f"{format_size(self.cut_bytes)} cut from its end{note}"
        )


def recover(
    directory: CaptureDirectory,
    part_name: str,
    progress: Progress | None = None,
    closed: OnClosed = lambda _: None,
) -> Recovery:
    """Finish the unfinished file `part_name` of a directory whose lock is held; return what became of it.

    Interrupted half way, it can simply be done again.

    Raises:
        OSError: the file cannot be read, cut or renamed.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(part_name, flags, dir_fd=directory.fd)
    try:
        ending = end_early(fd, _COMMENT, progress)
        if ending.interfaces == 0:
            directory.remove(part_name)
            return Recovery(part_name, None, 0, ending.cut_bytes)
        files: list[StoredFile] = []
        tally = Tally()
        tally.replace(ending)

        def finish() -> str:
            files.append(directory.finish(part_name, fd))
            return directory.path_of(files[0].name)

        close_file(fd, finish, tally, Reason.RECOVERED, closed)
        return Recovery(part_name, files[0], ending.packets, ending.cut_bytes, ending.statistics_written)
    finally:
        os.close(fd)
