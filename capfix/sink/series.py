"""The files of a rotating capture, one after another.

Each is whole in itself: it begins with a section header and ends with statistics. The one being written is a `.part`;
it is synced and gets its final name when it is finished. Before a file begins, and now and then, files go as the
rules of retention say; when the disk is full, the oldest of those that may go.
"""

import errno
import os
import time
from collections.abc import Callable
from typing import Final

from capfix.errors import SinkError
from capfix.rotation.retention import Inventory, Removal, RetentionRules
from capfix.sink.buffers import Buffer
from capfix.sink.directory import CaptureDirectory, Part
from capfix.sink.ending import end_early
from capfix.sink.file import BUFFER_COUNT, BUFFER_SIZE, NO_ROOM, DirectFile

RECONCILE_INTERVAL_S: Final = 60.0  # listing 10,000 names takes 5 ms


class FileSeries:
    """Writes buffers to the files of a directory, as a Writer's target.

    A buffer with `opened_ns` begins a file, one with `ends_file` finishes it. After a failed write the file is ended
    behind its last whole block, and what comes is refused until a buffer begins the next file.
    """

    buffer_size = BUFFER_SIZE
    buffer_count = BUFFER_COUNT
    keeps_tail = True

    def __init__(
        self,
        directory: CaptureDirectory,
        rules: RetentionRules,
        tell: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """`rules` may be replaced at any time. `tell` is called with what retention did, `warn` with trouble: a
        sentence, from the writer's thread.
        """
        self._directory = directory
        self.rules = rules
        self._tell = tell
        self._warn = warn
        self._inventory = Inventory(directory.finished_files(), directory.next_number)
        self._reconciled = time.monotonic()
        self._file: DirectFile | None = None
        self._part_name = ""
        self._was_full = False

    def write(self, buffer: Buffer) -> None:
        """Write a buffer at its place.

        Raises:
            SinkError: it does not fit, whatever could go being gone.
        """
        if buffer.opened_ns is not None:
            self._finish_file()
            self._begin_file(buffer.opened_ns)
        if self._file is None:
            raise SinkError(f"no file of {self._directory.output} is open")
        while True:
            try:
                self._file.write(buffer)
                break
            except SinkError as error:
                if error.errno in NO_ROOM and self._make_room():
                    continue
                self._was_full = error.errno in NO_ROOM
                self._end_file_early(str(error))
                raise
        if buffer.ends_file:
            self._finish_file(buffer.used)

    def tend(self) -> None:
        """Let go what the rules say by now: files age, and others use the filesystem too."""
        try:
            self._apply_rules()
        except OSError as exc:
            self._warn(f"cannot look after {self._directory.output}: {(exc.strerror or str(exc)).lower()}")

    def close(self) -> None:
        """Finish the file being written, and let the next capture in.

        Raises:
            SinkError: the file is not whole on the disk.
        """
        try:
            self._finish_file()
        finally:
            self._directory.close()

    def _apply_rules(self) -> None:
        now = time.monotonic()
        if now - self._reconciled > RECONCILE_INTERVAL_S:
            self._inventory.reconcile(self._directory.present_names())
            self._reconciled = now
        written = os.fstat(self._file.fd).st_size if self._file is not None else 0
        for removal in self._inventory.surplus(self.rules, written, time.time_ns(), self._directory.space()):
            self._remove(removal)

    def _begin_file(self, opened_ns: int) -> None:
        try:
            self._apply_rules()
            part = self._open_part(opened_ns)
        except OSError as exc:
            raise SinkError.from_os(f"cannot begin a file of {self._directory.output}", exc) from exc
        self._part_name = part.name
        self._file = DirectFile(part.fd, os.path.join(self._directory.path, part.name))

    def _open_part(self, opened_ns: int) -> Part:
        """Open the next file; after a full disk only when there is room again for more than a few packets."""
        while True:
            try:
                space = self._directory.space()
                if self._was_full and space.free_bytes < min(BUFFER_SIZE, space.total_bytes // 16):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                part = self._directory.open_part(opened_ns, os.O_RDWR)
                self._was_full = False
                return part
            except OSError as exc:
                if exc.errno not in NO_ROOM or not self._make_room():
                    raise

    def _finish_file(self, written: int = 0) -> None:
        """Give the file its final name. `written` is how much of a buffer has arrived in it, for the error."""
        if self._file is None:
            return
        try:
            self._inventory.add(self._directory.finish(self._part_name, self._file.fd))
        except FileNotFoundError:
            self._warn(f"{self._part_name} was removed by somebody while it was written")
        except OSError as exc:
            raise SinkError.from_os(f"cannot finish {self._file.name}", exc, written) from exc
        finally:
            file, self._file = self._file, None
            file.close()

    def _end_file_early(self, reason: str) -> None:
        """Leave a whole file behind after a failed write; without a packet's worth of blocks, none."""
        assert self._file is not None
        file, self._file = self._file, None
        try:
            if end_early(file.fd, f"capfix ended this file early: {reason}").interfaces:
                self._inventory.add(self._directory.finish(self._part_name, file.fd))
            else:
                self._directory.remove(self._part_name)
        except OSError as exc:  # as on a failing disk: the next start recovers it
            self._warn(f"{self._part_name} stays unfinished: {(exc.strerror or str(exc)).lower()}")
        finally:
            file.close()

    def _make_room(self) -> bool:
        """Remove the oldest file that may go; False when there is none."""
        oldest = self._inventory.maybe_oldest(self.rules)
        if oldest is not None:
            self._remove(Removal(oldest, "the disk is full"))
        return oldest is not None

    def _remove(self, removal: Removal) -> None:
        self._inventory.forget(removal.file.name)
        try:
            if self._directory.remove(removal.file.name):
                self._tell(f"removed {removal.file.name}: {removal.rule}")
        except OSError as exc:
            self._warn(f"cannot remove {removal.file.name}: {(exc.strerror or str(exc)).lower()}")
