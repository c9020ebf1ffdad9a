"""Renaming without overwriting."""

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from typing import Any, Final

_RENAME_NOREPLACE: Final = 1  # linux/fs.h
_UNSUPPORTED: Final = (errno.EINVAL, errno.ENOSYS)  # by the filesystem (vfat, some FUSE), by the kernel


def rename_noreplace(directory_fd: int, old: str, new: str) -> None:
    """Rename `old` to `new` within a directory, in one step where the filesystem can.

    Elsewhere a second link is made and the first removed, so that a crash in between leaves both names of one file.

    Raises:
        FileExistsError: `new` is there already.
        OSError: whatever else the filesystem says.

    Source: rename(2), renameat2.
    """
    renameat2 = _maybe_renameat2()
    error = errno.ENOSYS
    if renameat2 is not None:
        if renameat2(directory_fd, os.fsencode(old), directory_fd, os.fsencode(new), _RENAME_NOREPLACE) == 0:
            return
        error = ctypes.get_errno()
    if error not in _UNSUPPORTED:
        raise OSError(error, os.strerror(error), new)
    os.link(old, new, src_dir_fd=directory_fd, dst_dir_fd=directory_fd, follow_symlinks=False)
    os.unlink(old, dir_fd=directory_fd)


@functools.cache
def _maybe_renameat2() -> Callable[..., Any] | None:
    """Return the C library's renameat2, or None where it has none (musl)."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
        function.restype = ctypes.c_int
    return function
