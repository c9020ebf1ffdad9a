"""What can be named as output, and what is found wrong with it before anything is captured."""

import os
import pty
import re
from pathlib import Path

import pytest

from capfix.errors import SinkError, UsageError
from capfix.sink.destination import check_output, is_streaming, open_output, places_to_write
from capfix.sink.file import FileTarget


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A named pipe without a reader."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_a_directory(tmp_path: Path) -> None:
    """A file in it is suggested."""
    with pytest.raises(SinkError, match=re.escape(f"is a directory; name a file in it, such as {tmp_path}/")):
        check_output(str(tmp_path))


def test_a_missing_directory(tmp_path: Path) -> None:
    """The directory that is missing is named, and nothing is made."""
    with pytest.raises(SinkError, match=re.escape(f"there is no directory {tmp_path / 'missing'}")):
        check_output(str(tmp_path / "missing" / "out.pcapng"))
    assert list(tmp_path.iterdir()) == []


def test_a_terminal() -> None:
    """A terminal is refused by whatever name, with the way out."""
    controller, terminal = pty.openpty()
    try:
        with pytest.raises(UsageError, match="pipe it with"):
            check_output(os.ttyname(terminal))
    finally:
        os.close(controller)
        os.close(terminal)


def test_a_fifo_is_streamed_to_and_never_waited_for_by_looking(fifo: Path) -> None:
    """Checking does not open it, which would wait for its reader."""
    assert is_streaming(str(fifo))
    check_output(str(fifo))
    assert places_to_write(str(fifo)) == [str(fifo)]


def test_files_and_what_is_not_there_yet_are_not_streamed_to(tmp_path: Path) -> None:
    """Both are files, and their directory must be writable."""
    path = tmp_path / "out.pcapng"
    assert not is_streaming(str(path))
    assert places_to_write(str(path)) == [str(tmp_path)]
    path.touch()
    assert not is_streaming(str(path))
    assert places_to_write(str(path)) == [str(tmp_path), str(path)]
    target = open_output(str(path))
    assert isinstance(target, FileTarget)
    target.close()


def test_stdout() -> None:
    """`-` is stdout, for which no place on a disk is needed."""
    assert is_streaming("-")
    assert places_to_write("-") == []
