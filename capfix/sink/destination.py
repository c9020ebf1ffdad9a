"""What the user named as output: a file, a FIFO or stdout."""

import os
import stat
from typing import Final

from capfix.errors import SinkError, UsageError
from capfix.sink.closing import OnClosed
from capfix.sink.file import FileTarget
from capfix.sink.pipe import STDOUT, PipeTarget
from capfix.sink.replacing import directory_of, symlink_refused

STDOUT_NAME: Final = "-"


def is_streaming(output: str) -> bool:
    """Return whether `output` is written in order to a waiting reader: stdout, a FIFO or a device."""
    if output == STDOUT_NAME:
        return True
    try:
        mode = os.stat(output).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def check_output(output: str) -> None:
    """Find what would keep `output` from being written, before anything is captured or made.

    Raises:
        UsageError: it is a terminal.
        SinkError: its directory is missing or may not be written, or it is a directory or a symbolic link; stdout is
            closed.
    """
    if _is_terminal(output):
        raise UsageError(
            "refusing to write a binary capture to a terminal; use `-o FILE`, or pipe it with "
            "`-o - | wireshark -k -i -` (where it is piped already, something made a terminal of it: leave out -t of "
            "`docker run -it`, `kubectl exec -it` or `ssh -t`)"
        )
    if output == STDOUT_NAME:
        return
    _check_link(output)
    directory = directory_of(output)
    if os.path.isdir(output):
        example = os.path.join(output, "out.pcapng")
        raise SinkError(f"{output} is a directory; name a file in it, such as {example}")
    if not os.path.isdir(directory):
        raise SinkError(f"there is no directory {directory}; make it first, or write elsewhere")
    if not os.access(directory, os.W_OK) and not os.access(output, os.W_OK):
        raise SinkError(f"no permission to write {output}; choose another place")


def places_to_write(output: str) -> list[str]:
    """Return what must be writable to write `output`: its directory and, where it is there already, itself."""
    if output == STDOUT_NAME:
        return []
    if is_streaming(output):
        return [output]
    directory = directory_of(output)
    return [directory, output] if os.path.exists(output) else [directory]


def open_output(output: str, closed: OnClosed = lambda _: None) -> FileTarget | PipeTarget:
    """Open `output` for writing; an existing file is replaced. `closed` is called once a file is whole.

    Raises:
        SinkError: it cannot be opened.
    """
    if output == STDOUT_NAME:
        return PipeTarget(STDOUT, "stdout")
    if is_streaming(output):
        return PipeTarget.open(output)
    return FileTarget(output, closed)


def _check_link(path: str) -> None:
    """Refuse symbolic links, but for those to pipes and devices that root or the user made, such as /dev/stdout."""
    if os.path.islink(path) and not (is_streaming(path) and os.lstat(path).st_uid in (0, os.geteuid())):
        raise symlink_refused(path)


def _is_terminal(output: str) -> bool:
    if output == STDOUT_NAME:
        try:
            os.fstat(STDOUT)
        except OSError as exc:  # the next descriptor opened would become stdout
            raise SinkError.from_os("cannot write stdout", exc) from exc
        return os.isatty(STDOUT)
    try:
        if not stat.S_ISCHR(os.stat(output).st_mode):
            return False
        fd = os.open(output, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # said better where it is opened for good
    try:
        return os.isatty(fd)
    finally:
        os.close(fd)
