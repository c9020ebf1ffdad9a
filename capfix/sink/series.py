"""The files of a rotating capture, one after another.

Each is whole in itself: it begins with a section header and ends with statistics. The one being written is a `.part`;
it is synced every second and gets its final name when it is finished. Files are removed as the rules of retention say
before one begins and every few seconds; when the disk is full, the oldest of those that may go.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable
from typing import Final

from capfix.errors import SinkError
from capfix.rotation.closed_file import Reason
from capfix.rotation.retention import Inventory, Removal, RetentionRules, StoredFile
from capfix.rotation.steady_clock import SteadyClock
from capfix.sink.buffers import Buffer
from capfix.sink.closing import NO_ROOM, OnClosed, Tally, close_file, reason_for
from capfix.sink.directory import CaptureDirectory, Part
from capfix.sink.ending import end_early
from capfix.sink.file import BUFFER_COUNT, BUFFER_SIZE, DirectFile, is_removed
from capfix.sink.syncer import Syncer
from capfix.units import format_duration

RECONCILE_INTERVAL_S: Final = 60.0  # listing 10,000 names takes 5 ms


class FileSeries:
    """Writes buffers to the files of a directory, as a Writer's target.

    A buffer with `opened_ns` begins a file, one with `ends_file` finishes it. After a failed write the file is ended
    after its last whole block, and buffers are refused until a buffer begins the next file.
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
        closed: OnClosed = lambda _: None,
    ) -> None:
        """`rules` may be replaced at any time. `tell` is called with what retention did, `warn` with trouble: a
        sentence, from the writer's thread. `closed` is called there with each file once it is whole.
        """
        self.lost_packets = 0
        self._directory = directory
        self.rules = rules
        self._tell = tell
        self._warn = warn
        self._closed = closed
        self._clock = SteadyClock(time.time_ns(), _boot_ns())
        now_ns = time.time_ns()
        self._inventory = Inventory(_earlier_files(directory, now_ns), directory.next_number)
        self._reconciled = time.monotonic()
        self._syncer = Syncer()
        self._tally = Tally()
        self._file: DirectFile | None = None
        self._part_name = ""
        self._was_full = False

    def write(self, buffer: Buffer) -> None:
        """Write a buffer at its place.

        Raises:
            SinkError: it does not fit, whatever could go being gone.
        """
        if buffer.opened_ns is not None:
            self._finish_file(Reason.STOP)
            self._begin_file(buffer.opened_ns)
        if self._file is None:
            raise SinkError(f"no file of {self._directory.output} is open")
        while True:
            try:
                self._file.write(buffer)
                self._syncer.wrote()
                break
            except OSError as exc:
                error = SinkError.from_os(f"cannot sync {self._file.name}", exc)
                self._end_file_early(error)
                raise error from exc
            except SinkError as error:
                if error.errno in NO_ROOM and self._make_room():
                    continue
                self._was_full = error.errno in NO_ROOM
                self._end_file_early(error)
                raise
        self._tally.add(buffer)
        if buffer.ends_file is not None:
            self._finish_file(buffer.ends_file, buffer.used)

    def maintain(self) -> None:
        """Remove what the rules no longer keep: files age, and others use the filesystem too."""
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
            self._finish_file(Reason.STOP)
        finally:
            self._syncer.close()
            self._directory.close()

    def _apply_rules(self) -> None:
        now = time.monotonic()
        if now - self._reconciled > RECONCILE_INTERVAL_S:
            self._inventory.reconcile(self._directory.present_names())
            self._reconciled = now
        written = os.fstat(self._file.fd).st_size if self._file is not None else 0
        self._look_at_clock()
        now_ns = self._clock.now_ns(_boot_ns())
        for removal in self._inventory.surplus(self.rules, written, now_ns, self._directory.space()):
            if self._remove(removal):
                self._tell(f"removed {removal.file.name}: {removal.rule}")

    def _look_at_clock(self) -> None:
        jump_ns = self._clock.maybe_jump_ns(time.time_ns(), _boot_ns())
        if jump_ns is not None and self.rules.keep_age_ns is not None:
            direction = "forward" if jump_ns > 0 else "back"
            jump = format_duration(abs(jump_ns) // 10**9 * 10**9)
            self._warn(f"the clock was set {direction} by {jump}: files age by the time that really passed")

    def _begin_file(self, opened_ns: int) -> None:
        try:
            self._apply_rules()
            part = self._open_part(opened_ns)
        except OSError as exc:
            raise SinkError.from_os(f"cannot begin a file of {self._directory.output}", exc) from exc
        self._part_name = part.name
        self._tally = Tally()
        self._file = DirectFile(part.fd, self._directory.path_of(part.name))
        self._syncer.begin(part.fd, self._directory.fd)

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

    def _finish_file(self, reason: Reason, written: int = 0) -> None:
        """Give the file its final name. `written` is how much of a buffer has arrived in it, for the error."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            self._syncer.end()
            self._close(file.fd, reason)
        except FileNotFoundError as exc:
            if not self._explain_absence(file.fd):
                raise SinkError.from_os(f"cannot finish {file.name}", exc, written) from exc
        except OSError as exc:
            raise SinkError.from_os(f"cannot finish {file.name}", exc, written) from exc
        finally:
            file.close()

    def _explain_absence(self, fd: int) -> bool:
        """Find out what became of the `.part`; False if it is still there, so that something else is wrong."""
        if is_removed(fd):
            self._warn(f"{self._part_name} was removed by somebody while it was written")
            self.lost_packets += self._tally.packets
            return True
        if self._directory.has(self._part_name):
            return False
        self._warn(f"{self._part_name} was renamed by somebody while it was written")
        return True

    def _close(self, fd: int, reason: Reason) -> None:
        """Have a whole file synced, named, taken into the inventory and reported."""

        def finish() -> str:
            stored = self._directory.finish(self._part_name, fd)
            self._inventory.add(stored._replace(modified_ns=self._clock.now_ns(_boot_ns())))
            return self._directory.path_of(stored.name)

        close_file(fd, finish, self._tally, reason, self._closed)

    def _end_file_early(self, error: SinkError) -> None:
        """Leave a whole file behind after a failed write; without a packet's worth of blocks, none."""
        assert self._file is not None
        file, self._file = self._file, None
        try:
            with contextlib.suppress(OSError):  # the failure that ends the file is known already
                self._syncer.end()
            ending = end_early(file.fd, f"capfix ended this file early: {error}")
            self._tally.replace(ending)
            if ending.interfaces:
                self._close(file.fd, reason_for(error))
            else:
                self._directory.remove(self._part_name)
        except OSError as exc:  # as on a failing disk: the next start recovers it
            self._warn(f"{self._part_name} stays unfinished: {(exc.strerror or str(exc)).lower()}")
        finally:
            file.close()

    def _make_room(self) -> bool:
        """Remove the oldest file that may go; False when there is none."""
        oldest = self._inventory.maybe_oldest(self.rules)
        if oldest is not None and self._remove(Removal(oldest, "the disk is full")):
            self._warn(f"removed {oldest.name}: the disk is full")
        return oldest is not None

    def _remove(self, removal: Removal) -> bool:
        """Remove a file; False where it was gone or could not be."""
        self._inventory.forget(removal.file.name)
        try:
            return self._directory.remove(removal.file.name)
        except OSError as exc:
            self._warn(f"cannot remove {removal.file.name}: {(exc.strerror or str(exc)).lower()}")
            return False


def _earlier_files(directory: CaptureDirectory, now_ns: int) -> list[StoredFile]:
    """Return the finished files of earlier runs; one from the future counts as modified now."""
    try:
        files = directory.finished_files()
    except OSError as exc:
        directory.close()
        raise SinkError.from_os(f"cannot list the files of {directory.output}", exc) from exc
    return [file._replace(modified_ns=min(file.modified_ns, now_ns)) for file in files]


def _boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
