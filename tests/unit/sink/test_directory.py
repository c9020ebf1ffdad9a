"""The directory a capture writes to."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from capfix.errors import SinkError, UsageError
from capfix.sink import noreplace
from capfix.sink.directory import CaptureDirectory, open_directory

OPENED_NS = 1_795_352_881 * 10**9  # 2026-11-22 13:08:01 UTC


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[CaptureDirectory]:
    opened = CaptureDirectory(str(tmp_path / "out.pcapng"))
    yield opened
    opened.close()


def write_part(directory: CaptureDirectory, content: bytes = b"") -> str:
    part = directory.open_part(OPENED_NS)
    os.write(part.fd, content)
    directory.finish(part.name, part.fd)
    os.close(part.fd)
    return part.name.removesuffix(".part")


def test_a_missing_directory_is_said_before_anything_starts(tmp_path: Path) -> None:
    """A directory that is not there is one sentence, and nothing is made."""
    with pytest.raises(
        SinkError, match=r"cannot write .*/none/out.pcapng: .*/none: no such file or directory"
    ):
        CaptureDirectory(str(tmp_path / "none" / "out.pcapng"))


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    """A file where the directory should be is said."""
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="not a directory"):
        open_directory(str(tmp_path / "file" / "out.pcapng"))


def test_a_directory_as_output(tmp_path: Path) -> None:
    """Who names a directory is told to name a file in it."""
    with pytest.raises(SinkError, match=r"is a directory; name a file in it, for example .*/out\.pcapng"):
        open_directory(str(tmp_path))


@pytest.mark.root
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A directory without permission is refused in one sentence, naming the user."""
    for above in [tmp_path, *tmp_path.parents][:3]:  # pytest's own directories are 0700
        above.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(SinkError, match=r"no file can be made in .*: permission denied for user 65534"):
            CaptureDirectory(str(tmp_path / "out.pcapng"))
    finally:
        os.seteuid(0)


def test_the_check_leaves_nothing_behind(tmp_path: Path) -> None:
    """Trying the directory and closing it leaves it as it was."""
    CaptureDirectory(str(tmp_path / "out.pcapng")).close()
    assert list(tmp_path.iterdir()) == []


def test_an_output_named_part_is_a_usage_error(tmp_path: Path) -> None:
    """A name of no use for rotation is refused before the directory is touched."""
    with pytest.raises(UsageError):
        CaptureDirectory(str(tmp_path / "out.part"))


def test_the_second_capture_learns_who_holds_the_output(tmp_path: Path, directory: CaptureDirectory) -> None:
    """The lock names its holder's process; another output in the same directory is free."""
    with pytest.raises(SinkError, match=f"another capture, process {os.getpid()}, is writing .*/out.pcapng"):
        CaptureDirectory(str(tmp_path / "out.pcapng"))
    CaptureDirectory(str(tmp_path / "other.pcapng")).close()


