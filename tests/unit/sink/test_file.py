"""The one file of a capture: direct I/O, its fallback, and disks that refuse."""

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from capfix.errors import SinkError
from capfix.sink import file as file_module
from capfix.sink.buffers import Buffer
from capfix.sink.file import DirectFile, FileTarget
from capfix.sink.writer import PAGE
from tests.unit.sink.test_recovery import read
from tests.unit.wire.test_section_walk import HEADER, INTERFACE, packet

BUFFER_SIZE = 1 << 16
LARGE = packet(0, 1, bytes(1000))


def buffers(count: int, packets_each: int) -> Iterator[Buffer]:
    """Yield buffers of one file as a writer makes them: each begins with what the last page held."""
    carry = b""
    for n in range(count):
        buffer = Buffer(BUFFER_SIZE)
        buffer.restart(carry)
        if n == 0:
            buffer.append(HEADER + INTERFACE)
        for _ in range(packets_each):
            buffer.append(LARGE)
        yield buffer
        carry = bytes(buffer.view[buffer.used - buffer.used % PAGE : buffer.used])


def expected(count: int, packets_each: int) -> bytes:
    """Return what the file holds then."""
    return HEADER + INTERFACE + LARGE * (count * packets_each)


@pytest.mark.parametrize("packets_each", [1, 3, 37])
def test_the_file_is_whole_after_each_write(tmp_path: Path, packets_each: int) -> None:
    """Another reader finds all that was written, to the byte, whatever came to lie on which page."""
    path = tmp_path / "out.pcapng"
    target = FileTarget(path)
    for n, buffer in enumerate(buffers(8, packets_each)):
        target.write(buffer)
        assert path.read_bytes() == expected(n + 1, packets_each)
    target.close()


@pytest.mark.root
def test_a_filesystem_without_direct_io(tmp_path: Path, mount_namespace: None) -> None:
    """Where opening for direct I/O is refused, as by ramfs, the file is written ordinarily and is the same."""
    subprocess.run(["mount", "-t", "ramfs", "capfix-test", str(tmp_path)], check=True)
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            os.close(os.open(tmp_path / "probe", os.O_CREAT | os.O_WRONLY | os.O_DIRECT))
        path = tmp_path / "out.pcapng"
        target = FileTarget(path)
        for buffer in buffers(8, 37):
            target.write(buffer)
        target.close()
        assert path.read_bytes() == expected(8, 37)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_direct_io_refused_by_the_first_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some filesystems take the flag and refuse the write: the same bytes go the ordinary way."""
    path = tmp_path / "out.pcapng"
    target = FileTarget(path)
    direct = target._file._direct
    assert direct is not None
    pwrite = os.pwrite

    def refusing(fd: int, data: memoryview, at: int) -> int:
        if fd == direct:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return pwrite(fd, data, at)

    monkeypatch.setattr(file_module.os, "pwrite", refusing)
    for buffer in buffers(4, 37):
        target.write(buffer)
    monkeypatch.undo()
    target.close()
    assert path.read_bytes() == expected(4, 37)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(direct)


@pytest.mark.parametrize("limit", [5 * PAGE, 5 * PAGE + 1, 5 * PAGE + 512, 5 * PAGE + 1000])
def test_a_limit_within_a_page(tmp_path: Path, limit: int) -> None:
    """A file that may grow no further, wherever that is, ends at a whole block and tells why."""
    path = tmp_path / "out.pcapng"
    target = FileTarget(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        (buffer,) = buffers(1, 30)
        with pytest.raises(SinkError, match="file too large") as caught:
            target.write(buffer)
        target.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    whole = len(HEADER + INTERFACE) + (caught.value.written - len(HEADER + INTERFACE)) // len(LARGE) * len(
        LARGE
    )
    assert caught.value.written == whole
    packets, _ = read(path)
    assert packets == (whole - len(HEADER + INTERFACE)) // len(LARGE) > 10


@pytest.mark.root
def test_a_full_disk(small_tmpfs: Path) -> None:
    """The file ends at a whole block, with statistics that say why, and what did not fit is known."""
    path = small_tmpfs / "out.pcapng"
    (small_tmpfs / "other").write_bytes(bytes(1 << 19))
    target = FileTarget(path)
    *fitting, too_much = buffers(17, 30)  # half a mebibyte
    for buffer in fitting:
        target.write(buffer)
    with pytest.raises(SinkError, match="no space left on device") as caught:
        target.write(too_much)
    target.close()
    written = 30 * len(fitting)
    assert caught.value.errno == errno.ENOSPC
    packets, statistics = read(path)
    assert written <= packets < written + 30
    assert [block.options["isb_usrdeliv"] for block in statistics] in ([packets], [])
    assert all("no space left" in block.options["opt_comment"] for block in statistics)


def test_a_write_can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure, once there is room, the same buffer goes to the same place."""
    path = tmp_path / "out.pcapng"
    file = DirectFile(os.open(path, os.O_RDWR | os.O_CREAT), str(path))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for buffer in buffers(3, 37):

        def failing(*_: object) -> int:
            raise full

        with monkeypatch.context() as patch:
            patch.setattr(file_module.os, "pwrite", failing)
            with pytest.raises(SinkError):
                file.write(buffer)
        file.write(buffer)
    file.close()
    assert path.read_bytes() == expected(3, 37)


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    """Nothing of it is left, and a new file is not for everybody to read."""
    path = tmp_path / "out.pcapng"
    path.write_bytes(bytes(1 << 20))
    target = FileTarget(path)
    for buffer in buffers(1, 1):
        target.write(buffer)
    target.close()
    assert path.read_bytes() == expected(1, 1)
    fresh = FileTarget(tmp_path / "fresh.pcapng")
    fresh.close()
    assert (tmp_path / "fresh.pcapng").stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    """The reason is told in one sentence."""
    with pytest.raises(SinkError, match=r"cannot write .*missing/out.pcapng: no such file or directory"):
        FileTarget(tmp_path / "missing" / "out.pcapng")
