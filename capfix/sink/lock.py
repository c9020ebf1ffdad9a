"""Locks that keep two captures from one output.

They are write locks of open file descriptions, which take a descriptor open for writing. So nobody who may only read a
capture can keep the next one from starting. The kernel releases them when the process ends, however it ends.

Source: fcntl(2), open file description locks.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
from enum import Enum
from typing import Final

from capfix.errors import SinkError

LOCK_FILE_MODE: Final = 0o600
_PID_LIMIT: Final = 20  # more digits than a process id has
_ATTEMPTS: Final = 10  # at a lock file that others keep removing or replacing
_STRUCT_FLOCK: Final = "hhqqi0q"  # type, whence, start, length (0: to the end), process
_UNSUPPORTED: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
#: What opening something that is no plain file of ours says: a symlink, a FIFO, a directory, a file of another's.
_IN_THE_WAY: Final = (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EACCES, errno.EPERM)


class Locked(Enum):
    """What came of an attempt to lock a file."""

    BY_US = 1
    BY_A_WRITER = 2  # another capture
    BY_A_READER = 3  # somebody who holds a shared lock
    UNSUPPORTED = 4  # the filesystem has no locks


def lock_for_writing(fd: int) -> Locked:
    """Lock the file of `fd`, open for writing, without waiting. The lock goes with the last descriptor.

    Raises:
        OSError: the kernel refuses for a reason of its own.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK))
    except OSError as exc:
        if exc.errno in _UNSUPPORTED:
            return Locked.UNSUPPORTED
        if exc.errno not in (errno.EAGAIN, errno.EACCES):
            raise
    else:
        return Locked.BY_US
    held = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK))
    return (
        Locked.BY_A_READER if struct.unpack(_STRUCT_FLOCK, held)[0] == fcntl.F_RDLCK else Locked.BY_A_WRITER
    )


def already_written(output: str, holder: str = "") -> SinkError:
    """Return the error for an output that another capture holds."""
    return SinkError(
        f"another capture{f', process {holder},' if holder else ''} is writing {output}; "
        "stop it first, or choose another name"
    )


class OutputLock:
    """Held from construction to `close`; a crash releases it too.

    The lock is on a hidden file beside the output, mode 0600, which names the holder's process. The file is removed at
    the end; one left by a crash is locked again. What else stands in its place is removed.

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
        with contextlib.suppress(OSError):  # a full disk: the number is only for the message
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def close(self) -> None:
        """Remove the file and release the lock, in this order, so that the file is never the next holder's."""
        try:
            os.unlink(self._name, dir_fd=self._directory_fd)
        except OSError:  # removed by somebody, or the directory became read-only: the lock ends all the same
            pass
        finally:
            os.close(self._fd)

    def _acquire(self, output: str) -> int:
        for _ in range(_ATTEMPTS):
            fd = self._open()
            if fd is None:
                continue
            try:
                if self._take(fd, output):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), self._name)

    def _open(self) -> int | None:
        """Return a descriptor of the lock file; None when something else was in its place, which is gone now."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(self._name, flags, LOCK_FILE_MODE, dir_fd=self._directory_fd)
        except OSError as exc:
            if exc.errno not in _IN_THE_WAY:
                raise
            try:
                os.unlink(self._name, dir_fd=self._directory_fd)
            except FileNotFoundError:
                pass
            except OSError:
                raise exc from None
            return None

    def _take(self, fd: int, output: str) -> bool:
        """Lock the file; False when it was not, or is no longer, one that holds a lock for us."""
        locked = lock_for_writing(fd)
        if locked is Locked.BY_A_WRITER:
            raise already_written(output, os.pread(fd, _PID_LIMIT, 0).decode(errors="replace").strip())
        if not self._is_current(fd):  # its last holder removed it between the opening and the locking
            return False
        if locked is Locked.BY_A_READER or not _is_private(fd):
            os.unlink(self._name, dir_fd=self._directory_fd)
            return False
        return True

    def _is_current(self, fd: int) -> bool:
        try:
            named = os.stat(self._name, dir_fd=self._directory_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(fd))


def _is_private(fd: int) -> bool:
    """Whether nobody else can open the file for writing, or even reading, and it has no other name."""
    facts = os.fstat(fd)
    has_wider_modes = stat.S_IMODE(facts.st_mode) & ~LOCK_FILE_MODE
    return stat.S_ISREG(facts.st_mode) and not has_wider_modes and facts.st_nlink == 1


def _flock(kind: int) -> bytes:
    return struct.pack(_STRUCT_FLOCK, kind, os.SEEK_SET, 0, 0, 0)