def test_a_crash_releases_the_lock(tmp_path: Path) -> None:
    """A lock file left by SIGKILL locks nobody out."""
    script = (
        "import sys, time; from capfix.sink.directory import CaptureDirectory\n"
        "held = CaptureDirectory(sys.argv[1]); print('held', flush=True); time.sleep(60)"
    )
    output = str(tmp_path / "out.pcapng")
    with subprocess.Popen([sys.executable, "-c", script, output], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(SinkError, match=f"process {holder.pid},"):
            CaptureDirectory(output)
        holder.send_signal(signal.SIGKILL)
    assert (tmp_path / ".out.pcapng.lock").exists()
    CaptureDirectory(output).close()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_removed_while_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever locks a file that its last holder has just removed locks the one that is there by then instead."""
    flock, lock = fcntl.flock, tmp_path / ".out.pcapng.lock"

    def flock_too_late(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        lock.unlink()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock_too_late)
    directory = CaptureDirectory(str(tmp_path / "out.pcapng"))
    assert lock.read_text() == f"{os.getpid()}\n"
    directory.close()


def test_a_file_is_named_in_two_steps(tmp_path: Path, directory: CaptureDirectory) -> None:
    """A file is a .part until it is whole, mode 0640, and keeps its number and time."""
    part = directory.open_part(OPENED_NS)
    assert part.name == "out_00001_20261122130801.pcapng.part"
    assert stat.S_IMODE((tmp_path / part.name).stat().st_mode) == 0o640 & ~_umask()
    assert not os.get_inheritable(part.fd)
    os.write(part.fd, b"four")
    stored = directory.finish(part.name, part.fd)
    os.close(part.fd)
    assert (stored.name, stored.number, stored.size_bytes) == ("out_00001_20261122130801.pcapng", 1, 4)
    assert directory.finished_files() == [stored]
    assert directory.unfinished_names() == []


def test_numbers_go_on_above_the_highest(tmp_path: Path) -> None:
    """A new run numbers on, above finished and unfinished files, and does not fill gaps."""
    for name in (
        "out_00002_20200101000000.pcapng",
        "out_100000_20200101000000.pcapng.part",
        "out_x_9.pcapng",
    ):
        (tmp_path / name).touch()
    directory = CaptureDirectory(str(tmp_path / "out.pcapng"))
    assert directory.next_number == 100001
    assert directory.open_part(OPENED_NS).name == "out_100001_20261122130801.pcapng.part"
    assert directory.unfinished_names() == [
        "out_100000_20200101000000.pcapng.part",
        "out_100001_20261122130801.pcapng.part",
    ]
    assert [file.number for file in directory.finished_files()] == [2]
    assert directory.present_names() == {"out_00002_20200101000000.pcapng"}
    directory.close()


def test_a_number_taken_meanwhile_is_skipped(tmp_path: Path, directory: CaptureDirectory) -> None:
    """A file that somebody put in the way is left alone and the next number taken."""
    (tmp_path / "out_00001_20261122130801.pcapng.part").write_bytes(b"theirs")
    assert directory.open_part(OPENED_NS).number == 2
    assert (tmp_path / "out_00001_20261122130801.pcapng.part").read_bytes() == b"theirs"


@pytest.mark.parametrize("renameat2", [True, False])
def test_a_final_name_taken_meanwhile_is_not_overwritten(
    tmp_path: Path, directory: CaptureDirectory, monkeypatch: pytest.MonkeyPatch, renameat2: bool
) -> None:
    """Nothing is ever overwritten: the file gets the next number, with and without the kernel's help."""
    if not renameat2:
        monkeypatch.setattr(noreplace, "_maybe_renameat2", lambda: None)
    part = directory.open_part(OPENED_NS)
    theirs = tmp_path / "out_00001_20261122130801.pcapng"
    theirs.write_bytes(b"theirs")
    stored = directory.finish(part.name, part.fd)
    os.close(part.fd)
    assert (stored.name, stored.number) == ("out_00002_20261122130801.pcapng", 2)
    assert theirs.read_bytes() == b"theirs"
    assert directory.unfinished_names() == []
    assert directory.next_number == 3


def test_a_rename_cut_short_by_a_crash_is_completed(tmp_path: Path, directory: CaptureDirectory) -> None:
    """Where the crash left a file with both its names, the unfinished one goes."""
    part = directory.open_part(OPENED_NS)
    os.link(tmp_path / part.name, tmp_path / part.name.removesuffix(".part"))
    stored = directory.finish(part.name, part.fd)
    os.close(part.fd)
    assert stored.name == "out_00001_20261122130801.pcapng"
    assert directory.unfinished_names() == []


def test_removing(tmp_path: Path, directory: CaptureDirectory) -> None:
    """A file is removed, one that is gone already is no error."""
    name = write_part(directory)
    assert directory.remove(name)
    assert not directory.remove(name)
    assert not (tmp_path / name).exists()


def test_the_directory_stays_the_same_when_it_is_moved(tmp_path: Path) -> None:
    """Writing, listing and removing mean the directory that was checked, wherever its path points later."""
    (tmp_path / "before").mkdir()
    directory = CaptureDirectory(str(tmp_path / "before" / "out.pcapng"))
    (tmp_path / "before").rename(tmp_path / "after")
    (tmp_path / "before").mkdir()
    name = write_part(directory)
    assert directory.present_names() == {name}
    assert (tmp_path / "after" / name).exists()
    directory.close()
    assert not (tmp_path / "after" / ".out.pcapng.lock").exists()


def test_space_is_the_filesystem_s(directory: CaptureDirectory, tmp_path: Path) -> None:
    """Total and free space are those of the filesystem the files lie on."""
    facts = os.statvfs(tmp_path)
    space = directory.space()
    assert space.total_bytes == facts.f_blocks * facts.f_frsize
    assert 0 < space.free_bytes <= space.total_bytes


@pytest.mark.root
def test_a_full_filesystem_comes_as_the_error_it_is(small_tmpfs: Path) -> None:
    """On a full filesystem the caller gets ENOSPC itself, to make room and try again."""
    directory = CaptureDirectory(str(small_tmpfs / "out.pcapng"))
    part = directory.open_part(OPENED_NS)
    os.write(part.fd, bytes(directory.space().free_bytes))
    with pytest.raises(OSError, match="No space left") as caught:
        os.write(part.fd, b"more")
    assert caught.value.errno == errno.ENOSPC
    assert directory.space().free_bytes == 0
    os.close(part.fd)
    assert directory.remove(part.name)
    assert directory.space().free_bytes > 0
    directory.close()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_the_lock_file_is_private(tmp_path: Path, directory: CaptureDirectory) -> None:
    """Only its owner can open it, so nobody else can hold the lock."""
    assert stat.S_IMODE((tmp_path / ".out.pcapng.lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("planted", ["fifo", "symlink", "wide", "directory"])
def test_something_planted_in_place_of_the_lock(tmp_path: Path, planted: str) -> None:
    """It is removed where that is possible, is never followed, and never hangs the start."""
    lock = tmp_path / ".out.pcapng.lock"
    match planted:
        case "fifo":
            os.mkfifo(lock, 0o666)
        case "symlink":
            lock.symlink_to(tmp_path / "elsewhere")
        case "wide":
            lock.touch(0o666)
            lock.chmod(0o666)
        case "directory":
            lock.mkdir()
            with pytest.raises(SinkError, match="cannot lock"):
                CaptureDirectory(str(tmp_path / "out.pcapng"))
            return
    directory = CaptureDirectory(str(tmp_path / "out.pcapng"))
    assert stat.S_IMODE(lock.lstat().st_mode) == 0o600
    assert not (tmp_path / "elsewhere").exists()
    directory.close()


@pytest.mark.root
def test_files_of_another_s_making(tmp_path: Path) -> None:
    """Neither counted, numbered on from, recovered nor removed, and named."""
    longest = f"out_{'9' * 200}_20200101000000.pcapng"
    for name in ("out_00003_20200101000000.pcapng", "out_00900_20200101000000.pcapng.part", longest):
        (tmp_path / name).touch()
    os.chown(tmp_path / "out_00900_20200101000000.pcapng.part", 65534, -1)
    os.mkfifo(tmp_path / "out_00007_20200101000000.pcapng.part")
    directory = CaptureDirectory(str(tmp_path / "out.pcapng"))
    assert directory.next_number == 4
    assert [file.number for file in directory.finished_files()] == [3]
    assert directory.unfinished_names() == []
    assert sorted(directory.untrusted) == sorted(
        [longest, "out_00900_20200101000000.pcapng.part", "out_00007_20200101000000.pcapng.part"]
    )
    directory.close()
