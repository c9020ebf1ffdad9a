"""Every system call of the sink fails in turn, with every error a filesystem gives: files stay whole, loss is known."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from capfix.errors import SinkError
from capfix.rotation.closed_file import ClosedFile, Reason
from capfix.rotation.retention import RetentionRules
from capfix.sink import (
    closing,
    destination,
    directory,
    ending,
    file,
    lock,
    noreplace,
    recovery,
    replacing,
    series,
)
from capfix.sink.directory import CaptureDirectory
from capfix.sink.file import FileTarget
from capfix.sink.recovery import recover
from capfix.sink.series import FileSeries
from capfix.sink.writer import Target, Writer
from capfix.wire.section_walk import SectionWalk
from tests.unit.wire.test_section_walk import HEADER, INTERFACE, STATISTICS, packet

MODULES = (closing, destination, directory, ending, file, lock, noreplace, recovery, replacing, series)
CALLS = (
    "open",
    "pwrite",
    "preadv",
    "fsync",
    "ftruncate",
    "unlink",
    "stat",
    "fstat",
    "listdir",
    "statvfs",
    "rename",
)
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS", "EACCES", "ENOENT")
#: Every error for the calls that change something, two for those that look.
TABLE = [
    (call, error)
    for call in CALLS
    for error in (ERRORS if call in ("open", "pwrite", "fsync", "unlink", "rename") else ERRORS[:2])
]
FILES = 2
PACKETS_EACH = 2
MOST_CALLS = 200

Open = Callable[[Path, list[ClosedFile]], Target]


class Fault:
    """Lets the `nth` call of one kind fail, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, number: int, nth: int) -> None:
        self.has_struck = False
        self._left = nth
        self._number = number
        if call == "rename":
            monkeypatch.setattr(directory, "rename_noreplace", self._failing(noreplace.rename_noreplace))
            return
        faulty = SimpleNamespace(**{**vars(os), call: self._failing(getattr(os, call))})
        for module in MODULES:
            if hasattr(module, "os"):
                monkeypatch.setattr(module, "os", faulty)

    def _failing(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            self._left -= 1
            if self._left == 0:
                self.has_struck = True
                raise OSError(self._number, os.strerror(self._number))
            return real(*arguments, **named)

        return call


def open_series(directory: Path, closed: list[ClosedFile]) -> Target:
    """Open a rotating output that keeps every file."""

    def ignore(_: str) -> None:
        pass

    rules = RetentionRules()
    return FileSeries(CaptureDirectory(str(directory / "out.pcapng")), rules, ignore, ignore, closed.append)


def open_single(directory: Path, closed: list[ClosedFile]) -> Target:
    """Open a single file."""
    return FileTarget(directory / "out.pcapng", closed.append)


def run(target: Target) -> Writer:
    """Write some files, or one, as a capture does, and wait for the end."""
    writer = Writer(target, lambda: None)
    files = FILES if isinstance(target, FileSeries) else 1
    for n in range(files):
        for blocks in (HEADER + INTERFACE, *[packet()] * PACKETS_EACH, STATISTICS):
            while (buffer := writer.buffer()) is None:
                assert not writer.is_finished, writer.exception
            buffer.append(blocks)
            buffer.packets += blocks == packet()
            if blocks.startswith(HEADER):
                buffer.opened_ns = 10**18
            if blocks != STATISTICS:
                writer.submit()
        if n < files - 1:
            writer.end_file(Reason.SIZE)
    writer.close()
    writer._thread.join(20)
    assert writer.is_finished
    return writer


def packets_in(path: Path) -> int:
    """Return the packets of a file that must be whole."""
    data = path.read_bytes()
    walk = SectionWalk()
    assert walk.walk(bytearray(data), 0, len(data)) == len(data), path.name
    assert not walk.broken
    return walk.packets(0)


def finished(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix == ".pcapng")


def outcomes(
    opened: Open, path: Path, call: str, number: int
) -> Iterator[tuple[Writer | None, list[ClosedFile], Path]]:
    """Yield what comes of each run: its writer, None where it could not start, until one runs without the fault."""
    for nth in range(1, MOST_CALLS):
        where = path / f"{nth}"
        where.mkdir()
        closed: list[ClosedFile] = []
        writer = None
        with pytest.MonkeyPatch.context() as monkeypatch:
            fault = Fault(monkeypatch, call, number, nth)
            try:
                target = opened(where, closed)
            except SinkError:
                assert fault.has_struck
            else:
                writer = run(target)
        yield writer, closed, where
        if not fault.has_struck:
            assert writer is not None
            assert not writer.has_failed
            assert nth > 1 or call in ("preadv", "ftruncate", "statvfs", "listdir", "unlink", "rename")
            return
    raise AssertionError(f"{call} is called more than {MOST_CALLS} times")


@pytest.mark.parametrize(("call", "error"), TABLE)
@pytest.mark.parametrize("opened", [open_series, open_single])
def test_any_call_fails(opened: Open, call: str, error: str, tmp_path: Path) -> None:
    """Whichever call fails, files are whole, what is in none is counted or the failure told, and no thread dies."""
    for writer, closed, where in outcomes(opened, tmp_path, call, getattr(errno, error)):
        kept = sum(map(packets_in, finished(where)))
        if writer is None:
            assert kept == 0
            continue
        assert writer.exception is None
        offered = PACKETS_EACH * (FILES if opened is open_series else 1)
        assert kept + writer.lost_packets == offered or writer.has_failed
        assert kept + writer.lost_packets <= offered or opened is open_single
        assert sum(file.packets for file in closed) <= kept
        for path in closed:
            assert packets_in(Path(path.path)) == path.packets
        if opened is open_series:  # the next start finishes what this one could not
            following = CaptureDirectory(str(where / "out.pcapng"))
            for name in following.unfinished_names():
                recover(following, name)
            following.close()
            assert offered >= sum(map(packets_in, finished(where))) >= kept
            assert not list(where.glob("*.part"))
