"""The directory a capture writes to, as far as it is the capture's own.

Everything goes through one descriptor of the directory, so that the capture and its retention mean the same place
even when the directory is renamed or its path is mounted over.
"""

import contextlib
import errno
import os
import stat
from typing import Final, NamedTuple

from capfix.errors import SinkError
from capfix.rotation.names import PART, CaptureName, NamePattern
from capfix.rotation.retention import Space, StoredFile
from capfix.rotation.trust import numbers_in_line
from capfix.sink.lock import OutputLock
from capfix.sink.noreplace import rename_noreplace
from capfix.sink.replacing import FILE_MODE

_ROOT: Final = 0
_BLOCK_SIZE: Final = 512  # of st_blocks: stat(2)


class Part(NamedTuple):
    """A file being written, under its `.part` name. `fd` is for writing and belongs to whoever asked for the file."""

    fd: int
    name: str
    number: int
    opened_ns: int


class OpenedDirectory(NamedTuple):
    """A descriptor of a directory, and the owner that files made there get, on NFS not always the process's user."""

    fd: int
    owner: int


def open_directory(output: str) -> OpenedDirectory:
    """Open the directory that `output` lies in, after trying whether files can be made there.

    Raises:
        SinkError: there is no such directory, it is not one, files cannot be made in it, or `output` is itself a
            directory.
    """
    directory = os.path.dirname(output) or "."
    if os.path.isdir(output):
        raise SinkError(
            f"{output} is a directory; name a file in it, for example {os.path.join(output, 'out.pcapng')}"
        )
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise SinkError(f"cannot write {output}: {directory}: {_reason(exc)}") from exc
    try:
        owner = _try_writing(fd)
    except OSError as exc:
        os.close(fd)
        raise SinkError(f"cannot write {output}: no file can be made in {directory}: {_reason(exc)}") from exc
    return OpenedDirectory(fd, owner)


class CaptureDirectory:
    """One output's files in their directory: locked, listed, opened, finished, removed.

    `output` is the path the user gave, from which the files' names are made. `untrusted` are names like this output's
    that are left alone: of files that another user owns, that are no regular files, or whose number is out of line.
    Methods raise OSError as the filesystem gives it, since a full disk is not always the end.

    Raises:
        SinkError: as `open_directory`, or another capture is writing this output.
        UsageError: no names can be made from it.
    """

    def __init__(self, output: str) -> None:
        self.output = output
        self.path = os.path.dirname(output) or "."
        self.pattern = NamePattern(os.path.basename(output))
        self.fd, self._owner = open_directory(output)
        self._highest = 0
        self.untrusted: list[str] = []
        try:
            self._lock = OutputLock(self.fd, f".{self.pattern.output}.lock", output)
            self._survey()
        except OSError as exc:
            os.close(self.fd)
            raise SinkError(f"cannot lock {output}: {_reason(exc)}") from exc
        except SinkError:
            os.close(self.fd)
            raise

    @property
    def next_number(self) -> int:
        """The number the next file gets: one above the highest there has been."""
        return self._highest + 1

    def close(self) -> None:
        """Let the next capture in."""
        self._lock.close()
        os.close(self.fd)

    def finished_files(self) -> list[StoredFile]:
        """Return the finished files, in no order. This looks at each of them: once a run is enough."""
        files = []
        for name, parts in self._trusted_names():
            if not parts.part:
                with contextlib.suppress(FileNotFoundError):
                    files.append(self._stored(name, parts.number))
        return files

    def unfinished_names(self) -> list[str]:
        """Return the names of files that a crash left unfinished, the oldest first."""
        unfinished = [(parts.number, name) for name, parts in self._trusted_names() if parts.part]
        return [name for _, name in sorted(unfinished)]

    def present_names(self) -> set[str]:
        """Return the names of the finished files, without looking at the files."""
        return {name for name, parts in self._own_names() if not parts.part}

    def open_part(self, opened_ns: int, flags: int = os.O_WRONLY) -> Part:
        """Make the next file, opened at `opened_ns` on the wall clock, mode 0640 less the process's umask.

        `flags` are added to those that make it. A number somebody else took meanwhile is skipped.
        """
        flags |= os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            number = self.next_number
            name = self.pattern.name(number, opened_ns) + PART
            with contextlib.suppress(FileExistsError):
                fd = os.open(name, flags, FILE_MODE, dir_fd=self.fd)
                self._highest = number
                return Part(fd, name, number, opened_ns)
            self._highest = number

    def finish(self, part_name: str, fd: int) -> StoredFile:
        """Give a whole file, synced already, its final name: rename it over nothing, sync the directory.

        Should somebody have taken the final name, the file gets the next number instead.
        """
        parts = self.pattern.maybe_parse(part_name)
        if parts is None or not parts.part:
            raise ValueError(f"{part_name} is not the name of an unfinished file")
        name, number = part_name.removesuffix(PART), parts.number
        while True:
            try:
                rename_noreplace(self.fd, part_name, name)
                break
            except FileExistsError:
                if self._same_file(name, fd):  # a crash came between the two steps of a rename
                    os.unlink(part_name, dir_fd=self.fd)
                    break
                self._highest = number = self.next_number
                name = self.pattern.renumbered(name, number)
        os.fsync(self.fd)
        return self._stored(name, number)

    def path_of(self, name: str) -> str:
        """Return the path of a file, as the user's output begins it."""
        return os.path.join(self.path, name)

    def has(self, name: str) -> bool:
        """Whether there is something of that name, or nobody can say."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError as exc:
            return exc.errno != errno.ENOENT
        return True

    def remove(self, name: str) -> bool:
        """Remove a file; False when it was gone already."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            return False
        return True

    def space(self) -> Space:
        """Return how large the filesystem is and how much of it is free for everybody."""
        facts = os.statvfs(self.fd)
        return Space(facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize)

    def _survey(self) -> None:
        """Find out which files to trust, and the number to go on from."""
        numbers, names = {}, []
        for name, parts in self._own_names():
            names.append(name)
            with contextlib.suppress(OSError):
                facts = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode) and facts.st_uid in (self._owner, _ROOT):
                    numbers[name] = parts.number
        in_line = numbers_in_line(numbers.values())
        self.untrusted = sorted(name for name in names if numbers.get(name) not in in_line)
        self._highest = in_line.highest

    def _trusted_names(self) -> list[tuple[str, CaptureName]]:
        untrusted = set(self.untrusted)
        return [(name, parts) for name, parts in self._own_names() if name not in untrusted]

    def _own_names(self) -> list[tuple[str, CaptureName]]:
        parsed = ((name, self.pattern.maybe_parse(name)) for name in os.listdir(self.fd))
        return [(name, parts) for name, parts in parsed if parts is not None]

    def _stored(self, name: str, number: int) -> StoredFile:
        facts = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        occupied_bytes = facts.st_blocks * _BLOCK_SIZE  # much less in a sparse file
        return StoredFile(name, number, min(facts.st_size, occupied_bytes), facts.st_mtime_ns)

    def _same_file(self, name: str, fd: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.stat(name, dir_fd=self.fd, follow_symlinks=False), os.fstat(fd))
        return False


def _try_writing(directory_fd: int) -> int:
    """Make a file and remove it, and return its owner: permissions, mounts, quotas and access modules have a say."""
    name = f".capfix-{os.urandom(8).hex()}"  # a name that nobody can have taken on purpose
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=directory_fd)
    try:
        return os.fstat(fd).st_uid
    finally:
        os.close(fd)
        os.unlink(name, dir_fd=directory_fd)


def _reason(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"permission denied for user {os.geteuid()}"
    return (error.strerror or str(error)).lower()
