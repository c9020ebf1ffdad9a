"""A pipe as output, seen from the target alone."""

import contextlib
import fcntl
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from capfix.errors import ReaderGoneError, SinkError
from capfix.sink.buffers import Buffer
from capfix.sink.pipe import PipeTarget, ReaderWatch
from tests.unit.wire.test_section_walk import packet

BLOCKS = packet(0, 1, bytes(1000)) * 300  # more than a pipe holds


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a pipe."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):  # closed by the test
            os.close(fd)


@pytest.fixture
def buffer() -> Buffer:
    """A buffer of blocks."""
    buffer = Buffer(1 << 20)
    buffer.append(BLOCKS)
    return buffer


def read_in_thread(fd: int, into: bytearray) -> threading.Thread:
    """Read from `fd` until as much as BLOCKS has come."""

    def read() -> None:
        while len(into) < len(BLOCKS):
            into.extend(os.read(fd, 5000))

    thread = threading.Thread(target=read)
    thread.start()
    return thread


@pytest.mark.parametrize("blocking", [True, False])
def test_all_is_written_however_slow_the_reader(
    ends: tuple[int, int], buffer: Buffer, blocking: bool
) -> None:
    """Also where somebody who shares the descriptor has made it non-blocking."""
    os.set_blocking(ends[1], blocking)
    received = bytearray()
    reader = read_in_thread(ends[0], received)
    PipeTarget(ends[1], "stdout").write(buffer)
    reader.join()
    assert bytes(received) == BLOCKS


def test_a_reader_who_goes(ends: tuple[int, int], buffer: Buffer) -> None:
    """It is told as that, and how much the reader can have got."""
    os.close(ends[0])
    with pytest.raises(ReaderGoneError, match="the reader of stdout has gone") as caught:
        PipeTarget(ends[1], "stdout").write(buffer)
    assert caught.value.written == 0


def test_a_reader_who_goes_is_noticed_without_writing(ends: tuple[int, int]) -> None:
    """The watch becomes readable then, and not before."""
    watch = ReaderWatch(ends[1])
    assert select.select([watch], [], [], 0)[0] == []
    os.close(ends[0])
    assert select.select([watch], [], [], 1)[0] == [watch]


def test_nobody_can_leave_a_file(tmp_path: Path) -> None:
    """A watch on what has no reader is refused."""
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match="not permitted"):
        ReaderWatch(file.fileno())


def test_a_full_device(buffer: Buffer) -> None:
    """What the device says is told."""
    with pytest.raises(SinkError, match="cannot write /dev/full: no space left on device"):
        PipeTarget.open(Path("/dev/full")).write(buffer)


def test_stdout_is_left_open(ends: tuple[int, int]) -> None:
    """stdout belongs to whoever started us; another descriptor is closed."""
    PipeTarget(1, "stdout").close()
    assert fcntl.fcntl(1, fcntl.F_GETFD) >= 0
    PipeTarget(ends[1], "fifo").close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ends[1])
