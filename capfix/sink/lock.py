"""The lock that keeps two captures from one output."""

import fcntl
import os
from typing import Final

from capfix.errors import SinkError

_MODE: Final = 0o640
_PID_LIMIT: Final = 20  # more digits than a process id has


class OutputLock:
    """Held from construction to `close`; a crash releases it too, as it is the kernel that holds it.

    The lock is a flock(2) on a hidden file beside the output, which names the holder's process for others to read.
    The file is removed at the end; one left by a crash is simply locked again.

    Raises:
        SinkError: another process holds it; says which.
        OSError: the file cannot be made.
    """

    def __init__(self, directory_fd: int, name: str, output: str) -> None:
        """`name` is the lock file's in the directory, `output` what is locked, for the error."""
        self._directory_fd = directory_fd
        self._name = name
        self._fd = self._acquire(output)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def close(self) -> None:
        """Remove the file and release the lock, in this order, so that it is never the next holder's file that goes."""
        try:
            os.unlink(self._name, dir_fd=self._directory_fd)
        except (
            OSError
        ):  # somebody else removed it, or the directory became read-only: the lock ends all the same
            pass
        finally:
            os.close(self._fd)

    def _acquire(self, output: str) -> int:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self._name, flags, _MODE, dir_fd=self._directory_fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                holder = os.pread(fd, _PID_LIMIT, 0).decode(errors="replace").strip()
                os.close(fd)
                raise SinkError(
                    f"another capture{f', process {holder},' if holder else ''} is writing {output}; "
                    "stop it first, or choose another name"
                ) from exc
            except OSError:
                os.close(fd)
                raise
            if self._is_current(fd):
                return fd
            os.close(fd)  # its last holder removed it between the opening and the locking

    def _is_current(self, fd: int) -> bool:
        try:
            named = os.stat(self._name, dir_fd=self._directory_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(fd))
