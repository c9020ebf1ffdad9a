"""The files of a rotating capture, one after another."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from capfix.errors import SinkError
from capfix.rotation.closed_file import ClosedFile, Reason
from capfix.rotation.retention import RetentionRules
from capfix.sink.buffers import Buffer
from capfix.sink.directory import CaptureDirectory
from capfix.sink.file import DirectFile
from capfix.sink.series import FileSeries
from tests.unit.wire.test_section_walk import HEADER, INTERFACE, STATISTICS, packet

OPENED_NS = 1_795_352_881 * 10**9  # 2026-11-22 13:08:01 UTC
KEEP_SOME = RetentionRules(keep_files=100)


class Output:
    """A series in a directory, with what it said."""

    def __init__(self, directory: Path, rules: RetentionRules = KEEP_SOME) -> None:
        self.path = directory
        self.told: list[str] = []
        self.warned: list[str] = []
        self.series = FileSeries(
            CaptureDirectory(str(directory / "out.pcapng")), rules, self.told.append, self.warned.append
        )
        self._buffer = Buffer(1 << 20)

    def write(self, *blocks: bytes, begins: bool = False, ends: bool = False) -> None:
        self._buffer.restart(b"")
        self._buffer.append(b"".join(blocks))
        self._buffer.opened_ns = OPENED_NS if begins else None
        self._buffer.ends_file = Reason.SIZE if ends else None
        self._buffer.packets = sum(len(block) == len(packet()) for block in blocks)
        self.series.write(self._buffer)

    def rotate(self) -> None:
        self.write(HEADER, INTERFACE, packet(), begins=True, ends=True)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir() if not path.name.startswith("."))


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    opened = Output(tmp_path)
    yield opened
    opened.series.close()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let the next writes, `times` of them, fail with an error number."""

    def fail(number: int, times: int) -> None:
        write, left = DirectFile.write, [times]

        def failing_write(self: DirectFile, buffer: Buffer) -> None:
            if left[0]:
                left[0] -= 1
                raise SinkError.from_os("cannot write", OSError(number, os.strerror(number)))
            write(self, buffer)

        monkeypatch.setattr(DirectFile, "write", failing_write)

    return fail


def test_a_file_gets_its_name_when_it_ends(output: Output) -> None:
    """A file is a .part while it is written, and the next begins with the next number."""
    output.write(HEADER, INTERFACE, begins=True)
    assert output.names() == ["out_00001_20261122130801.pcapng.part"]
    output.write(HEADER, INTERFACE, begins=True)
    assert output.names() == ["out_00001_20261122130801.pcapng", "out_00002_20261122130801.pcapng.part"]


def test_retention_when_a_file_begins(tmp_path: Path) -> None:
    """With the file being written three are there; each removal is told with its rule."""
    output = Output(tmp_path, RetentionRules(keep_files=3))
    for _ in range(5):
        output.rotate()
    output.write(HEADER, INTERFACE, begins=True)
    assert [name.split("_")[1] for name in output.names()] == ["00004", "00005", "00006"]
    assert output.told[0] == "removed out_00001_20261122130801.pcapng: more than 3 files"
    output.series.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_for_want_of_room_the_oldest_goes(
    output: Output, failing: Callable[[int, int], None], number: int
) -> None:
    """Where retention is on, a full disk costs the oldest files, as many as it takes, and no packet."""
    for _ in range(4):
        output.rotate()
    output.write(HEADER, INTERFACE, begins=True)
    failing(number, 2)
    output.write(packet())
    assert [name.split("_")[1] for name in output.names()] == ["00003", "00004", "00005"]
    assert output.warned[-1] == "removed out_00002_20261122130801.pcapng: the disk is full"


def test_an_io_error_deletes_nothing(output: Output, failing: Callable[[int, int], None]) -> None:
    """A failing disk is no reason to remove files; the one being written ends whole, and the next can begin."""
    for _ in range(2):
        output.rotate()
    output.write(HEADER, INTERFACE, packet(), begins=True)
    failing(errno.EIO, 1)
    with pytest.raises(SinkError, match="input/output error"):
        output.write(packet())
    assert [name.split("_")[1] for name in output.names()] == ["00001", "00002", "00003"]
    assert not [name for name in output.names() if name.endswith(".part")]
    assert b"capfix ended this file early" in (output.path / output.names()[-1]).read_bytes()
    with pytest.raises(SinkError, match=r"no file of .* is open"):
        output.write(packet())
    output.rotate()
    assert len(output.names()) == 4


