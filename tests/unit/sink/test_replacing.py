"""One file, written from its beginning where others may have put something in its place."""

import fcntl
import os
import stat
import struct
from pathlib import Path

import pytest

from capfix.errors import SinkError
from capfix.sink.destination import check_output
from capfix.sink.file import FileTarget

NOBODY = 65534


def test_a_second_capture_is_refused(tmp_path: Path) -> None:
    """One sentence, the first goes on, and no lock is left behind."""
    path = tmp_path / "out.pcapng"
    first = FileTarget(path)
    with pytest.raises(SinkError, match=r"another capture is writing .*out\.pcapng; stop it first"):
        FileTarget(path)
    first.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.pcapng"]
    FileTarget(path).close()


def test_a_reader_locks_nobody_out(tmp_path: Path) -> None:
    """Whoever holds a shared lock on an old capture keeps that one; the new one is another file."""
    path = tmp_path / "out.pcapng"
    path.write_bytes(b"old")
    path.chmod(0o640)
    reader = os.open(path, os.O_RDONLY)
    fcntl.fcntl(reader, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_RDLCK, 0, 0, 0, 0))
    fcntl.flock(reader, fcntl.LOCK_EX)
    FileTarget(path).close()
    assert path.read_bytes() == b""
    assert os.read(reader, 3) == b"old"
    os.close(reader)


@pytest.mark.root
@pytest.mark.parametrize(("owner", "mode"), [(NOBODY, 0o640), (0, 0o666), (0, 0o644)])
def test_what_others_have_a_hand_in_is_replaced(tmp_path: Path, owner: int, mode: int) -> None:
    """An existing file of another owner or with wider modes is not written into."""
    path = tmp_path / "out.pcapng"
    path.write_bytes(b"theirs")
    path.chmod(mode)
    os.chown(path, owner, -1)
    before = os.open(path, os.O_RDONLY)
    FileTarget(path).close()
    facts = path.stat()
    assert (facts.st_uid, stat.S_IMODE(facts.st_mode) & ~0o640) == (os.geteuid(), 0)
    assert not os.path.samestat(facts, os.fstat(before))
    assert os.read(before, 6) == b"theirs"
    os.close(before)


def test_a_file_of_two_names_is_replaced(tmp_path: Path) -> None:
    """A hard link to a file worth keeping does not lead a capture into it."""
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "precious").chmod(0o640)
    os.link(tmp_path / "precious", tmp_path / "out.pcapng")
    FileTarget(tmp_path / "out.pcapng").close()
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """Neither when it is looked at nor when it is opened."""
    (tmp_path / "precious").write_bytes(b"precious")
    path = tmp_path / "out.pcapng"
    path.symlink_to(tmp_path / "precious")
    for refuse in (lambda: check_output(str(path)), lambda: FileTarget(path)):
        with pytest.raises(SinkError, match="is a symbolic link, which capfix does not follow"):
            refuse()
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_fifo_put_there_meanwhile_is_replaced(tmp_path: Path) -> None:
    """Opening a file does not wait for the reader of a FIFO."""
    os.mkfifo(tmp_path / "out.pcapng")
    FileTarget(tmp_path / "out.pcapng").close()
    assert (tmp_path / "out.pcapng").is_file()


def test_a_file_removed_while_it_is_written(tmp_path: Path) -> None:
    """The capture learns it at the end at the latest."""
    target = FileTarget(tmp_path / "out.pcapng")
    (tmp_path / "out.pcapng").unlink()
    with pytest.raises(SinkError, match="was removed while it was written"):
        target.close()


def test_pipes_and_devices_that_links_lead_to(tmp_path: Path) -> None:
    """A link of root's or one's own to a device is followed, as /dev/stdout is."""
    (tmp_path / "null").symlink_to("/dev/null")
    check_output(str(tmp_path / "null"))
