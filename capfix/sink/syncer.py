"""Syncs the file being written once a second, beside the thread that writes it.

After a power loss at most the last second is missing. A disk that takes long to sync delays neither the writer nor the
capture loop: writes go on while fdatasync(2) waits.
"""

import os
import threading
from typing import Final

SYNC_INTERVAL_S: Final = 1.0


class Syncer:
    """A thread that syncs one file after another, from the first `begin` on. The writer's thread calls it.

    An idle capture is not woken. A failure is kept for the next call, since the kernel reports each
    only once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the descriptors and the error
        self._fds: list[int] = []  # the file's, and until it is synced the directory's
        self._error: OSError | None = None
        self._is_dirty = threading.Event()
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, fd: int, directory_fd: int) -> None:
        """Sync the file of `fd` from now on, and once the directory, so that the file's name lasts too."""
        with self._lock:
            self._fds = [fd, directory_fd]
            self._error = None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="capfix-syncer", daemon=True)
            self._thread.start()
        self._is_dirty.set()

    def wrote(self) -> None:
        """Note that there is something new to sync.

        Raises:
            OSError: what was written before could not be synced, and may be lost.
        """
        self._is_dirty.set()
        self._raise_error()

    def end(self) -> None:
        """Leave the file alone from now on; it may be closed.

        Raises:
            OSError: it could not be synced; what was written before may be lost.
        """
        with self._lock:
            self._fds = []
        self._raise_error()

    def close(self) -> None:
        """End the thread, without waiting for a sync on its way."""
        self._is_closed.set()
        self._is_dirty.set()

    def _raise_error(self) -> None:
        with self._lock:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        while True:
            self._is_dirty.wait()
            if self._is_closed.wait(SYNC_INTERVAL_S):
                return
            self._is_dirty.clear()
            self._sync()

    def _sync(self) -> None:
        with self._lock:  # duplicates, since the file may be closed meanwhile and its number used again
            synced, duplicates = self._fds, []
            try:
                for fd in synced:
                    duplicates.append(os.dup(fd))
            except OSError:  # no descriptor to be had: the next second will do
                self._is_dirty.set()
        error = _sync_all(duplicates)
        with self._lock:
            if self._fds is not synced:  # closed meanwhile, and synced by whoever closed it
                return
            self._error = self._error or error
            if len(duplicates) == len(synced):
                del self._fds[1:]


def _sync_all(fds: list[int]) -> OSError | None:
    """Sync and close descriptors; return the first failure."""
    error = None
    for fd in fds:
        try:
            os.fdatasync(fd)
        except OSError as exc:
            error = error or exc
        finally:
            os.close(fd)
    return error