def test_without_retention_a_full_disk_deletes_nothing(
    tmp_path: Path, failing: Callable[[int, int], None]
) -> None:
    """Without a rule of retention no file goes, whatever the disk says."""
    output = Output(tmp_path, RetentionRules())
    output.rotate()
    output.write(HEADER, INTERFACE, packet(), begins=True)
    failing(errno.ENOSPC, 1)
    with pytest.raises(SinkError):
        output.write(packet())
    assert len(output.names()) == 2
    output.series.close()


def test_a_file_that_cannot_even_begin_leaves_nothing(
    output: Output, failing: Callable[[int, int], None]
) -> None:
    """A file that ends before its first interface block is removed again."""
    failing(errno.EIO, 1)
    with pytest.raises(SinkError):
        output.rotate()
    assert output.names() == []


def test_a_part_removed_by_somebody(output: Output) -> None:
    """Who removes the file being written loses it; the capture says so and goes on."""
    output.write(HEADER, INTERFACE, begins=True)
    (output.path / output.names()[0]).unlink()
    output.rotate()
    assert output.warned == [
        "out_00001_20261122130801.pcapng.part was removed by somebody while it was written"
    ]
    assert output.names() == ["out_00002_20261122130801.pcapng"]


def test_files_removed_by_somebody_no_longer_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking after the directory now and then, the series learns which files are gone."""
    output = Output(tmp_path, RetentionRules(keep_files=4))
    for _ in range(3):
        output.rotate()
    for name in output.names()[1:]:
        (tmp_path / name).unlink()
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + 100)
    output.rotate()
    output.rotate()
    assert [name.split("_")[1] for name in output.names()] == ["00001", "00004", "00005"]
    output.series.close()


def test_a_rotation_among_10000_files(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """A rotation takes about as long among 10,000 old files as among none."""
    medians = []
    for name, count in (("empty", 0), ("full", 10_000)):
        directory = tmp_path / name
        directory.mkdir()
        for number in range(1, count + 1):
            (directory / f"out_{number:05}_20200101000000.pcapng").touch()
        output = Output(directory, RetentionRules(keep_files=max(count, 1), keep_size_bytes=10**12))
        taken = []
        for _ in range(50):
            began = time.perf_counter()
            output.rotate()
            taken.append(time.perf_counter() - began)
        medians.append(median(taken))
        output.series.close()
    record_property("rotation_ms", [round(1000 * seconds, 2) for seconds in medians])
    print(f"a rotation: {medians[0] * 1e3:.2f} ms alone, {medians[1] * 1e3:.2f} ms among 10,000 files")
    assert medians[1] < 3 * medians[0]


def test_every_closed_file_is_reported_once(tmp_path: Path) -> None:
    """With its path, reason, packets and time stamps; a file that a failed write ended too."""
    closed: list[ClosedFile] = []
    series = FileSeries(
        CaptureDirectory(str(tmp_path / "out.pcapng")), KEEP_SOME, print, print, closed=closed.append
    )
    buffer = Buffer(1 << 20)
    for reason in (Reason.TIME, Reason.SIGNAL, None):
        buffer.restart(b"")
        buffer.append(HEADER + INTERFACE + packet(0, 3 << 33) + packet(0, 5 << 33) + STATISTICS)
        buffer.packets, buffer.opened_ns, buffer.ends_file = 2, OPENED_NS, reason
        series.write(buffer)
    series.close()
    assert [file.reason for file in closed] == [Reason.TIME, Reason.SIGNAL, Reason.STOP]
    size_bytes = len(HEADER + INTERFACE + packet() * 2 + STATISTICS)
    path = str(tmp_path / "out_00001_20261122130801.pcapng")
    assert closed[0] == ClosedFile(path, Reason.TIME, 2, 3 << 33, 5 << 33, size_bytes)
    assert all(Path(file.path).exists() for file in closed)


def test_a_part_removed_by_somebody_is_a_loss(output: Output) -> None:
    """Its packets count as lost; a file that was only renamed is not lost."""
    output.write(HEADER, INTERFACE, packet(), packet(), begins=True)
    (output.path / output.names()[0]).unlink()
    output.rotate()
    assert output.series.lost_packets == 2
    output.write(HEADER, INTERFACE, packet(), begins=True)
    (output.path / output.names()[-1]).rename(output.path / "kept")
    output.rotate()
    assert output.series.lost_packets == 2
    assert output.warned[-1].endswith(".pcapng.part was renamed by somebody while it was written")


def test_a_clock_set_forward_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files age by the time that really passed; that the clock was set is told once."""
    output = Output(tmp_path, RetentionRules(keep_age_ns=7 * 86400 * 10**9))
    output.rotate()
    year_ns, time_ns = 365 * 86400 * 10**9, time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: time_ns() + year_ns)
    output.series.maintain()
    output.rotate()
    assert len(output.names()) == 2
    assert len(output.warned) == 1
    assert output.warned[0].startswith("the clock was set forward by 36")
    output.series.close()
