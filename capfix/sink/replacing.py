"""Opening one file to write it from its beginning, in a directory that others may write too.

An existing file is written into only where nobody else could have a hand in it: a regular file of our own, readable by
its group at most, with one name, and not being written by another capture. Anything else is removed first, and a new
file made. The file has its name from the start, so that readers can follow it while it grows.
"""

import errno
import os
import stat
from typing import Final

from capfix.errors import SinkError
from capfix.sink.lock import Locked, already_written, lock_for_writing

FILE_MODE: Final = 0o640  # captures are not for everybody
_ATTEMPTS: Final = 10  # in a directory where others keep putting something in the way


def directory_of(path: str) -> str:
    """Return the directory that a file of this path is in."""
    return os.path.dirname(path) or os.curdir


def open_replacing(directory_fd: int, path: str) -> int:
    """Return a descriptor of `path`, empty, locked, for reading and writing. Symbolic links are not followed.

    Raises:
        SinkError: another capture is writing it, it is a symbolic link, or what is there cannot be replaced.
        OSError: the file cannot be made.
    """
    for _ in range(_ATTEMPTS):
        fd = _open_existing(directory_fd, path)
        if fd is None:
            fd = _maybe_create(directory_fd, path)
        if fd is None:
            continue
        try:
            if _take(fd, directory_fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def symlink_refused(path: str) -> SinkError:
    """Return the error for an output that is a symbolic link."""
    return SinkError(f"{path} is a symbolic link, which capfix does not follow: name the file it points to")


def _open_existing(directory_fd: int, path: str) -> int | None:
    """Return a descriptor of what is there; None when nothing is, or no longer."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(os.path.basename(path), flags, dir_fd=directory_fd)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise symlink_refused(path) from exc
        if exc.errno not in (errno.EACCES, errno.EPERM):
            raise
        _remove(directory_fd, path)
        return None


def _maybe_create(directory_fd: int, path: str) -> int | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(os.path.basename(path), flags, FILE_MODE, dir_fd=directory_fd)
    except FileExistsError:
        return None


def _take(fd: int, directory_fd: int, path: str) -> bool:
    """Lock and empty the file; False when it had to be removed, or is no longer the one of that name."""
    locked = lock_for_writing(fd)
    if locked is Locked.BY_A_WRITER:
        raise already_written(path)
    try:
        named = os.stat(os.path.basename(path), dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not os.path.samestat(named, os.fstat(fd)):
        return False
    if locked is Locked.BY_A_READER or not _is_ours_alone(named):
        _remove(directory_fd, path)
        return False
    os.ftruncate(fd, 0)
    return True


def _is_ours_alone(facts: os.stat_result) -> bool:
    has_wider_modes = stat.S_IMODE(facts.st_mode) & ~FILE_MODE
    is_ours = facts.st_uid == os.geteuid()
    return stat.S_ISREG(facts.st_mode) and is_ours and not has_wider_modes and facts.st_nlink == 1


def _remove(directory_fd: int, path: str) -> None:
    try:
        os.unlink(os.path.basename(path), dir_fd=directory_fd)
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise SinkError.from_os(
            f"{path} belongs to, or can be changed by, others and cannot be replaced; choose another name",
            exc,
        ) from exc
